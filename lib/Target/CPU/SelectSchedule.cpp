//===- SelectSchedule.cpp - Give every moek op the schedule of a CPU -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The figures behind the choices are in docs/performance.md.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/CPU/KnownCPUs.h"
#include "moe-mlir/Target/CPU/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/InterleavedRange.h"

#include <algorithm>

namespace moe {
#define GEN_PASS_DEF_SELECTSCHEDULE
#include "moe-mlir/Target/CPU/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moek::CpuAttr;
using moek::Inner;
using moek::ScheduleAttr;

/// Rounds down to whole blocks of k, at least one.
static int64_t toBlocks(int64_t bytes) {
  return std::max<int64_t>(1024, bytes / 1024 * 1024);
}

/// Whether four k of a column are side by side, as mmla_bf16 alone reads them.
static bool isPackedForMmla(moek::GroupedMatmulOp matmul) {
  auto panels = cast<ShapedType>(matmul.getRhs().getType());
  return panels.getElementType().isBF16() && panels.getDimSize(4) == 4;
}

static Inner selectInner(CpuAttr cpu, moek::GroupedMatmulOp matmul) {
  if (getElementTypeOrSelf(matmul.getRhs().getType()).isF32())
    return Inner::Fma;
  if (isPackedForMmla(matmul))
    return Inner::MmlaBF16;
  return cpu.getBf16Dot()    ? Inner::DotBF16
         : cpu.getBf16Mmla() ? Inner::MmlaBF16
                             : Inner::Widen;
}

static ScheduleAttr selectSchedule(CpuAttr cpu, Inner inner) {
  int64_t lanes = cpu.getLanes();
  bool scalable = cpu.getScalable() && inner != Inner::MmlaBF16;
  int64_t rows = moek::getMaxTileRows(inner, lanes);
  // Parked accumulators take a 32nd of the second-level cache.
  int64_t blockRows =
      std::clamp<int64_t>(cpu.getL2() / 32 / 128, rows, 512);
  // With 16 lanes a chunk is read once per tile and may live in the second
  // level; with fewer each tile reads it more than once, so half of the first
  // level.
  int64_t chunk = lanes == 16 ? cpu.getL2() / 32 * 3 : cpu.getL1() / 2;
  int64_t run = 2 << 20;
  // Up to six rows the kernels wait for memory anyway, and the hardware
  // prefetcher follows the stream best when left alone; tiles that compute
  // longer per line than it looks ahead want help.
  return ScheduleAttr::get(cpu.getContext(), inner, lanes, rows, blockRows,
                           toBlocks(chunk), run, /*streamRows=*/6,
                           /*streamAhead=*/0, /*tileAhead=*/8192, scalable);
}

/// Lists of a mask: compressing 64 bytes beats four times 16 words, both beat
/// the table.
static moek::PackBy selectPackBy(CpuAttr cpu) {
  if (cpu.getArch() != moek::Arch::X86_64 || cpu.getLanes() < 16)
    return moek::PackBy::Table;
  return cpu.getFeatures().contains("avx512vbmi2")
             ? moek::PackBy::CompressBytes
             : moek::PackBy::Compress;
}

/// Gives the rows that `producer` hands to grouped matmuls alone the length and
/// the element type that those read.
static void padIntermediate(RewriterBase &rewriter,
                            moek::GroupedMatmulOp producer) {
  if (producer.getPositions() || producer->getNumResults() != 1)
    return;
  Value rows = producer.getResults()[0];
  moek::GroupedMatmulOp consumer;
  for (OpOperand &use : rows.getUses()) {
    auto user = dyn_cast<moek::GroupedMatmulOp>(use.getOwner());
    if (!user || use.get() != user.getLhs() || user.getGather() ||
        user.getOutputs()[0] == rows ||
        (consumer && (consumer.getSchedule() != user.getSchedule() ||
                      consumer.getK() != user.getK())))
      return;
    consumer = user;
  }
  auto empty = producer.getOutputs()[0].getDefiningOp<tensor::EmptyOp>();
  if (!consumer || !empty || !empty->hasOneUse() ||
      consumer.getK() != producer.getN())
    return;
  Inner inner = consumer.getSchedule()->getInner();
  Type element = inner == Inner::DotBF16 || inner == Inner::MmlaBF16
                     ? Type(BFloat16Type::get(rewriter.getContext()))
                     : Type(Float32Type::get(rewriter.getContext()));
  auto type = cast<RankedTensorType>(rows.getType());
  auto padded = RankedTensorType::get(
      {type.getDimSize(0),
       moek::getPaddedRowLength(consumer.getK(), element)},
      element);
  rewriter.modifyOpInPlace(empty,
                           [&] { empty.getResult().setType(padded); });
  rewriter.modifyOpInPlace(producer, [&] { rows.setType(padded); });
}

/// Packs bf16 weights as mmla_bf16 reads them fastest, four k of a column side
/// by side, where nothing else reads them.
static void packForMmla(RewriterBase &rewriter, moek::PackOp pack) {
  moek::PanelsAttr layout = pack.getLayout();
  auto type = cast<RankedTensorType>(pack.getPacked().getType());
  if (layout.getKBlock() != 2 || !type.getElementType().isBF16())
    return;
  for (OpOperand &use : pack->getUses()) {
    auto user = dyn_cast<moek::GroupedMatmulOp>(use.getOwner());
    if (!user || use.get() != user.getRhs() || !user.getSchedule() ||
        user.getSchedule()->getInner() != Inner::MmlaBF16)
      return;
  }
  SmallVector<int64_t> shape(type.getShape());
  shape[2] /= 2;
  shape[4] *= 2;
  rewriter.modifyOpInPlace(pack, [&] {
    pack.setLayoutAttr(moek::PanelsAttr::get(rewriter.getContext(),
                                             layout.getColumns(), 4,
                                             layout.getInterleave()));
    pack.getPacked().setType(type.clone(shape));
  });
}

namespace {
struct SelectSchedule : public moe::impl::SelectScheduleBase<SelectSchedule> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto target = module->getAttrOfType<CpuAttr>(moek::kTargetAttrName);
    if (!cpu.empty()) {
      CpuAttr named = moe::lookupCpu(&getContext(), cpu);
      if (!named) {
        module.emitError("unknown CPU '")
            << cpu << "'; known are "
            << llvm::interleaved(moe::getKnownCpuNames());
        return signalPassFailure();
      }
      if (target && target != named) {
        module.emitError("the module is for ")
            << target << ", the option asks for " << named;
        return signalPassFailure();
      }
      target = named;
      module->setAttr(moek::kTargetAttrName, target);
    }
    if (!target) {
      module.emitError("has no target; set the module attribute '")
          << moek::kTargetAttrName << "' or the pass option 'cpu'";
      return signalPassFailure();
    }

