//===- WriteExpr.cpp - From expressions back to ops --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "WriteExpr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;

Value ScalarWriter::write(const Expr *expr) {
  if (Value known = values.lookup(expr))
    return known;
  Upstream upstream(b, loc);
  auto number = [&](int64_t value) {
    return upstream.scalar(b.getIndexType(), value);
  };
  SmallVector<Value> operands;
  // Both sides of a choice are read, and only one of them has to be there.
  bool isChoice = expr->is("arith.select");
  numChoices += isChoice;
  if (expr->kind != Expr::Reduce)
    for (const Expr *operand : expr->operands) {
      operands.push_back(write(operand));
      if (!operands.back())
        return {};
    }
  Value result;
  switch (expr->kind) {
  case Expr::Variable:
    // That of the only slot of a routing.
    if (expr->extent != 1)
      return {};
    result = number(0);
    break;
  case Expr::Constant:
    result = arith::ConstantOp::create(b, loc, cast<TypedAttr>(expr->value));
    break;
  case Expr::Linear:
    for (auto [operand, c] : llvm::zip_equal(operands, expr->coefficients)) {
      Value term = operand;
      if (c != 1)
        term = arith::MulIOp::create(b, loc, term, number(c));
      result =
          result ? Value(arith::AddIOp::create(b, loc, result, term)) : term;
    }
    if (expr->offset)
      result = arith::AddIOp::create(b, loc, result, number(expr->offset));
    break;
  case Expr::Element:
    if (!isa<RankedTensorType>(expr->tensor.getType())) {
      result = expr->tensor;
      break;
    }
    if (numChoices)
      for (auto [d, index] : llvm::enumerate(operands)) {
        const Expr *place = expr->operands[d];
        auto type = cast<RankedTensorType>(expr->tensor.getType());
        if (place->kind == Expr::Variable &&
            (place->extent == type.getDimSize(d) ||
             ShapedType::isDynamic(place->extent)))
          continue;
        Value size = tensor::DimOp::create(b, loc, expr->tensor, d);
        Value last = arith::SubIOp::create(b, loc, size, number(1));
        index = arith::MinSIOp::create(b, loc, index, last);
        index = arith::MaxSIOp::create(b, loc, index, number(0));
      }
    result = tensor::ExtractOp::create(b, loc, expr->tensor, operands);
    if (isa<IndexType>(expr->type) && !isa<IndexType>(result.getType()))
      result = arith::IndexCastOp::create(b, loc, b.getIndexType(), result);
    break;
  case Expr::Apply: {
    if (expr->name == "floordiv") {
      Value by = number(cast<IntegerAttr>(expr->value).getInt());
      result = arith::FloorDivSIOp::create(b, loc, operands[0], by);
      break;
    }
    OperationState state(loc, expr->name, operands, expr->type);
    if (expr->value)
      state.addAttribute("predicate", expr->value);
    result = b.create(state)->getResult(0);
    break;
  }
  default:
    return {};
  }
  numChoices -= isChoice;
  values[expr] = result;
  return result;
}

Value moe::raise::writeTensor(Upstream &upstream, const Expr *expr,
                              ArrayRef<const Expr *> variables,
                              const Sizes &sizes, Type element) {
  if (expr->kind == Expr::Element &&
      isa<RankedTensorType>(expr->tensor.getType()) &&
      llvm::equal(expr->operands, variables))
    return upstream.cast(expr->tensor, element);
  bool isGood = true;
  Location loc = upstream.getLoc();
  Value result = upstream.generate(
      sizes, element, [&](OpBuilder &b, ValueRange indices) -> Value {
        ScalarWriter writer(b, loc);
        for (auto [variable, index] : llvm::zip_equal(variables, indices))
          writer.set(variable, index);
        Upstream scalars(b, loc);
        Value value = writer.write(expr);
        isGood &= value != nullptr;
        if (!value)
          return scalars.scalar(element, 0);
        return scalars.castScalar(value, element);
      });
  if (isGood)
    return result;
  result.getDefiningOp()->erase();
  return {};
}
