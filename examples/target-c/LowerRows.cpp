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

#include "mlir/Dialect/Vector/Utils/VectorUtils.h"

using namespace mlir;
using namespace acmec;

/// a = lhs[token][0 : k] * weight: the row that `r` stands for.
static Value emitElement(Loops &b, Value rows, Value tokens, Value weights,
                         Value r, Value column) {
  Value token = tokens ? b.loadIndex(tokens, r) : r;
  Value value = b.loadF32(rows, {token, column});
  return weights ? b.mulf(value, b.load(weights, r)) : value;
}

/// An element of what a kernel reads beside its main operands: at `column` of
/// `row`, or the one value of the row.
static Value emitOperand(Loops &b, Value operand, Value row, Value column) {
  if (cast<MemRefType>(operand.getType()).getRank() == 1)
    return b.load(operand, row);
  return b.load(operand, {row, column});
}

/// All of them, in the order of the region's arguments.
template <typename OpTy>
static SmallVector<Value> emitOperands(Loops &b, OpTy op, Value row,
                                       Value expert, Value column) {
  SmallVector<Value> all;
  Value token = op.getTokens() ? b.loadIndex(op.getTokens(), row) : Value();
  for (Value operand : op.getGathered())
    all.push_back(emitOperand(b, operand, token, column));
  for (Value operand : op.getRows())
    all.push_back(emitOperand(b, operand, row, column));
  for (Value operand : op.getParameters())
    all.push_back(emitOperand(b, operand, expert, column));
  return all;
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
      llvm::append_range(sums, emitOperands(b, op, r, expert, column));
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

namespace {
/// The region of a moek.row_map for one row. Vectors are computed element by
/// element, again wherever they are needed.
class RowBody {
public:
  RowBody(Loops &b, moek::RowMapOp op, Value row, Value expert)
      : b(b), op(op), body(op.getBody().front()), row(row), expert(expert) {}

  void emit() {
    for (auto [argument, value] :
         llvm::zip(body.getArguments(),
                   emitOperands(b, op, row, expert, b.idx(0))))
      if (!isa<VectorType>(argument.getType()))
        single[argument] = value;
    for (Operation &inner : body.without_terminator()) {
      Value result = inner.getResult(0);
      if (isa<VectorType>(result.getType()))
        continue;
      auto reduction = dyn_cast<vector::ReductionOp>(inner);
      if (!reduction) {
        single[result] = element(result, Value());
        continue;
      }
      Value vector = reduction.getVector();
      single[result] =
          b.fold(b.idx(1), b.idx(op.getRowLength()),
                 element(vector, b.idx(0)), [&](Value i, Value sum) {
                   return vector::makeArithReduction(
                       b, b.getLoc(), reduction.getKind(), sum,
                       element(vector, i));
                 });
    }
    for (auto [value, out] :
         llvm::zip(body.getTerminator()->getOperands(), op.getOutputs())) {
      if (!isa<VectorType>(value.getType())) {
        b.store(element(value, Value()), out, row);
        continue;
      }
      b.loop(op.getRowLength(), [&, value = value, out = out](Value i) {
        b.store(element(value, i), out, {row, i});
      });
    }
  }

private:
  Loops &b;
  moek::RowMapOp op;
  Block &body;
  Value row, expert;
  /// What the row has one of.
  DenseMap<Value, Value> single;

  Value element(Value value, Value column) {
    IRMapping known;
    if (column)
      known.map(body.getArguments(),
                emitOperands(b, op, row, expert, column));
    return element(value, column, known);
  }

  Value element(Value value, Value column, IRMapping &known) {
    if (Value found = single.lookup(value))
      return found;
    if (Value found = known.lookupOrNull(value))
      return found;
    Operation *def = value.getDefiningOp();
    Value result;
    if (isa<vector::BroadcastOp>(def))
      result = element(def->getOperand(0), column, known);
    else if (auto constant = dyn_cast<arith::ConstantOp>(def))
      result = emitConstant(constant, column);
    else {
      OperationState state(def->getLoc(), def->getName());
      for (Value operand : def->getOperands())
        state.operands.push_back(element(operand, column, known));
      state.types.push_back(getElementTypeOrSelf(value.getType()));
      state.addAttributes(def->getAttrs());
      result = b.create(state)->getResult(0);
    }
    known.map(value, result);
    return result;
  }

  Value emitConstant(arith::ConstantOp constant, Value column) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense)
      return arith::ConstantOp::create(b, constant.getValue());
    if (dense.isSplat())
      return arith::ConstantOp::create(
          b, cast<TypedAttr>(dense.getSplatValue<Attribute>()));
    return vector::ExtractOp::create(
        b, arith::ConstantOp::create(b, dense), column);
  }
};
} // namespace

void acmec::lowerRowMap(Loops &b, moek::RowMapOp op) {
  Value offsets = op.getOffsets();
  int64_t experts = cast<MemRefType>(offsets.getType()).getDimSize(0) - 1;
  b.trace("begin", "rows");
  b.parallel(b.idx(experts), [&](Value expert) {
    b.loop(b.loadIndex(offsets, expert),
           b.loadIndex(offsets, b.add(expert, 1)),
           [&](Value row) { RowBody(b, op, row, expert).emit(); });
  });
  b.trace("end", "rows");
}
