//===- LowerRows.cpp - Products, gather and combine -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One element of the result after another, each a sum in ascending order of k.
// Weights are `[E, P, N, K]`: nobody gave them a layout.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

using namespace mlir;
using namespace acmec;

/// a = lhs[token][0 : k] * weight: the row that `r` stands for.
static Value emitElement(Loops &b, Value rows, Value tokens, Value weights,
                         Value r, Value column) {
  Value token = tokens ? b.loadIndex(tokens, r) : r;
  Value value = b.loadF32(rows, {token, column});
  return weights ? b.mulf(value, b.load(weights, r)) : value;
}

/// What a region gets of its operands for row `r` of an expert: `get` gives the
/// entry or the row of a matrix, an operand of rank 1 has one number a row.
static void addRowOperands(Loops &b, SmallVectorImpl<Value> &arguments,
                           ValueRange operands, Value row,
                           function_ref<Value(Value matrix, Value row)> get) {
  for (Value operand : operands)
    arguments.push_back(cast<MemRefType>(operand.getType()).getRank() == 1
                            ? b.load(operand, row)
                            : get(operand, row));
}

void acmec::lowerGroupedMatmul(Loops &b, moek::GroupedMatmulOp op) {
  int64_t n = op.getN(), k = op.getK(), parts = op.getParts();
  Value experts = b.idx(op.getNumExperts());
  Value active = b.loadIndex(op.getActive(), experts);
  Value gather = op.getGather(), out = op.getOutputs()[0];
  StringRef phase = op.getPhase().value_or("matmul");
  Value rows = out;
  if (op.getPositions())
    rows = b.buffer({ShapedType::kDynamic, n}, b.getF32Type(),
                    b.dim(gather ? gather : op.getLhs(), 0));

  b.trace("begin", phase);
  b.parallel(b.mul(active, n), [&](Value item) {
    Value expert = b.loadIndex(op.getActive(), b.div(item, n));
    Value column = b.rem(item, n);
    Value begin = b.loadIndex(op.getOffsets(), expert);
    Value end = b.loadIndex(op.getOffsets(), b.add(expert, 1));
    b.loop(begin, end, [&](Value r) {
      SmallVector<Value> sums;
      for (int64_t part = 0; part < parts; ++part) {
        Value sum = b.fold(b.idx(k), b.f32(0.0), [&](Value i, Value sum) {
          Value x =
              emitElement(b, op.getLhs(), gather, op.getGatherWeights(), r, i);
          Value w = b.loadF32(op.getRhs(), {expert, b.idx(part), column, i});
          return b.addf(sum, b.mulf(x, w));
        });
        sums.push_back(sum);
      }
      auto entry = [&](Value matrix, Value row) {
        return b.load(matrix, {row, column});
      };
      Value token = op.getTokens() ? b.loadIndex(op.getTokens(), r) : Value();
      addRowOperands(b, sums, op.getGathered(), token, entry);
      addRowOperands(b, sums, op.getRows(), r, entry);
      addRowOperands(b, sums, op.getParameters(), expert, entry);
      b.store(b.inlineBody(op.getEpilogue().front(), sums)[0], rows,
              {r, column});
    });
  });
  b.trace("end", phase);
  if (!op.getPositions())
    return;
  b.trace("begin", "combine");
  emitCombine(b, {rows, op.getPositions(), op.getSlotWeights(), op.getInit(),
                  op.getFirstRow(), op.getNumRows(), out, n});
  b.trace("end", "combine");
}

void acmec::lowerRowMap(Loops &b, moek::RowMapOp op) {
  int64_t experts =
      cast<MemRefType>(op.getOffsets().getType()).getDimSize(0) - 1;
  int64_t length = op.getRowLength();
  b.trace("begin", "rows");
  b.parallel(b.idx(experts), [&](Value expert) {
    Value begin = b.loadIndex(op.getOffsets(), expert);
    Value end = b.loadIndex(op.getOffsets(), b.add(expert, 1));
    b.loop(begin, end, [&](Value r) {
      auto whole = [&](Value matrix, Value row) {
        return b.loadRow(matrix, {row, b.idx(0)}, length);
      };
      SmallVector<Value> arguments;
      Value token = op.getTokens() ? b.loadIndex(op.getTokens(), r) : Value();
      addRowOperands(b, arguments, op.getGathered(), token, whole);
      addRowOperands(b, arguments, op.getRows(), r, whole);
      addRowOperands(b, arguments, op.getParameters(), expert, whole);
      for (auto [value, out] :
           llvm::zip(b.inlineBody(op.getBody().front(), arguments),
                     op.getOutputs())) {
        if (!isa<VectorType>(value.getType())) {
          b.store(value, out, r);
          continue;
        }
        Value row = b.keep(value);
        b.loop(length, [&](Value column) {
          b.store(b.load(row, column), out, {r, column});
        });
      }
    });
  });
  b.trace("end", "rows");
}

