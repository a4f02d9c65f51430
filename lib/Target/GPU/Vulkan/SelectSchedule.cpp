//===- SelectSchedule.cpp - Schedules for devices of Vulkan -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/PrepareMatmuls.h"
#include "moe-mlir/Target/GPU/Vulkan/Passes.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_SELECTVULKANSCHEDULE
#include "moe-mlir/Target/GPU/Vulkan/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moek::GroupedMatmulOp;
using moevulkan::ScheduleAttr;

/// Rows of an expert, in the mean, up to which tiles of few rows are taken: a
/// tile of one more would be a second.
static constexpr int64_t kFewRows = 8;

namespace {
struct SelectVulkanSchedule
    : moe::impl::SelectVulkanScheduleBase<SelectVulkanSchedule> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!isa_and_nonnull<moevulkan::TargetAttr>(
            Attribute(moek::getTarget(module)))) {
      module.emitError("has no device of Vulkan as its target; set the module "
                       "attribute '")
          << moek::kTargetAttrName << "' or name one in moe-set-target";
      return signalPassFailure();
    }
    IRRewriter rewriter(&getContext());
    SmallVector<GroupedMatmulOp> matmuls;
    module.walk([&](GroupedMatmulOp op) { matmuls.push_back(op); });
    for (GroupedMatmulOp matmul : matmuls) {
      if (matmul.getPositions())
        matmul = moe::splitCombine(
            rewriter, matmul,
            getElementTypeOrSelf(matmul.getOutputs()[0].getType()));
      moe::dropActive(rewriter, matmul);
      moe::remarkOnRows(
          matmul,
          "rows stay as they are, as kernels for Vulkan decode weights");
      if (!matmul.getSchedule())
        matmul.setScheduleAttr(ScheduleAttr::get(
            &getContext(), kFewRows * matmul.getNumExperts()));
      if (failed(moe::layOutBlocks(rewriter, matmul)))
        return signalPassFailure();
    }
  }
};
} // namespace
