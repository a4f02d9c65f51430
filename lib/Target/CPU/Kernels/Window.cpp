//===- Window.cpp - moek.window to loops ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Most calls have one window with all rows, and then pay for copies alone.
//
//===----------------------------------------------------------------------===//

#include "Lowerings.h"

using namespace mlir;
using namespace moe;

/// to[0 : count] = from[first : first + count]
static void emitCopy(Emitter &e, Value from, Value first, Value count,
                     Value to) {
  VectorType type =
      e.vec(16, cast<MemRefType>(from.getType()).getElementType());
  Value whole = e.mul(e.div(count, 16), 16);
  e.loop(e.idx(0), whole, 16, [&](Emitter &e, Value i) {
    vector::StoreOp::create(
        e, vector::LoadOp::create(e, type, from, ValueRange{e.add(first, i)}),
        to, ValueRange{i});
  });
  e.loop(whole, count, 1, [&](Emitter &e, Value i) {
    e.store(e.load(from, ValueRange{e.add(first, i)}), to, ValueRange{i});
  });
}

LogicalResult moe::lowerWindow(Emitter &e, moek::WindowOp op) {
  Value offsets = op.getOffsets(), first = op.getFirstRow();
  Value ownOffsets = op.getOutputs()[0], ownActive = op.getOutputs()[1];
  int64_t experts = cast<MemRefType>(offsets.getType()).getDimSize(0) - 1;
  Value c0 = e.idx(0), length = e.idx(experts + 1);
  Value size = e.dim(op.getOutputs()[2], 0);
  Value total = e.loadIndex(offsets, ValueRange{e.idx(experts)});
  Value end = e.min(e.add(first, size), total);
  Value count = e.sub(end, e.min(first, end));

  Value hasAll = e.eq(count, total);
  auto branch = scf::IfOp::create(e, hasAll, /*withElse=*/true);
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(branch.thenBlock());
    emitCopy(e, offsets, c0, length, ownOffsets);
    emitCopy(e, op.getActive(), c0, length, ownActive);

    e.setInsertionPointToStart(branch.elseBlock());
    auto place = [&](Emitter &e, Value expert) {
      Value offset = e.loadIndex(offsets, ValueRange{expert});
      return e.sub(e.min(e.max(offset, first), end), first);
    };
    auto loop =
        scf::ForOp::create(e, c0, e.idx(experts), e.idx(1), ValueRange{c0, c0});
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      Value expert = loop.getInductionVar();
      Value begin = loop.getRegionIterArg(0), next = loop.getRegionIterArg(1);
      Value behind = place(e, e.add(expert, 1));
      e.store(e.toI32(begin), ownOffsets, ValueRange{expert});
      e.store(e.toI32(expert), ownActive, ValueRange{next});
      Value after = e.select(e.lt(begin, behind), e.add(next, 1), next);
      scf::YieldOp::create(e, ValueRange{behind, after});
    }
    Value last = e.idx(experts);
    e.store(e.toI32(loop.getResult(0)), ownOffsets, ValueRange{last});
    e.store(e.toI32(loop.getResult(1)), ownActive, ValueRange{last});
  }
  emitCopy(e, op.getTokens(), first, count, op.getOutputs()[2]);
  if (op.getRowWeights())
    emitCopy(e, op.getRowWeights(), first, count, op.getOutputs()[3]);
  return success();
}
