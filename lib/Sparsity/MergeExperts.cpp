//===- MergeExperts.cpp - One expert in the place of several ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Sparsity/Passes.h"

#include "Layer.h"
#include "RenumberRouting.h"
#include "SameExperts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_MERGEEXPERTS
#include "moe-mlir/Sparsity/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

namespace {
/// Experts that become the first of them, in ascending order.
using Merge = SmallVector<int64_t>;

struct MergeExperts : moe::impl::MergeExpertsBase<MergeExperts> {
  using MergeExpertsBase::MergeExpertsBase;

  LogicalResult fail(const Twine &what) {
    return getOperation()->emitError() << getArgument() << ": " << what;
  }

  FailureOr<SmallVector<Merge>> parse() {
    SmallVector<Merge> merges;
    llvm::SmallDenseSet<int64_t> seen;
    SmallVector<StringRef> lists;
    StringRef(groups).split(lists, ';', -1, /*KeepEmpty=*/false);
    for (StringRef list : lists) {
      Merge &merge = merges.emplace_back();
      SmallVector<StringRef> numbers;
      list.split(numbers, ',');
      for (StringRef number : numbers) {
        int64_t expert;
        if (number.trim().getAsInteger(10, expert) || expert < 0)
          return fail("groups has '" + number.trim() +
                      "', which is no expert; expected lists such as 0,3;1,2");
        if (!seen.insert(expert).second)
          return fail("groups has expert " + Twine(expert) + " twice");
        merge.push_back(expert);
      }
      if (merge.size() < 2)
        return fail("groups has a list of one expert, " + list +
                    "; expected at least two");
      llvm::sort(merge);
    }
    if (merges.empty())
      return fail("groups is empty; expected lists of experts such as 0,3;1,2");
    return merges;
  }

  void runOnOperation() override {
    FailureOr<SmallVector<Merge>> merges = parse();
    if (failed(merges))
      return signalPassFailure();
    if (by != "first" && by != "mean") {
      (void)fail("by is '" + by + "'; expected first or mean");
      return signalPassFailure();
    }
    SmallVector<ExpertOp> experts;
    getOperation()->walk([&](ExpertOp op) { experts.push_back(op); });
    for (ExpertOp op : experts)
      if (failed(merge(op, *merges)))
        return signalPassFailure();
  }

  /// The group of an expert.
  static unsigned getGroup(ExpertOp op, int64_t expert) {
    unsigned g = 0;
    while (expert >= op.getGroupEnd(g))
      ++g;
    return g;
  }

  LogicalResult merge(ExpertOp op, ArrayRef<Merge> merges) {
    int64_t count = op.getRouting().getType().getExperts();
    SmallVector<int64_t> bodies = findSameBodies(op);
    SmallVector<int64_t> now = llvm::to_vector(llvm::seq<int64_t>(0, count));
    auto refuse = [&](const Twine &what) {
      return op.emitError() << getArgument() << ": " << what;
    };
    for (const Merge &merge : merges) {
      if (merge.back() >= count)
        return refuse("there is no expert " + Twine(merge.back()) + " of " +
                      Twine(count));
      for (int64_t e : merge) {
        if (bodies[getGroup(op, e)] != bodies[getGroup(op, merge.front())])
          return refuse("experts " + Twine(merge.front()) + " and " + Twine(e) +
                        " have different bodies; expected alike ones");
        now[e] = merge.front();
      }
    }
    std::string why;
    FailureOr<Layer> layer = Layer::get(op, why);
    if (succeeded(layer) && seesNeighbours(op)) {
      why = "a body has a moe.scan, which would see the rows of both";
      layer = failure();
    }
    if (failed(layer))
      return refuse("experts cannot become one: " + why);
    if (by == "mean")
      for (const Merge &merge : merges)
        if (failed(average(op, merge)))
          return failure();
    IRRewriter b(&getContext());
    b.setInsertionPointAfterValue(op.getRouting());
    SmallVector<int64_t> kept;
    Value routing = buildJoined(b, op.getLoc(), op.getRouting(), now, kept);
    remark::passed(op.getLoc(),
                   remark::RemarkOpts::name("merged").category(getArgument()))
        << ("the rows of " + std::to_string(count) + " experts are those of " +
            std::to_string(llvm::count_if(llvm::enumerate(now),
                                          [](auto pair) {
                                            return pair.value() ==
                                                   int64_t(pair.index());
                                          })) +
            "; results change");
    layer->replace(b, routing, kept);
    return success();
  }

  /// Gives the first of the experts the mean of their weights.
  LogicalResult average(ExpertOp op, const Merge &merge) {
    unsigned group = getGroup(op, merge.front());
    for (auto [j, weight] : llvm::enumerate(op.getGroupWeights(group))) {
      auto type = cast<RankedTensorType>(weight.getType());
      int64_t size = type.getNumElements() / type.getDimSize(0);
      SmallVector<double> sums(size, 0.0);
      DenseElementsAttr own;
      for (int64_t e : merge) {
        unsigned g = getGroup(op, e);
        DenseElementsAttr constant;
        if (!isa<FloatType>(type.getElementType()) ||
            !matchPattern(op.getGroupWeights(g)[j], m_Constant(&constant)))
          return op.emitError()
                 << getArgument() << ": weight #" << j << " of expert " << e
                 << " is no constant, so its mean is not known before the "
                    "function runs; by=first takes the weights of expert "
                 << merge.front();
        if (e == merge.front())
          own = constant;
        auto values = constant.getValues<APFloat>();
        int64_t first = (e - op.getGroupBegin(g)) * size;
        for (int64_t i = 0; i < size; ++i) {
          APFloat value = values[first + i];
          bool loses;
          value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                        &loses);
          sums[i] += value.convertToDouble();
        }
      }
      SmallVector<APFloat> values(own.getValues<APFloat>());
      int64_t first = (merge.front() - op.getGroupBegin(group)) * size;
      for (int64_t i = 0; i < size; ++i)
        values[first + i] =
            FloatAttr::get(type.getElementType(), sums[i] / merge.size())
                .getValue();
      OpBuilder b(op);
      Value mean = arith::ConstantOp::create(
          b, op.getLoc(), DenseElementsAttr::get(type, values));
      unsigned at = op.getGroupWeights(group).getBeginOperandIndex() + j;
      op->setOperand(at, mean);
    }
    return success();
  }
};
} // namespace
