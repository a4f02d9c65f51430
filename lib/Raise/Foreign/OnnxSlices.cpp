//===- OnnxSlices.cpp - Parts of tensors in ONNX ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Slices, whose places may be computed, and tensors that are made.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

static LogicalResult convertSplit(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  RankedTensorType type = Upstream::typeOf(input);
  std::optional<int64_t> axis = getAxis(op.getInt("axis", 0), type.getRank());
  if (!axis)
    return op.leave("its axis is none of its input");
  int64_t count = op.getOperation()->getNumResults();
  Upstream &up = op.upstream;
  Sizes sizes = up.sizesOf(input), parts;
  if (getInput(op, 1)) {
    std::optional<Sizes> given = getKnownInput(op, 1);
    if (!given || static_cast<int64_t>(given->size()) != count)
      return needSizes(op);
    parts = *given;
  } else {
    if (type.isDynamicDim(*axis))
      return needSizes(op);
    // The last one is smaller if they are not equal.
    int64_t left = type.getDimSize(*axis), each = llvm::divideCeil(left, count);
    for (int64_t i = 0; i < count; ++i, left -= each)
      parts.push_back(
          up.getBuilder().getIndexAttr(std::clamp<int64_t>(left, 0, each)));
  }
  int64_t total = 0;
  for (OpFoldResult part : parts)
    total += getConstantIntValue(part).value_or(0);
  if (!type.isDynamicDim(*axis) && total > type.getDimSize(*axis))
    return op.leave("its parts are larger than its input");
  std::optional<Sizes> known = getKnown(up, input);
  Sizes offsets(sizes.size(), up.getBuilder().getIndexAttr(0));
  SmallVector<int64_t> strides(sizes.size(), 1);
  SmallVector<Value> results;
  for (OpFoldResult part : parts) {
    std::optional<int64_t> begin = getConstantIntValue(offsets[*axis]),
                           length = getConstantIntValue(part);
    sizes[*axis] = part;
    if (known && begin && length)
      results.push_back(
          makeKnown(up, Sizes(ArrayRef(*known).slice(*begin, *length)), 1,
                    type.getElementType()));
    else
      results.push_back(up.slice(input, offsets, sizes, strides));
    offsets[*axis] = add(up, offsets[*axis], part);
  }
  return op.replace(results);
}

/// Where a slice begins or ends in a dimension of `size`.
OpFoldResult moe::raise::onnx::clampPlace(Upstream &up, OpFoldResult place,
                                          OpFoldResult size) {
  OpBuilder &b = up.getBuilder();
  std::optional<int64_t> constant = getConstantIntValue(place),
                         extent = getConstantIntValue(size);
  if (constant && extent)
    return b.getIndexAttr(std::clamp<int64_t>(
        *constant < 0 ? *constant + *extent : *constant, 0, *extent));
  if (constant == 0)
    return place;
  // No tensor has as many.
  if (constant && *constant >= INT32_MAX)
    return size;
  MLIRContext *context = b.getContext();
  AffineExpr s0 = getAffineSymbolExpr(0, context),
             s1 = getAffineSymbolExpr(1, context);
  if (constant && *constant < 0)
    return affine::makeComposedFoldedAffineMax(
        b, up.getLoc(),
        AffineMap::get(0, 1, {s0 + *constant, b.getAffineConstantExpr(0)},
                       context),
        {size});
  if (constant)
    return affine::makeComposedFoldedAffineMin(
        b, up.getLoc(),
        AffineMap::get(0, 1, {s0, b.getAffineConstantExpr(*constant)}, context),
        {size});
  if (place == size)
    return size;
  // A size of another tensor: not negative, as a rule, but nobody says so.
  Value wrapped = wrapIndex(b, up.getLoc(), toValue(up, place), size);
  OpFoldResult least = affine::makeComposedFoldedAffineMin(
      b, up.getLoc(), AffineMap::get(0, 2, {s0, s1}, context), {wrapped, size});
  return affine::makeComposedFoldedAffineMax(
      b, up.getLoc(),
      AffineMap::get(0, 1, {s0, b.getAffineConstantExpr(0)}, context), {least});
}

