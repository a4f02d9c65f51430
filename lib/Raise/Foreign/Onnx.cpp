//===- Onnx.cpp - ONNX upstream ----------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Types of results follow from those of operands. What the model says they are
// is not needed, and not believed.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

/// Longer tensors are tables of the model and no sizes.
static constexpr int64_t mostKnown = 64;

void moe::raise::addOnnx(ForeignTable &table) {
  table.addDialect("onnx");
  addElementwise(table);
  addMixed(table);
  addShapes(table);
  addSlices(table);
  addIndexing(table);
  addSelection(table);
  addProducts(table);
  addReductions(table);
  addAttention(table);
  addExperts(table);
  addExportedExperts(table);
}

//===----------------------------------------------------------------------===//
// Inputs and attributes
//===----------------------------------------------------------------------===//

Value onnx::getInput(ForeignOp &op, unsigned i) {
  SmallVector<int64_t> absent =
      op.getInts("onnx_absent").value_or(SmallVector<int64_t>());
  if (llvm::is_contained(absent, static_cast<int64_t>(i)))
    return {};
  unsigned before = llvm::count_if(
      absent, [&](int64_t other) { return other < static_cast<int64_t>(i); });
  return i - before < op.getNumOperands() ? op.getOperand(i - before) : Value();
}

bool onnx::isUnsigned(ForeignOp &op, unsigned i) {
  SmallVector<int64_t> inputs =
      op.getInts("onnx_unsigned").value_or(SmallVector<int64_t>());
  return llvm::is_contained(inputs, static_cast<int64_t>(i));
}

LogicalResult onnx::needInputs(ForeignOp &op, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    Value input = getInput(op, i);
    if (!input)
      return op.leave("input " + Twine(i) + " is missing");
    if (!isa<RankedTensorType>(input.getType()))
      return op.leave("the shape of input " + Twine(i) + " is not known");
    if (isUnsigned(op, i))
      return op.leave("input " + Twine(i) + " is of unsigned integers");
  }
  return success();
}

LogicalResult onnx::needTensor(ForeignOp &op, unsigned i) {
  Value input = getInput(op, i);
  if (input && isa<RankedTensorType>(input.getType()))
    return success();
  return op.leave("the shape of input " + Twine(i) + " is not known");
}

LogicalResult onnx::needSizes(ForeignOp &op) {
  return op.leave("the sizes that it asks for are not known");
}

std::optional<Sizes> onnx::getKnownInput(ForeignOp &op, unsigned i) {
  Value input = getInput(op, i);
  if (!input || !isa<RankedTensorType>(input.getType()))
    return std::nullopt;
  return getKnown(op.upstream, input);
}

std::optional<int64_t> onnx::getAxis(int64_t axis, int64_t rank) {
  if (axis < 0)
    axis += rank;
  if (axis < 0 || axis >= rank)
    return std::nullopt;
  return axis;
}

std::optional<SmallVector<int64_t>> onnx::getAxes(ForeignOp &op, unsigned input,
                                                  int64_t rank) {
  std::optional<SmallVector<int64_t>> axes = op.getInts("axes");
  if (!axes) {
    Value tensor = getInput(op, input);
    if (!tensor)
      return SmallVector<int64_t>();
    axes = getConstants(tensor);
  }
  if (!axes)
    return std::nullopt;
  for (int64_t &axis : *axes) {
    std::optional<int64_t> found = getAxis(axis, rank);
    if (!found)
      return std::nullopt;
    axis = *found;
  }
  llvm::sort(*axes);
  if (std::adjacent_find(axes->begin(), axes->end()) != axes->end())
    return std::nullopt;
  return axes;
}

//===----------------------------------------------------------------------===//
// Elements that are known
//===----------------------------------------------------------------------===//

