//===- RowMap.cpp - moek.row_map to loops over rows ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Lowerings.h"
#include "RowRegion.h"

using namespace mlir;
using namespace moe;

/// Stores some columns of a row, rounded to what `out` holds. Behind the last
/// one the row may have room for the whole vector: padding is zeros.
static void emitStore(Emitter &e, Value value, Value out, Value row,
                      Columns columns, int64_t length) {
  auto type = cast<MemRefType>(out.getType());
  Type element = type.getElementType();
  auto vector = dyn_cast<VectorType>(value.getType());
  bool rounds = getElementTypeOrSelf(value.getType()) != element;
  if (!vector) {
    if (rounds)
      value = arith::TruncFOp::create(e, element, value);
    e.store(value, out, ValueRange{row});
    return;
  }
  Value mask = columns.mask;
  if (mask && type.getDimSize(1) >= llvm::alignTo(length, kRowLanes)) {
    value = arith::SelectOp::create(e, mask, value, e.zeros(vector));
    mask = Value();
  }
  if (rounds)
    value = arith::TruncFOp::create(e, e.vec(kRowLanes, element), value);
  emitStoreMasked(e, value, out, row, {columns.first, mask});
}

LogicalResult moe::lowerRowMap(Emitter &e, moek::RowMapOp op) {
  int64_t length = op.getRowLength();
  Value offsets = op.getOffsets();
  int64_t experts = cast<MemRefType>(offsets.getType()).getDimSize(0) - 1;
  auto emitRow = [&](Emitter &e, Value row, Value expert) {
    SmallVector<ColumnLoader> arguments;
    auto add = [&](ValueRange operands, Value at) {
      for (Value operand : operands)
        arguments.push_back([operand, at](Emitter &e, Columns columns) {
          if (cast<MemRefType>(operand.getType()).getRank() == 1)
            return e.load(operand, ValueRange{at});
          return emitLoadColumns(e, operand, at, columns);
        });
    };
    Value token =
        op.getTokens() ? e.loadIndex(op.getTokens(), ValueRange{row}) : Value();
    add(op.getGathered(), token);
    add(op.getRows(), row);
    add(op.getParameters(), expert);
    emitRegionOnRow(e, op.getBody().front(), length, arguments,
                    [&](Emitter &e, unsigned i, Columns columns, Value value) {
                      emitStore(e, value, op.getOutputs()[i], row, columns,
                                length);
                    });
  };

  emitTrace(e, "begin", "rows");
  Value begin = e.loadIndex(offsets, ValueRange{e.idx(0)});
  Value end = e.loadIndex(offsets, ValueRange{e.idx(experts)});
  Value rows = e.sub(end, begin);
  int64_t tensors = op->getNumOperands() - 1;
  Value size = emitItemSize(e, rows, unitsOfItem(length * tensors * 4));
  e.parallel(e.ceilDiv(rows, size), [&](Emitter &e, Value item) {
    Value first = e.add(begin, e.mul(item, size));
    Value last = e.min(e.add(first, size), end);
    if (op.getParameters().empty()) {
      e.loop(first, last, 1,
             [&](Emitter &e, Value row) { emitRow(e, row, Value()); });
      return;
    }
    e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
      Value low = e.loadIndex(offsets, ValueRange{expert});
      Value high = e.loadIndex(offsets, ValueRange{e.add(expert, 1)});
      e.loop(e.max(low, first), e.min(high, last), 1,
             [&](Emitter &e, Value row) { emitRow(e, row, expert); });
    });
  });
  emitTrace(e, "end", "rows");
  return success();
}
