//===- KnownColumns.cpp - Scores that are known -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Evaluates elementwise IR for one column, as far as constants go: a bias of
// -infinity, a mask of experts and what adds it to the scores.
//
//===----------------------------------------------------------------------===//

#include "ReachableExperts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;

namespace {

/// What is known of a number.
struct Known {
  /// Its value.
  TypedAttr value;
  /// It is -infinity or NaN.
  bool isLow = false;

  static Known of(TypedAttr attr) {
    auto number = dyn_cast_or_null<FloatAttr>(attr);
    return {attr, number && (number.getValue().isNaN() ||
                             (number.getValue().isInfinity() &&
                              number.getValue().isNegative()))};
  }
};

class Evaluator {
public:
  Known evaluate(Value tensor, int64_t column) {
    auto [place, isNew] = known.try_emplace({tensor, column});
    if (!isNew)
      return place->second;
    // A value of a graph region that depends on itself stays unknown.
    Known result = compute(tensor, column);
    return known[{tensor, column}] = result;
  }

private:
  Known compute(Value tensor, int64_t column);
  Known computeScalar(Operation *op, ArrayRef<Known> operands);
  Known computeBody(linalg::LinalgOp op, int64_t column);

  DenseMap<std::pair<Value, int64_t>, Known> known;
};

} // namespace

Known Evaluator::compute(Value tensor, int64_t column) {
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  Operation *def = tensor.getDefiningOp();
  if (!type || !def)
    return {};
  if (DenseElementsAttr constant; matchPattern(tensor, m_Constant(&constant))) {
    if (constant.isSplat())
      return Known::of(constant.getSplatValue<TypedAttr>());
    int64_t columns = type.getRank() ? type.getShape().back() : 1;
    Known result;
    auto all = constant.getValues<Attribute>();
    for (int64_t i = column; i < type.getNumElements(); i += columns) {
      Known one = Known::of(cast<TypedAttr>(Attribute(all[i])));
      if (i == column)
        result = one;
      result.isLow &= one.isLow;
      if (result.value != one.value)
        result.value = {};
    }
    return result;
  }
  if (auto fill = dyn_cast<linalg::FillOp>(def)) {
    TypedAttr number;
    if (matchPattern(fill.getInputs().front(), m_Constant(&number)))
      return Known::of(number);
    return {};
  }
  if (auto op = dyn_cast<linalg::LinalgOp>(def))
    return computeBody(op, column);
  if (isa<tensor::CastOp>(def))
    return evaluate(def->getOperand(0), column);
  if (!OpTrait::hasElementwiseMappableTraits(def) || def->getNumResults() != 1)
    return {};
  SmallVector<Known> operands;
  for (Value operand : def->getOperands())
    operands.push_back(isa<RankedTensorType>(operand.getType())
                           ? evaluate(operand, column)
                           : Known());
  return computeScalar(def, operands);
}

/// A number of an elementwise op; unknown if it is none.
Known Evaluator::computeBody(linalg::LinalgOp op, int64_t column) {
  if (!op.hasPureTensorSemantics() || op->getNumResults() != 1 ||
      op.getNumLoops() != op.getNumParallelLoops() ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return {};
  DenseMap<Value, Known> values;
  Block &body = *op.getBlock();
  for (OpOperand *operand : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(operand);
    Known number;
    auto type = dyn_cast<RankedTensorType>(operand->get().getType());
    AffineExpr last =
        map.getNumResults() ? map.getResult(map.getNumResults() - 1) : nullptr;
    if (!type) {
      if (TypedAttr attr; matchPattern(operand->get(), m_Constant(&attr)))
        number = Known::of(attr);
    } else if (!last || last == getAffineConstantExpr(0, op->getContext())) {
      number = evaluate(operand->get(), 0);
    } else if (last ==
               getAffineDimExpr(op.getNumLoops() - 1, op->getContext())) {
      number = evaluate(operand->get(), column);
    }
    values[body.getArgument(operand->getOperandNumber())] = number;
  }
  auto look = [&](Value value) -> Known {
    if (auto found = values.find(value); found != values.end())
      return found->second;
    TypedAttr attr;
    return matchPattern(value, m_Constant(&attr)) ? Known::of(attr) : Known();
  };
  for (Operation &inner : body.without_terminator()) {
    if (inner.getNumResults() != 1)
      return {};
    SmallVector<Known> operands;
    for (Value operand : inner.getOperands())
      operands.push_back(look(operand));
    values[inner.getResult(0)] = computeScalar(&inner, operands);
  }
  return look(body.getTerminator()->getOperand(0));
}

Known Evaluator::computeScalar(Operation *op, ArrayRef<Known> operands) {
  if (TypedAttr attr; matchPattern(op, m_Constant(&attr)))
    return isa<ElementsAttr>(attr) ? Known() : Known::of(attr);
  auto isPositive = [](Known number) {
    auto attr = dyn_cast_or_null<FloatAttr>(number.value);
    return attr && attr.getValue().isFiniteNonZero() &&
           !attr.getValue().isNegative();
  };
  if (auto select = dyn_cast<arith::SelectOp>(op)) {
    if (auto which = dyn_cast_or_null<IntegerAttr>(operands[0].value))
      return operands[which.getValue().isZero() ? 2 : 1];
    return {{}, operands[1].isLow && operands[2].isLow};
  }
  // On numbers alone: the op's own folding.
  if (isa<FloatType, IntegerType>(op->getResult(0).getType()) &&
      !operands.empty() &&
      llvm::all_of(operands, [](Known k) { return bool(k.value); })) {
    SmallVector<Attribute> constants;
    for (Known number : operands)
      constants.push_back(number.value);
    SmallVector<OpFoldResult> folded;
    if (succeeded(op->fold(constants, folded)) && folded.size() == 1)
      if (auto attr = dyn_cast<Attribute>(folded.front()))
        return Known::of(dyn_cast<TypedAttr>(attr));
  }
  bool isLow = false;
  if (isa<arith::AddFOp, arith::MinimumFOp>(op))
    isLow = operands[0].isLow || operands[1].isLow;
  else if (isa<arith::SubFOp>(op))
    isLow = operands[0].isLow;
  else if (isa<arith::MaximumFOp>(op))
    isLow = operands[0].isLow && operands[1].isLow;
  else if (isa<arith::MulFOp>(op))
    isLow = (operands[0].isLow && isPositive(operands[1])) ||
            (operands[1].isLow && isPositive(operands[0]));
  else if (isa<arith::DivFOp>(op))
    isLow = operands[0].isLow && isPositive(operands[1]);
  else if (isa<arith::ExtFOp, arith::TruncFOp>(op))
    isLow = operands[0].isLow;
  return {{}, isLow};
}

bool moe::isNeverANumber(Value tensor, int64_t column) {
  return Evaluator().evaluate(tensor, column).isLow;
}

TypedAttr moe::getKnownColumn(Value tensor, int64_t column) {
  return Evaluator().evaluate(tensor, column).value;
}
