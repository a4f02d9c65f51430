//===- OnnxMixed.cpp - Inputs of several types in ONNX ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Elementwise operators whose inputs or results are of several types, or may be
// left out.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

static LogicalResult convertPow(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Value base = op.getOperand(0), exponent = op.getOperand(1);
  Type element = Upstream::typeOf(base).getElementType();
  if (!isa<FloatType>(element))
    return op.leave("it is known for floats only");
  std::optional<double> power;
  if (TypedAttr splat = getSplat(exponent)) {
    if (auto number = dyn_cast<FloatAttr>(splat))
      power = number.getValueAsDouble();
    else if (auto integer = dyn_cast<IntegerAttr>(splat))
      power = static_cast<double>(integer.getInt());
  }
  exponent = op.upstream.cast(exponent, element);
  FailureOr<Value> result =
      elementwise(op.upstream, {base, exponent}, element,
                  [&](OpBuilder &b, ValueRange v) -> Value {
                    // As exact as it gets, and what everybody means.
                    if (power == 2.0)
                      return arith::MulFOp::create(b, op.getLoc(), v[0], v[0]);
                    if (power == 1.0)
                      return v[0];
                    return math::PowFOp::create(b, op.getLoc(), v[0], v[1]);
                  });
  return succeeded(result) ? op.replace(*result)
                           : op.leave("the shapes of its inputs differ");
}

/// The type of elements that ONNX's number stands for; null if there is none
/// here, and for unsigned ones but bytes.
static Type getElementType(Builder &b, int64_t number) {
  switch (number) {
  case 1:
    return b.getF32Type();
  case 3:
    return b.getI8Type();
  case 5:
    return b.getI16Type();
  case 6:
    return b.getI32Type();
  case 7:
    return b.getI64Type();
  case 9:
    return b.getI1Type();
  case 10:
    return b.getF16Type();
  case 11:
    return b.getF64Type();
  case 16:
    return b.getBF16Type();
  default:
    return {};
  }
}

static LogicalResult convertCast(ForeignOp &op) {
  Value input = getInput(op, 0);
  if (!input || !isa<RankedTensorType>(input.getType()))
    return op.leave("the shape of its input is not known");
  OpBuilder &b = op.upstream.getBuilder();
  Type to = getElementType(b, op.getInt("to", 0));
  if (!to)
    return op.leave("its result is of a type that is not known");
  Type from = Upstream::typeOf(input).getElementType();
  if (isUnsigned(op, 0) && from.getIntOrFloatBitWidth() < 64) {
    // All that they are fits into a wider type.
    input = op.upstream.elementwise(
        input, b.getI64Type(), [&](OpBuilder &nested, ValueRange v) -> Value {
          return arith::ExtUIOp::create(nested, op.getLoc(),
                                        nested.getI64Type(), v[0]);
        });
  } else if (isUnsigned(op, 0)) {
    return op.leave("its input is of unsigned integers");
  } else if (from.isInteger() && to.isInteger() && !to.isInteger(1)) {
    if (std::optional<Sizes> known = getKnown(op.upstream, input))
      return op.replace(makeKnown(op.upstream, *known,
                                  Upstream::typeOf(input).getRank(), to));
  }
  return op.replace(op.upstream.cast(input, to));
}

static LogicalResult convertClip(ForeignOp &op) {
  if (failed(needInputs(op, 1)))
    return failure();
  SmallVector<Value> inputs = {getInput(op, 0)};
  Type element = Upstream::typeOf(inputs[0]).getElementType();
  Value low = getInput(op, 1), high = getInput(op, 2);
  for (Value bound : {low, high}) {
    if (!bound)
      continue;
    auto type = dyn_cast<RankedTensorType>(bound.getType());
    if (!type || type.getElementType() != element)
      return op.leave("a bound is not of the type of its input");
    inputs.push_back(bound);
  }
  FailureOr<Value> result = elementwise(
      op.upstream, inputs, element, [&](OpBuilder &b, ValueRange v) {
        Location loc = op.getLoc();
        Value value = v[0];
        bool isFloat = isa<FloatType>(element);
        if (low)
          value =
              isFloat
                  ? arith::MaximumFOp::create(b, loc, value, v[1]).getResult()
                  : arith::MaxSIOp::create(b, loc, value, v[1]).getResult();
        if (high)
          value =
              isFloat
                  ? arith::MinimumFOp::create(b, loc, value, v.back())
                        .getResult()
                  : arith::MinSIOp::create(b, loc, value, v.back()).getResult();
        return value;
      });
  return succeeded(result) ? op.replace(*result)
                           : op.leave("the shapes of its inputs differ");
}

static LogicalResult convertWhere(ForeignOp &op) {
  if (failed(needInputs(op, 3)))
    return failure();
  ValueRange v = op.getOperands();
  Type element = Upstream::typeOf(v[1]).getElementType();
  if (!Upstream::typeOf(v[0]).getElementType().isInteger(1) ||
      Upstream::typeOf(v[2]).getElementType() != element)
    return op.leave("its inputs are of different types");
  std::optional<SmallVector<int64_t>> which = getConstants(v[0]);
  if (which && element.isInteger(64)) {
    std::optional<Sizes> left = getKnown(op.upstream, v[1]),
                         right = getKnown(op.upstream, v[2]);
    if (left && right && left->size() == which->size() &&
        right->size() == which->size()) {
      Sizes result;
      for (size_t i = 0; i < which->size(); ++i)
        result.push_back((*which)[i] ? (*left)[i] : (*right)[i]);
      return op.replace(makeKnown(op.upstream, result,
                                  Upstream::typeOf(v[1]).getRank(), element));
    }
  }
  FailureOr<Value> result =
      elementwise(op.upstream, v, element, [&](OpBuilder &b, ValueRange s) {
        return arith::SelectOp::create(b, op.getLoc(), s[0], s[1], s[2])
            .getResult();
      });
  return succeeded(result) ? op.replace(*result)
                           : op.leave("the shapes of its inputs differ");
}

static LogicalResult convertIdentity(ForeignOp &op) {
  Value input = getInput(op, 0);
  if (!input || !isa<RankedTensorType>(input.getType()))
    return op.leave("the shape of its input is not known");
  if (op.getOperation()->getNumResults() != 1)
    return op.leave("its mask is asked for");
  return op.replace(input);
}

void onnx::addMixed(ForeignTable &table) {
  table.add("onnx.Pow", convertPow);
  table.add("onnx.Cast", convertCast);
  table.add("onnx.Clip", convertClip);
  table.add("onnx.Where", convertWhere);
  table.add("onnx.Identity", convertIdentity);
  table.add("onnx.Dropout", convertIdentity);
}