    IRRewriter rewriter(&getContext());
    SmallVector<moek::GroupedMatmulOp> matmuls;
    WalkResult walked = module.walk([&](Operation *op) {
      if (auto route = dyn_cast<moek::RouteOp>(op)) {
        if (!route.getSchedule())
          route.setScheduleAttr(selectSchedule(target, Inner::Fma));
        if (route.getPolicy().selectsByMask() && !route.getPackBy())
          route.setPackBy(selectPackBy(target));
      } else if (auto matmul = dyn_cast<moek::GroupedMatmulOp>(op)) {
        if (!matmul.getSchedule())
          matmul.setScheduleAttr(
              selectSchedule(target, selectInner(target, matmul)));
        if (matmul.getSchedule()->getInner() == Inner::DotBF16 &&
            !target.getBf16Dot()) {
          matmul.emitOpError("multiplies with dot_bf16, which the target ")
              << target << " does not have; use widen";
          return WalkResult::interrupt();
        }
        if (matmul.getSchedule()->getInner() == Inner::MmlaBF16 &&
            !target.getBf16Mmla()) {
          matmul.emitOpError("multiplies with mmla_bf16, which the target ")
              << target << " does not have; "
              << (isPackedForMmla(matmul)
                      ? "its panels of k_block = 4 are for that alone, pack "
                        "them with k_block = 2"
                      : "use widen");
          return WalkResult::interrupt();
        }
        if (matmul.getSchedule()->getScalable() && !target.getScalable()) {
          matmul.emitOpError("has a scalable schedule, but the target ")
              << target << " has no scalable vectors";
          return WalkResult::interrupt();
        }
        matmuls.push_back(matmul);
      }
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return signalPassFailure();
    for (moek::GroupedMatmulOp matmul : matmuls) {
      padIntermediate(rewriter, matmul);
      if (auto pack = matmul.getRhs().getDefiningOp<moek::PackOp>();
          pack && !keepLayout)
        packForMmla(rewriter, pack);
    }
  }
};
} // namespace
