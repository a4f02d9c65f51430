//===- ExternalCall.cpp - moek.external_call to parallel calls -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Lowerings.h"

using namespace mlir;
using namespace moe;

/// `sizes[0]` rows of `memref` from `first` on; without the first dimension if
/// `isOne`.
static Value emitPart(Emitter &e, Value memref, Value first, OpFoldResult rows,
                      bool isOne) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<OpFoldResult> offsets(type.getRank(), e.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(type.getRank(), e.getIndexAttr(1));
  SmallVector<OpFoldResult> sizes = {rows};
  for (int64_t size : type.getShape().drop_front())
    sizes.push_back(e.getIndexAttr(size));
  offsets[0] = first;
  if (!isOne)
    return memref::SubViewOp::create(e, memref, offsets, sizes, strides);
  auto one = memref::SubViewOp::inferRankReducedResultType(
      type.getShape().drop_front(), type, offsets, sizes, strides);
  return memref::SubViewOp::create(e, cast<MemRefType>(one), memref, offsets,
                                   sizes, strides);
}

LogicalResult moe::lowerExternalCall(Emitter &e, moek::ExternalCallOp op) {
  for (ValueRange operands :
       {ValueRange(op.getRows()), ValueRange(op.getParameters()),
        ValueRange(op.getOutputs())})
    for (Value operand : operands)
      if (!cast<MemRefType>(operand.getType()).getLayout().isIdentity())
        return op.emitOpError("passes C functions memory without gaps, not ")
               << operand.getType();
  Value offsets = op.getOffsets(), out = op.getOutputs()[0],
        failures = op.getOutputs()[1];
  int64_t experts = cast<MemRefType>(offsets.getType()).getDimSize(0) - 1;
  int64_t batch = op.getExternal().getBatch();
  int64_t columns = cast<MemRefType>(out.getType()).getDimSize(1);
  auto isZeros = op.getExternal().getOnFailure() == OnFailure::Zeros;
  auto rowsOf = [&](Emitter &e, Value expert) {
    Value first = e.loadIndex(offsets, ValueRange{expert});
    Value end = e.loadIndex(offsets, ValueRange{e.add(expert, 1)});
    return std::pair(first, e.sub(end, first));
  };

  emitTrace(e, "begin", "external");
  e.store(e.i32(0), failures, ValueRange());
  // The first call of each expert, and behind the last one how many there are.
  Value starts = emitScratch(
      e, MemRefType::get({experts + 1}, e.getI32Type()), ValueRange());
  e.store(e.i32(0), starts, ValueRange{e.idx(0)});
  e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
    Value rows = rowsOf(e, expert).second;
    Value calls =
        batch ? e.ceilDiv(rows, batch) : e.min(rows, e.idx(1));
    Value before = e.loadIndex(starts, ValueRange{expert});
    e.store(e.toI32(e.add(before, calls)), starts,
            ValueRange{e.add(expert, 1)});
  });
  e.parallel(e.loadIndex(starts, ValueRange{e.idx(experts)}),
             [&](Emitter &e, Value item) {
    e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
      Value begin = e.loadIndex(starts, ValueRange{expert});
      Value end = e.loadIndex(starts, ValueRange{e.add(expert, 1)});
      Value isHere = arith::AndIOp::create(
          e, e.cmp(arith::CmpIPredicate::sle, begin, item), e.lt(item, end));
      e.ifThen(isHere, [&](Emitter &e) {
        auto [first, rows] = rowsOf(e, expert);
        if (batch) {
          Value done = e.mul(e.sub(item, begin), batch);
          first = e.add(first, done);
          rows = e.min(e.sub(rows, done), e.idx(batch));
        }
        SmallVector<Value> arguments;
        for (Value own : op.getRows())
          arguments.push_back(emitPart(e, own, first, rows, false));
        for (Value own : op.getParameters())
          arguments.push_back(
              emitPart(e, own, expert, e.getIndexAttr(1), true));
        Value written = emitPart(e, out, first, rows, false);
        arguments.push_back(written);
        Value status = moert::CallOp::create(
            e, e.getI32Type(), op.getCallee(),
            e.add(expert, op.getFirstExpert()), rows, arguments);
        Value failed =
            e.cmp(arith::CmpIPredicate::ne, status, e.i32(0));
        e.ifThen(failed, [&](Emitter &e) {
          memref::AtomicRMWOp::create(e, arith::AtomicRMWKind::addi, e.i32(1),
                                      failures, ValueRange());
          if (!isZeros)
            return;
          e.loop(rows, [&](Emitter &e, Value row) {
            e.loop(e.idx(columns), [&](Emitter &e, Value column) {
              e.store(e.f32(0), written, ValueRange{row, column});
            });
          });
        });
      });
    });
  });
  emitTrace(e, "end", "external");
  return success();
}
