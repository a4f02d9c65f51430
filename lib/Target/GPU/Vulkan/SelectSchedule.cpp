//===- SelectSchedule.cpp - Schedules for devices of Vulkan -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/PrepareMatmuls.h"
#include "moe-mlir/Target/GPU/Vulkan/Passes.h"

#include "moe_gpu/MoeGpu.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"

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

/// Says, as a remark, what is not done of what was asked for.
static void remarkOnRows(GroupedMatmulOp matmul) {
  moe::WeightFormatAttrInterface format = matmul.getFormatAttr();
  if (!format ||
      moe::getRowType(moek::getActivations(matmul->getParentOfType<ModuleOp>()),
                      format) == moe::RowType::F32)
    return;
  remark::missed(
      matmul.getLoc(),
      remark::RemarkOpts::name("not-rounded").category("moek-select-schedule"))
      << "rows stay as they are, as kernels for Vulkan decode weights";
}

/// Lays out weights in a format that matmuls alone read.
static LogicalResult selectLayout(IRRewriter &rewriter,
                                  GroupedMatmulOp matmul) {
  if (!matmul.getFormatAttr() || moegpu::getBlocks(matmul))
    return success();
  auto pack = matmul.getRhs().getDefiningOp<moek::PackOp>();
  bool isAlone =
      pack && !pack.getLayoutAttr() &&
      llvm::all_of(pack->getUses(), [](OpOperand &use) {
        auto user = dyn_cast<GroupedMatmulOp>(use.getOwner());
        return user && use.get() == user.getRhs() && user.getFormatAttr();
      });
  if (!isAlone)
    return matmul.emitOpError("'rhs' has no layout; a moek.pack that nothing "
                              "but kernels read would get one");
  auto layout =
      moegpu::BlocksAttr::get(matmul.getContext(), matmul.getFormatAttr());
  rewriter.modifyOpInPlace(pack, [&] {
    pack.setLayoutAttr(layout);
    pack.getPacked().setType(layout.getPackedType(pack.getLogicalType()));
  });
  return success();
}

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
      remarkOnRows(matmul);
      if (!matmul.getSchedule())
        matmul.setScheduleAttr(ScheduleAttr::get(
            &getContext(), kFewRows * matmul.getNumExperts()));
      if (failed(selectLayout(rewriter, matmul)))
        return signalPassFailure();
    }
  }
};
} // namespace
