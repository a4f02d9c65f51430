//===- SelectSchedule.cpp - Give kernels the schedules of a GPU -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The figures behind what is chosen are in docs/gpu.md.
//
//===----------------------------------------------------------------------===//

#include "Decode.h"
#include "Kernels/StageWeights.h"

#include "moe-mlir/Target/GPU/Common/PrepareMatmuls.h"
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"

#include "moe/E4M3Rows.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_SELECTNVIDIASCHEDULE
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moek::GroupedMatmulOp;
using moenvidia::Rows;
using moenvidia::ScheduleAttr;
using moenvidia::TargetAttr;

/// Rows of an expert, in the mean, up to which streaming weights past eight
/// rows at a time beats tiles of 128.
static constexpr int64_t kFewRows = 6;
/// The same of weights in a format, which tiles have to decode, unless they
/// multiply them in 8 bits.
static constexpr int64_t kFewRowsOfFormats = 16;
/// The same of tiles that are multiplied in f32: one of few rows.
static constexpr int64_t kFewRowsOfTiles = 8;

/// A row for each slot, without lists, is for one token, and for so few rows
/// that hardly two of them have the same expert: one for so many experts.
static constexpr int64_t kDecodeShare = 8;

/// What rows are multiplied as beyond few, where that is asked for and there is
/// a kernel for it.
static Rows getRows(GroupedMatmulOp matmul) {
  StringRef said = moek::getActivations(matmul->getParentOfType<ModuleOp>());
  return said == moe::kE4M3Rows && moenvidia::whyNotE4M3(matmul).empty()
             ? Rows::E4M3
             : Rows::BF16;
}

/// Says so where rows do not become what they were to.
static void remarkOnRows(GroupedMatmulOp matmul) {
  StringRef said = moek::getActivations(matmul->getParentOfType<ModuleOp>());
  if (said == moe::kE4M3Rows && matmul.getFormatAttr()) {
    std::string why = moenvidia::whyNotE4M3(matmul);
    if (!why.empty())
      mlir::remark::missed(matmul.getLoc(),
                           mlir::remark::RemarkOpts::name("not-rounded")
                               .category("moek-select-schedule"))
          << "rows become bf16, as kernels for NVIDIA's GPUs " + why;
    return;
  }
  moe::remarkOnRows(matmul, moenvidia::usesTiles(matmul)
                                ? "rows stay as they are, as these kernels "
                                  "for NVIDIA's GPUs decode weights"
                                : "rows become bf16, which is what kernels for "
                                  "NVIDIA's GPUs multiply");
}

/// How many rows are few; -1 where there is no kernel for many.
static int64_t getFew(GroupedMatmulOp matmul, TargetAttr chip) {
  int64_t experts = matmul.getNumExperts();
  if (moenvidia::usesTiles(matmul))
    return kFewRowsOfTiles * experts;
  if (!chip.getWgmma())
    return -1;
  auto format = matmul.getFormatAttr();
  if (!format || getRows(matmul) == Rows::E4M3)
    return kFewRows * experts;
  return moe::nvidia::canDecodeStages(format, matmul.getN(), matmul.getK())
             ? kFewRowsOfFormats * experts
             : -1;
}

namespace {
struct SelectNVIDIASchedule
    : moe::impl::SelectNVIDIAScheduleBase<SelectNVIDIASchedule> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto chip =
        dyn_cast_or_null<TargetAttr>(Attribute(moek::getTarget(module)));
    if (!chip) {
      module.emitError("has none of NVIDIA's GPUs as its target; set the "
                       "module attribute '")
          << moek::kTargetAttrName << "' or name one in moe-set-target";
      return signalPassFailure();
    }
    IRRewriter rewriter(&getContext());
    SmallVector<GroupedMatmulOp> matmuls;
    module.walk([&](GroupedMatmulOp op) { matmuls.push_back(op); });
    for (GroupedMatmulOp &matmul : matmuls)
      if (matmul.getPositions())
        matmul = moe::splitCombine(
            rewriter, matmul,
            moenvidia::usesTiles(matmul)
                ? getElementTypeOrSelf(matmul.getOutputs()[0].getType())
                : rewriter.getBF16Type());
    for (GroupedMatmulOp matmul : matmuls)
      if (!moenvidia::usesTiles(matmul))
        moe::narrowResult(rewriter, matmul);
    for (GroupedMatmulOp matmul : matmuls) {
      bool isTiled = moenvidia::usesTiles(matmul);
      if (!isTiled)
        moe::narrowRows(rewriter, matmul);
      moe::dropActive(rewriter, matmul);
      remarkOnRows(matmul);
      if (failed(moe::layOutBlocks(rewriter, matmul)))
        return signalPassFailure();
    }
    llvm::DenseMap<Operation *, int64_t> decode;
    module.walk([&](moek::CombineOp combine) {
      auto chain = moe::nvidia::findDecodeChain(combine);
      if (chain && !moenvidia::usesTiles(chain->rows) &&
          !moenvidia::usesTiles(chain->sums))
        decode[chain->rows] = decode[chain->sums] =
            std::max(chain->slots, chain->experts / kDecodeShare);
    });
    for (GroupedMatmulOp matmul : matmuls)
      if (!matmul.getSchedule())
        matmul.setScheduleAttr(
            ScheduleAttr::get(&getContext(), getFew(matmul, chip),
                              decode.lookup(matmul), getRows(matmul)));
  }
};
} // namespace
