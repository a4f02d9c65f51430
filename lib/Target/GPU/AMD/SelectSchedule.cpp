//===- SelectSchedule.cpp - Give kernels the schedules of a GPU -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/AMD/Passes.h"
#include "moe-mlir/Target/GPU/Common/PrepareMatmuls.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_SELECTAMDSCHEDULE
#include "moe-mlir/Target/GPU/AMD/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moeamd::ScheduleAttr;
using moeamd::TargetAttr;
using moeamd::Units;
using moek::GroupedMatmulOp;

/// Rows of an expert, in the mean, up to which tiles of few rows are taken: a
/// tile of one more would be a second.
static constexpr int64_t kFewRowsOfMatrix = 32, kFewRowsOfVector = 8;

/// What multiplies: matrix instructions where weights are bf16 and nothing has
/// to be done to rows before.
static Units selectUnits(GroupedMatmulOp matmul) {
  if (ScheduleAttr schedule = moeamd::getSchedule(matmul))
    return schedule.getUnits();
  bool isMatrix = !matmul.getFormatAttr() && !matmul.getGatherWeights() &&
                  getElementTypeOrSelf(matmul.getRhs().getType()).isBF16() &&
                  matmul.getK() % 8 == 0 && matmul.getNumExperts() <= 4096;
  return isMatrix ? Units::Matrix : Units::Vector;
}

namespace {
struct SelectAMDSchedule : moe::impl::SelectAMDScheduleBase<SelectAMDSchedule> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!isa_and_nonnull<TargetAttr>(Attribute(moek::getTarget(module)))) {
      module.emitError("has none of AMD's GPUs as its target; set the module "
                       "attribute '")
          << moek::kTargetAttrName << "' or name one in moe-set-target";
      return signalPassFailure();
    }
    IRRewriter rewriter(&getContext());
    SmallVector<std::pair<GroupedMatmulOp, Units>> matmuls;
    module.walk([&](GroupedMatmulOp op) {
      matmuls.push_back({op, selectUnits(op)});
    });
    for (auto &[matmul, units] : matmuls)
      if (matmul.getPositions())
        matmul = moe::splitCombine(
            rewriter, matmul,
            units == Units::Matrix
                ? rewriter.getBF16Type()
                : getElementTypeOrSelf(matmul.getOutputs()[0].getType()));
    for (auto [matmul, units] : matmuls)
      if (units == Units::Matrix)
        moe::narrowResult(rewriter, matmul);
    for (auto [matmul, units] : matmuls) {
      bool isMatrix = units == Units::Matrix;
      if (isMatrix)
        moe::narrowRows(rewriter, matmul);
      moe::dropActive(rewriter, matmul);
      moe::remarkOnRows(
          matmul,
          "rows stay as they are, as kernels for AMD's GPUs decode weights");
      int64_t few = isMatrix ? kFewRowsOfMatrix : kFewRowsOfVector;
      if (!matmul.getSchedule())
        matmul.setScheduleAttr(ScheduleAttr::get(&getContext(), units,
                                                 few * matmul.getNumExperts()));
      if (failed(moe::layOutBlocks(rewriter, matmul)))
        return signalPassFailure();
    }
  }
};
} // namespace
