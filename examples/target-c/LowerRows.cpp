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
  emitCombine(b, rows, op.getPositions(), op.getSlotWeights(), op.getInit(),
              out, n);
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

void acmec::emitCombine(Loops &b, Value rows, Value positions, Value weights,
                        Value init, Value out, int64_t columns) {
  int64_t slots = cast<MemRefType>(positions.getType()).getDimSize(1);
  b.parallel(b.dim(out, 0), [&](Value token) {
    b.loop(columns, [&](Value column) {
      Value sum = b.fold(b.idx(slots), b.f32(0.0), [&](Value slot, Value sum) {
        Value row = b.load(positions, {token, slot});
        Value used = b.cmp(Loops::Predicate::sge, row, b.i32(0));
        return b.ifElse(used, sum, [&] {
          Value value = b.loadF32(rows, {b.toIndex(row), column});
          if (weights)
            value = b.mulf(b.load(weights, {token, slot}), value);
          return b.addf(sum, value);
        });
      });
      if (init)
        sum = b.addf(sum, b.loadF32(init, {token, column}));
      b.store(sum, out, {token, column});
    });
  });
}

void acmec::lowerCombine(Loops &b, moek::CombineOp op) {
  Value out = op.getOutputs()[0];
  b.trace("begin", "combine");
  emitCombine(b, op.getRows(), op.getPositions(), op.getSlotWeights(),
              op.getInit(), out, cast<MemRefType>(out.getType()).getDimSize(1));
  b.trace("end", "combine");
}
