//===- LaneWeights.cpp - The weights of chosen experts ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/Lanes/LaneWeights.h"

#include "moe-mlir/Target/Lanes/LaneRegion.h"

using namespace mlir;
using namespace moe;

/// What `table`, `[E]`, holds for the chosen, in the rows of a buffer.
static Value gatherChosen(Emitter &e, LaneSelection &l, Value table) {
  Value gathered = l.scratch(l.slots, e.getF32Type());
  e.loop(e.idx(l.slots), [&](Emitter &e, Value slot) {
    e.loop(e.idx(l.lanes), [&](Emitter &e, Value lane) {
      Value expert = e.load(l.indices, ValueRange{slot, lane});
      Value safe = arith::MaxSIOp::create(e, expert, e.i32(0));
      e.store(e.load(table, ValueRange{e.toIndex(safe)}), gathered,
              ValueRange{slot, lane});
    });
  });
  return gathered;
}

Value moe::emitLaneWeights(Emitter &e, moek::RouteOp op, LaneSelection &l) {
  VectorType floats = l.f32Type(), integers = l.i32Type();
  l.b.restoreInsertionPoint(e.saveInsertionPoint());
  Value weights = l.scratch(l.slots, e.getF32Type());
  auto isUsed = [&](Emitter &e, Value row) -> Value {
    Value expert = vector::LoadOp::create(e, integers, l.indices,
                                          ValueRange{row, e.idx(0)});
    return e.cmp(arith::CmpIPredicate::sge, expert, e.zeros(integers));
  };
  bool full = op.getPolicy().fillsAllSlots(l.experts);
  // Unused slots count as 0, whatever they hold.
  auto load = [&](Emitter &e, Value buffer, Value row) -> Value {
    Value values =
        vector::LoadOp::create(e, floats, buffer, ValueRange{row, e.idx(0)});
    return full ? values : e.select(isUsed(e, row), values, e.zeros(floats));
  };
  SmallVector<LaneLoader> arguments{
      [&](Emitter &e, Value row) -> Value { return load(e, l.values, row); }};
  if (!full)
    arguments.push_back(isUsed);
  for (Value table : op.getPerExpert()) {
    Value gathered = gatherChosen(e, l, table);
    arguments.push_back([&load, gathered](Emitter &e, Value row) -> Value {
      return load(e, gathered, row);
    });
  }
  emitRegionInLanes(
      e, op.getWeigh().front(), l.slots, l.lanes, arguments,
      [&](Emitter &e, unsigned, Value row, Value value) {
        if (!full)
          value = e.select(isUsed(e, row), value, e.zeros(floats));
        vector::StoreOp::create(e, value, weights, ValueRange{row, e.idx(0)});
      });
  return weights;
}