static LogicalResult convertSlice(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  RankedTensorType type = Upstream::typeOf(input);
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  std::optional<Sizes> starts = getKnownInput(op, 1),
                       ends = getKnownInput(op, 2);
  if (!starts || !ends || starts->size() != ends->size())
    return needSizes(op);
  SmallVector<int64_t> axes(starts->size()), steps(starts->size(), 1);
  std::iota(axes.begin(), axes.end(), 0);
  for (auto [i, list] : {std::pair(3u, &axes), std::pair(4u, &steps)}) {
    if (!getInput(op, i))
      continue;
    std::optional<SmallVector<int64_t>> given = getConstants(getInput(op, i));
    if (!given || given->size() != starts->size())
      return needSizes(op);
    *list = *given;
  }
  Sizes sizes = up.sizesOf(input), offsets(sizes.size(), b.getIndexAttr(0));
  SmallVector<int64_t> strides(sizes.size(), 1);
  for (auto [start, end, given, step] :
       llvm::zip_equal(*starts, *ends, axes, steps)) {
    std::optional<int64_t> axis = getAxis(given, type.getRank());
    if (!axis || step == 0)
      return op.leave("an axis is none of its input, or a step is 0");
    OpFoldResult size = sizes[*axis];
    strides[*axis] = step;
    if (step < 0) {
      // From the end: only all of it, as exporters write `flip`.
      std::optional<int64_t> first = getConstantIntValue(start),
                             last = getConstantIntValue(end);
      if (step != -1 || !first || !last || *last > INT32_MIN ||
          (*first != -1 && *first < INT32_MAX))
        return op.leave("it steps backwards over a part of its input");
      offsets[*axis] = subtract(up, size, b.getIndexAttr(1));
      continue;
    }
    OpFoldResult begin = clampPlace(up, start, size),
                 stop = clampPlace(up, end, size);
    offsets[*axis] = begin;
    OpFoldResult length = subtract(up, stop, begin);
    if (step != 1)
      length = divide(up, add(up, length, b.getIndexAttr(step - 1)),
                      b.getIndexAttr(step));
    std::optional<int64_t> constant = getConstantIntValue(length);
    if (constant && *constant <= 0) {
      // Nothing of it, which no slice begins behind the end to say.
      length = b.getIndexAttr(0);
      offsets[*axis] = b.getIndexAttr(0);
    }
    if (!constant && getConstantIntValue(begin) != 0)
      length = affine::makeComposedFoldedAffineMax(
          b, op.getLoc(),
          AffineMap::get(0, 1,
                         {b.getAffineSymbolExpr(0), b.getAffineConstantExpr(0)},
                         b.getContext()),
          {length});
    sizes[*axis] = length;
  }
  std::optional<Sizes> known = getKnown(up, input);
  if (known && type.getRank() == 1) {
    std::optional<int64_t> begin = getConstantIntValue(offsets[0]),
                           length = getConstantIntValue(sizes[0]);
    Sizes part;
    for (int64_t i = 0; begin && length && i < *length; ++i)
      part.push_back((*known)[*begin + i * strides[0]]);
    if (begin && length)
      return op.replace(makeKnown(up, part, 1, type.getElementType()));
  }
  if (llvm::any_of(strides, [](int64_t step) { return step < 0; }))
    return op.replace(up.generate(
        sizes, type.getElementType(), [&](OpBuilder &nested, ValueRange at) {
          SmallVector<Value> from;
          for (auto [d, index] : llvm::enumerate(at)) {
            AffineExpr expr = nested.getAffineSymbolExpr(0) +
                              nested.getAffineDimExpr(0) * strides[d];
            from.push_back(affine::makeComposedAffineApply(
                nested, op.getLoc(), AffineMap::get(1, 1, expr),
                {OpFoldResult(index), offsets[d]}));
          }
          return tensor::ExtractOp::create(nested, op.getLoc(), input, from)
              .getResult();
        }));
  return op.replace(up.slice(input, offsets, sizes, strides));
}

//===----------------------------------------------------------------------===//
// New tensors
//===----------------------------------------------------------------------===//

static LogicalResult convertConstantOfShape(ForeignOp &op) {
  std::optional<Sizes> shape = getKnownInput(op, 0);
  if (!shape)
    return needSizes(op);
  OpBuilder &b = op.upstream.getBuilder();
  TypedAttr value = b.getF32FloatAttr(0);
  if (auto given = dyn_cast_or_null<DenseElementsAttr>(op.getAttr("value")))
    if (given.isSplat() && isa<FloatType, IntegerType>(given.getElementType()))
      value = given.getSplatValue<TypedAttr>();
  for (OpFoldResult &size : *shape)
    if (getConstantIntValue(size).value_or(0) < 0)
      return op.leave("one of its sizes is negative");
  auto integer = dyn_cast<IntegerAttr>(value);
  if (integer && shape->size() == 1) {
    std::optional<int64_t> count = getConstantIntValue((*shape)[0]);
    if (count && *count <= 64)
      return op.replace(makeKnown(
          op.upstream, Sizes(*count, b.getIndexAttr(integer.getInt())), 1,
          integer.getType()));
  }
  return op.replace(op.upstream.fill(
      *shape, arith::ConstantOp::create(b, op.getLoc(), value)));
}