std::optional<SmallVector<int64_t>> onnx::getConstants(Value tensor) {
  DenseIntElementsAttr constant;
  if (!matchPattern(tensor, m_Constant(&constant)) ||
      constant.getNumElements() > mostKnown || constant.getType().getRank() > 1)
    return std::nullopt;
  SmallVector<int64_t> values;
  for (const APInt &value : constant.getValues<APInt>())
    values.push_back(value.getBitWidth() == 1
                         ? static_cast<int64_t>(value.getZExtValue())
                         : value.getSExtValue());
  return values;
}

std::optional<Sizes> onnx::getKnown(Upstream &upstream, Value tensor) {
  OpBuilder &b = upstream.getBuilder();
  Sizes known;
  if (std::optional<SmallVector<int64_t>> constants = getConstants(tensor)) {
    for (int64_t value : *constants)
      known.push_back(b.getIndexAttr(value));
    return known;
  }
  auto elements = tensor.getDefiningOp<tensor::FromElementsOp>();
  if (!elements || elements.getType().getRank() > 1 ||
      !elements.getType().getElementType().isInteger(64))
    return std::nullopt;
  for (Value element : elements.getElements()) {
    IntegerAttr constant;
    if (matchPattern(element, m_Constant(&constant)))
      known.push_back(b.getIndexAttr(constant.getInt()));
    else if (auto cast = element.getDefiningOp<arith::IndexCastOp>())
      known.push_back(cast.getIn());
    else
      known.push_back(arith::IndexCastOp::create(b, upstream.getLoc(),
                                                 b.getIndexType(), element)
                          .getResult());
  }
  return known;
}

Value onnx::makeKnown(Upstream &upstream, const Sizes &elements, int64_t rank,
                      Type element) {
  OpBuilder &b = upstream.getBuilder();
  Location loc = upstream.getLoc();
  SmallVector<int64_t> shape;
  if (rank == 1)
    shape.push_back(elements.size());
  auto type = RankedTensorType::get(shape, element);
  SmallVector<Attribute> constants;
  for (OpFoldResult size : elements)
    if (std::optional<int64_t> constant = getConstantIntValue(size))
      constants.push_back(b.getIntegerAttr(element, *constant));
  if (constants.size() == elements.size())
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(type, constants));
  SmallVector<Value> values;
  for (OpFoldResult size : elements) {
    if (std::optional<int64_t> constant = getConstantIntValue(size))
      values.push_back(arith::ConstantOp::create(
          b, loc, b.getIntegerAttr(element, *constant)));
    else
      values.push_back(
          arith::IndexCastOp::create(b, loc, element, toValue(upstream, size)));
  }
  return tensor::FromElementsOp::create(b, loc, type, values);
}

bool onnx::isSameSize(OpFoldResult a, OpFoldResult b) {
  if (isEqualConstantIntOrValue(a, b))
    return true;
  if (getConstantIntValue(a) && getConstantIntValue(b))
    return false;
  FailureOr<bool> isSame = ValueBoundsConstraintSet::areEqual(a, b);
  return succeeded(isSame) && *isSame;
}

Value onnx::toValue(Upstream &upstream, OpFoldResult size) {
  if (auto value = dyn_cast<Value>(size))
    return value;
  return upstream.scalar(upstream.getBuilder().getIndexType(),
                         *getConstantIntValue(size));
}

/// One arithmetic operation by its affine expression.
static OpFoldResult apply(Upstream &upstream, AffineExpr expr, OpFoldResult a,
                          OpFoldResult b) {
  return affine::makeComposedFoldedAffineApply(upstream.getBuilder(),
                                               upstream.getLoc(), expr, {a, b});
}

OpFoldResult onnx::add(Upstream &upstream, OpFoldResult a, OpFoldResult b) {
  MLIRContext *context = upstream.getBuilder().getContext();
  return apply(
      upstream,
      getAffineSymbolExpr(0, context) + getAffineSymbolExpr(1, context), a, b);
}

OpFoldResult onnx::subtract(Upstream &upstream, OpFoldResult a,
                            OpFoldResult b) {
  MLIRContext *context = upstream.getBuilder().getContext();
  return apply(
      upstream,
      getAffineSymbolExpr(0, context) - getAffineSymbolExpr(1, context), a, b);
}

