//===- WorkModels.cpp - The work of the ops of moe --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Work.h"

#include "moe/Moe.h"

#include "mlir/IR/DialectRegistry.h"

using namespace mlir;
using namespace moe;

using MaybeSize = std::optional<double>;

/// Rows of x times each of its matrices.
static MaybeSize times(MaybeSize rows, double perRow) {
  return rows ? MaybeSize(*rows * perRow) : std::nullopt;
}

namespace {

struct FFNWork : WorkOpInterface::ExternalModel<FFNWork, FFNOp> {
  MaybeSize getMultiplyAdds(Operation *op, const WorkContext &context) const {
    auto ffn = cast<FFNOp>(op);
    double intermediate = ffn.getIntermediate();
    double in = (ffn.isGated() ? 2.0 : 1.0) * ffn.getHidden();
    return times(context.size(ffn.getX(), 0),
                 intermediate * (in + ffn.getOutputHidden()));
  }
  MaybeSize getResultRows(Operation *op, const WorkContext &context,
                          unsigned) const {
    return context.size(cast<FFNOp>(op).getX(), 0);
  }
};

struct SimilarityWork
    : WorkOpInterface::ExternalModel<SimilarityWork, SimilarityOp> {
  MaybeSize getMultiplyAdds(Operation *op, const WorkContext &context) const {
    auto similarity = cast<SimilarityOp>(op);
    return times(context.size(similarity.getX(), 0),
                 similarity.getCentroids().getType().getNumElements());
  }
  MaybeSize getResultRows(Operation *op, const WorkContext &context,
                          unsigned) const {
    return context.size(cast<SimilarityOp>(op).getX(), 0);
  }
};

struct ExpertWork : WorkOpInterface::ExternalModel<ExpertWork, ExpertOp> {
  bool hasBodies(Operation *) const { return true; }

  MaybeSize getBodyRows(Operation *op, const WorkContext &context,
                        BlockArgument argument) const {
    auto expert = cast<ExpertOp>(op);
    unsigned group = argument.getOwner()->getParent()->getRegionNumber();
    const ExpertLoad *load = context.load(expert.getRouting());
    if (!load || llvm::is_contained(expert.getWeightArguments(group), argument))
      return std::nullopt;
    return load->rowsOf(expert.getGroupBegin(group), expert.getGroupEnd(group));
  }

  /// Of weights the slices of the experts that get rows.
  double getTouchedShare(Operation *op, const WorkContext &context,
                         unsigned operand) const {
    auto expert = cast<ExpertOp>(op);
    const ExpertLoad *load = context.load(expert.getRouting());
    for (unsigned group = 0; load && group < expert.getNumGroups(); ++group) {
      OperandRange weights = expert.getGroupWeights(group);
      unsigned first = weights.getBeginOperandIndex();
      if (operand >= first && operand < first + weights.size())
        return load->activeOf(expert.getGroupBegin(group),
                              expert.getGroupEnd(group)) /
               expert.getGroupSize(group);
    }
    return 1.0;
  }

  MaybeSize getResultRows(Operation *op, const WorkContext &context,
                          unsigned) const {
    return context.size(cast<ExpertOp>(op).getRows(), 0);
  }
};

struct ScanWork : WorkOpInterface::ExternalModel<ScanWork, ScanOp> {
  bool hasBodies(Operation *) const { return true; }
  MaybeSize getBodyRows(Operation *op, const WorkContext &context,
                        BlockArgument) const {
    return context.size(cast<ScanOp>(op).getRows(), 0);
  }
  MaybeSize getResultRows(Operation *op, const WorkContext &context,
                          unsigned) const {
    return context.size(cast<ScanOp>(op).getRows(), 0);
  }
};

/// A row for each assignment of the routing, or for each of its tokens.
template <typename OpT, bool isToken>
struct RoutedRows
    : WorkOpInterface::ExternalModel<RoutedRows<OpT, isToken>, OpT> {
  MaybeSize getResultRows(Operation *op, const WorkContext &context,
                          unsigned) const {
    const ExpertLoad *load = context.load(cast<OpT>(op).getRouting());
    if (!load)
      return std::nullopt;
    return isToken ? load->tokens : load->assignments();
  }
};

} // namespace

void moe::registerWorkModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, MoeDialect *) {
    FFNOp::attachInterface<FFNWork>(*context);
    SimilarityOp::attachInterface<SimilarityWork>(*context);
    ExpertOp::attachInterface<ExpertWork>(*context);
    ScanOp::attachInterface<ScanWork>(*context);
    DispatchOp::attachInterface<RoutedRows<DispatchOp, false>>(*context);
    RoutingTokensOp::attachInterface<RoutedRows<RoutingTokensOp, false>>(
        *context);
    CombineOp::attachInterface<RoutedRows<CombineOp, true>>(*context);
    RoutingIndicesOp::attachInterface<RoutedRows<RoutingIndicesOp, true>>(
        *context);
    RoutingWeightsOp::attachInterface<RoutedRows<RoutingWeightsOp, true>>(
        *context);
  });
}