static LogicalResult convertRange(ForeignOp &op) {
  for (unsigned i = 0; i < 3; ++i)
    if (failed(needTensor(op, i)))
      return failure();
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Type element = Upstream::typeOf(op.getOperand(0)).getElementType();
  if (!element.isInteger(64) && !element.isInteger(32))
    return op.leave("it is known for integers only");
  OpFoldResult bounds[3];
  for (unsigned i = 0; i < 3; ++i) {
    Value input = op.getOperand(i);
    if (std::optional<Sizes> known = getKnown(up, input);
        known && known->size() == 1)
      bounds[i] = known->front();
    else
      bounds[i] = arith::IndexCastOp::create(b, op.getLoc(), b.getIndexType(),
                                             up.extractOnly(input))
                      .getResult();
  }
  auto [start, end, step] = bounds;
  if (getConstantIntValue(step).value_or(0) <= 0)
    return op.leave("its step is not known to be positive");
  int64_t delta = *getConstantIntValue(step);
  OpFoldResult count = divide(
      up, add(up, subtract(up, end, start), b.getIndexAttr(delta - 1)), step);
  if (std::optional<int64_t> constant = getConstantIntValue(count))
    count = b.getIndexAttr(std::max<int64_t>(*constant, 0));
  else if (getConstantIntValue(start) != 0)
    count = affine::makeComposedFoldedAffineMax(
        b, op.getLoc(),
        AffineMap::get(0, 1,
                       {b.getAffineSymbolExpr(0), b.getAffineConstantExpr(0)},
                       b.getContext()),
        {count});
  return op.replace(
      up.generate({count}, element, [&](OpBuilder &nested, ValueRange at) {
        Value place = at[0];
        Location loc = op.getLoc();
        if (delta != 1)
          place = arith::MulIOp::create(
              nested, loc, place,
              arith::ConstantIndexOp::create(nested, loc, delta));
        if (getConstantIntValue(start) != 0)
          place = arith::AddIOp::create(
              nested, loc, place,
              getValueOrCreateConstantIndexOp(nested, loc, start));
        return arith::IndexCastOp::create(nested, loc, element, place)
            .getResult();
      }));
}

/// The upper or lower part of matrices; the rest becomes 0.
static LogicalResult convertTrilu(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  RankedTensorType type = Upstream::typeOf(input);
  int64_t rank = type.getRank(), shift = 0;
  if (getInput(op, 1)) {
    std::optional<SmallVector<int64_t>> given = getConstants(getInput(op, 1));
    if (!given || given->size() != 1)
      return needSizes(op);
    shift = given->front();
  }
  if (rank < 2)
    return op.leave("its input is no matrix");
  bool isUpper = op.getInt("upper", 1) != 0;
  return op.replace(op.upstream.elementwise(
      input, type.getElementType(), [&](OpBuilder &b, ValueRange v) -> Value {
        Location loc = op.getLoc();
        Upstream scalars(b, loc);
        Value row = linalg::IndexOp::create(b, loc, rank - 2),
              column = linalg::IndexOp::create(b, loc, rank - 1);
        Value edge = arith::AddIOp::create(
            b, loc, row, arith::ConstantIndexOp::create(b, loc, shift));
        Value isKept = arith::CmpIOp::create(
            b, loc,
            isUpper ? arith::CmpIPredicate::sge : arith::CmpIPredicate::sle,
            column, edge);
        return arith::SelectOp::create(
            b, loc, isKept, v[0], scalars.scalar(type.getElementType(), 0));
      }));
}

void onnx::addSlices(ForeignTable &table) {
  table.add("onnx.Split", convertSplit);
  table.add("onnx.Slice", convertSlice);
  table.add("onnx.ConstantOfShape", convertConstantOfShape);
  table.add("onnx.Range", convertRange);
  table.add("onnx.Trilu", convertTrilu);
}