OpFoldResult onnx::multiply(Upstream &upstream, OpFoldResult a,
                            OpFoldResult b) {
  if (getConstantIntValue(a) || getConstantIntValue(b)) {
    MLIRContext *context = upstream.getBuilder().getContext();
    return apply(upstream,
                 getAffineSymbolExpr(0, context) *
                     getAffineSymbolExpr(1, context),
                 a, b);
  }
  return arith::MulIOp::create(upstream.getBuilder(), upstream.getLoc(),
                               toValue(upstream, a), toValue(upstream, b))
      .getResult();
}

OpFoldResult onnx::divide(Upstream &upstream, OpFoldResult a, OpFoldResult b) {
  std::optional<int64_t> left = getConstantIntValue(a),
                         right = getConstantIntValue(b);
  if (right == 1)
    return a;
  if (left && right && *right != 0)
    return upstream.getBuilder().getIndexAttr(*left / *right);
  return arith::DivSIOp::create(upstream.getBuilder(), upstream.getLoc(),
                                toValue(upstream, a), toValue(upstream, b))
      .getResult();
}

TypedAttr onnx::getSplat(Value tensor) {
  DenseElementsAttr constant;
  if (!matchPattern(tensor, m_Constant(&constant)) || constant.empty() ||
      !isa<FloatType, IntegerType>(constant.getElementType()))
    return {};
  if (constant.isSplat())
    return constant.getSplatValue<TypedAttr>();
  return {};
}

//===----------------------------------------------------------------------===//
// Words that several tables use
//===----------------------------------------------------------------------===//

FailureOr<Value> onnx::elementwise(Upstream &upstream, ValueRange inputs,
                                   Type element, Upstream::Body body) {
  int64_t rank = 0, most = 0;
  for (Value input : inputs)
    most = std::max(most, Upstream::typeOf(input).getRank());
  SmallVector<TypedAttr> constants;
  SmallVector<Value> tensors;
  for (Value input : inputs) {
    TypedAttr constant = getSplat(input);
    // One that has more elements, if the same ones, may decide the shape.
    if (constant && Upstream::typeOf(input).getNumElements() != 1)
      constant = {};
    constants.push_back(constant);
    if (constant)
      continue;
    tensors.push_back(input);
    rank = std::max(rank, Upstream::typeOf(input).getRank());
  }
  if (tensors.empty() || rank < most) {
    constants.assign(inputs.size(), {});
    tensors.assign(inputs.begin(), inputs.end());
  }
  if (failed(upstream.broadcastTogether(tensors)))
    return failure();
  return upstream.elementwise(
      tensors, element, [&](OpBuilder &nested, ValueRange v) {
        SmallVector<Value> all;
        unsigned next = 0;
        for (TypedAttr constant : constants)
          all.push_back(constant ? arith::ConstantOp::create(
                                       nested, upstream.getLoc(), constant)
                                       .getResult()
                                 : v[next++]);
        return body(nested, all);
      });
}

Value onnx::wrapIndex(OpBuilder &b, Location loc, Value index,
                      OpFoldResult size) {
  Type type = index.getType();
  if (!type.isIndex()) {
    IntegerAttr constant;
    if (matchPattern(index, m_Constant(&constant)) && constant.getInt() >= 0)
      return arith::ConstantIndexOp::create(b, loc, constant.getInt());
    index = arith::IndexCastOp::create(b, loc, b.getIndexType(), index);
  }
  Value end = getValueOrCreateConstantIndexOp(b, loc, size);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value isNegative =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, index, zero);
  Value sum = arith::AddIOp::create(b, loc, index, end);
  return arith::SelectOp::create(b, loc, isNegative, sum, index);
}

Value onnx::keepAxes(Upstream &upstream, Value reduced, const Sizes &sizes,
                     ArrayRef<int64_t> axes, bool keep) {
  if (!keep)
    return reduced;
  Sizes kept(sizes);
  for (int64_t axis : axes)
    kept[axis] = upstream.getBuilder().getIndexAttr(1);
  return upstream.reshape(reduced, kept);
}
