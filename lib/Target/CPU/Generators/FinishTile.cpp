//===- FinishTile.cpp - Multiply-adds and prefetches of tiles ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Halide.h"

#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"

using namespace moe;
using namespace llvm;

/// The parameter that a pointer's buffer comes from: `host` of it was loaded.
static const Argument *getBuffer(const Value *pointer) {
  const auto *host = dyn_cast<LoadInst>(getUnderlyingObject(pointer, 0));
  return host ? dyn_cast<Argument>(
                    getUnderlyingObject(host->getPointerOperand()))
              : nullptr;
}

static void prefetch(IRBuilder<> &builder, Value *address, int64_t level) {
  builder.CreateIntrinsic(Intrinsic::prefetch, {builder.getPtrTy()},
                          {address, builder.getInt32(0),
                           builder.getInt32(static_cast<uint32_t>(4 - level)),
                           builder.getInt32(1)});
}

/// The loads of a step where a line of the panel, 64 bytes, begins.
static SmallVector<LoadInst *> getLines(Loop &loop, const Argument *panel) {
  SmallVector<LoadInst *> lines;
  const DataLayout &layout = panel->getParent()->getDataLayout();
  for (BasicBlock *block : loop.blocks())
    for (Instruction &instruction : *block) {
      auto *load = dyn_cast<LoadInst>(&instruction);
      if (!load || getBuffer(load->getPointerOperand()) != panel)
        continue;
      APInt offset(64, 0);
      load->getPointerOperand()->stripAndAccumulateConstantOffsets(
          layout, offset, /*AllowNonInbounds=*/true);
      if (offset.urem(64) == 0)
        lines.push_back(load);
    }
  return lines;
}

void moe::finishTile(Function &tile, const GeneratedFunction &function) {
  for (BasicBlock &block : tile)
    for (Instruction &instruction : block)
      if (instruction.getOpcode() == Instruction::FMul ||
          instruction.getOpcode() == Instruction::FAdd)
        instruction.setHasAllowContract(true);

  DominatorTree dominators(tile);
  LoopInfo loops(dominators);
  bool isFirst = true;
  for (Loop *loop : llvm::reverse(loops.getLoopsInPreorder())) {
    if (!loop->isInnermost())
      continue;
    for (LoadInst *line : getLines(*loop, tile.getArg(0))) {
      IRBuilder<> builder(line);
      for (auto [distance, level] : function.ahead)
        prefetch(builder,
                 builder.CreateConstGEP1_64(
                     builder.getInt8Ty(), line->getPointerOperand(), distance),
                 level);
    }
    // The first of several passes fetches for all.
    PHINode *step = loop->getCanonicalInductionVariable();
    if (!function.nextLevel || !step || !isFirst)
      continue;
    isFirst = false;
    IRBuilder<> builder(&*loop->getHeader()->getFirstInsertionPt());
    // After the panel, left rows, sums and steps.
    Value *next = tile.getArg(4), *stride = tile.getArg(5);
    Value *offset = builder.CreateMul(
        builder.CreateZExtOrTrunc(step, stride->getType()), stride);
    Value *address = builder.CreateIntToPtr(builder.CreateAdd(next, offset),
                                            builder.getPtrTy());
    prefetch(builder, address, function.nextLevel);
  }
}