void acmec::lowerWindow(Loops &b, moek::WindowOp op) {
  Value first = op.getFirstRow(), offsets = op.getOutputs()[0],
        active = op.getOutputs()[1];
  Value experts =
      b.idx(cast<MemRefType>(op.getOffsets().getType()).getDimSize(0) - 1);
  Value all = b.loadIndex(op.getOffsets(), experts);
  Value end = b.least(b.add(first, b.dim(op.getOutputs()[2], 0)), all);
  auto place = [&](Value expert) {
    Value row = b.least(b.loadIndex(op.getOffsets(), expert), end);
    return b.sub(b.op<arith::MaxUIOp>(row, first), first);
  };
  Value count = b.fold(experts, b.idx(0), [&](Value expert, Value count) {
    Value begin = place(expert), behind = place(b.add(expert, 1));
    b.store(b.toI32(begin), offsets, expert);
    b.store(b.toI32(expert), active, count);
    Value has = b.cmp(Loops::Predicate::ult, begin, behind);
    return b.select(has, b.add(count, 1), count);
  });
  b.store(b.toI32(place(experts)), offsets, experts);
  b.store(b.toI32(count), active, experts);
  b.loop(place(experts), [&](Value row) {
    Value from = b.add(first, row);
    b.store(b.load(op.getTokens(), from), op.getOutputs()[2], row);
    if (op.getRowWeights())
      b.store(b.load(op.getRowWeights(), from), op.getOutputs()[3], row);
  });
}

void acmec::lowerGather(Loops &b, moek::GatherOp op) {
  int64_t last = cast<MemRefType>(op.getOffsets().getType()).getDimSize(0) - 1;
  int64_t columns = cast<MemRefType>(op.getX().getType()).getDimSize(1);
  b.trace("begin", "gather");
  b.parallel(b.loadIndex(op.getOffsets(), b.idx(last)), [&](Value r) {
    b.loop(columns, [&](Value column) {
      b.store(emitElement(b, op.getX(), op.getTokens(), op.getRowWeights(), r,
                          column),
              op.getOutputs()[0], {r, column});
    });
  });
  b.trace("end", "gather");
}

void acmec::emitCombine(Loops &b, const RowSums &sums) {
  int64_t slots = cast<MemRefType>(sums.positions.getType()).getDimSize(1);
  Value columns = b.idx(sums.columns), out = sums.out;
  Value first = sums.firstRow ? b.toI32(sums.firstRow) : b.i32(0);
  Value end = b.add(first, b.toI32(b.dim(sums.rows, 0)));
  auto update = [&](Value token, llvm::function_ref<Value(Value)> next) {
    b.loop(columns, [&](Value column) {
      b.store(next(column), out, {token, column});
    });
  };
  b.parallel(b.dim(out, 0), [&](Value token) {
    auto sum = [&](Value column) { return b.load(out, {token, column}); };
    b.ifThen(b.cmp(Loops::Predicate::eq, first, b.i32(0)),
             [&] { update(token, [&](Value) { return b.f32(0.0); }); });
    // One after another, each the next behind those that are done.
    b.fold(b.idx(slots), first, [&](Value, Value done) {
      Value slot = b.fold(b.idx(slots), b.idx(slots), [&](Value s, Value best) {
        auto row = [&](Value s) {
          return b.load(sums.positions, {token, b.least(s, b.idx(slots - 1))});
        };
        Value is = b.cmp(Loops::Predicate::sge, row(s), done);
        Value none = b.cmp(Loops::Predicate::eq, best, b.idx(slots));
        Value before = b.cmp(Loops::Predicate::slt, row(s), row(best));
        return b.select(b.both(is, b.either(none, before)), s, best);
      });
      Value exists = b.cmp(Loops::Predicate::ult, slot, b.idx(slots));
      return b.ifElse(exists, end, [&] {
        Value row = b.load(sums.positions, {token, slot});
        b.ifThen(b.cmp(Loops::Predicate::slt, row, end), [&] {
          update(token, [&](Value column) {
            Value value =
                b.loadF32(sums.rows,
                          {b.toIndex(b.op<arith::SubIOp>(row, first)), column});
            if (sums.weights)
              value = b.mulf(b.load(sums.weights, {token, slot}), value);
            return b.addf(sum(column), value);
          });
        });
        return b.add(row, b.i32(1));
      });
    });
    if (!sums.init)
      return;
    Value isLast = sums.numRows ? b.cmp(Loops::Predicate::sge, b.toIndex(end),
                                        sums.numRows)
                                : b.bit(true);
    b.ifThen(isLast, [&] {
      update(token, [&](Value column) {
        return b.addf(sum(column), b.loadF32(sums.init, {token, column}));
      });
    });
  });
}

void acmec::lowerCombine(Loops &b, moek::CombineOp op) {
  Value out = op.getOutputs()[0];
  b.trace("begin", "combine");
  emitCombine(b, {op.getRows(), op.getPositions(), op.getSlotWeights(),
                  op.getInit(), op.getFirstRow(), op.getNumRows(), out,
                  cast<MemRefType>(out.getType()).getDimSize(1)});
  b.trace("end", "combine");
}
