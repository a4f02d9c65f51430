//===- OnnxReductions.cpp - ONNX's reductions ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What sums over dimensions: reductions, softmax and norms.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

namespace {
enum class Reduction { Sum, Mean, Max, Min, Prod, SumSquare, L1, L2 };
} // namespace

static Value joinScalars(OpBuilder &b, Location loc, Reduction kind, Value l,
                         Value r) {
  bool isFloat = isa<FloatType>(l.getType());
  switch (kind) {
  case Reduction::Max:
    return isFloat ? arith::MaximumFOp::create(b, loc, l, r).getResult()
                   : arith::MaxSIOp::create(b, loc, l, r).getResult();
  case Reduction::Min:
    return isFloat ? arith::MinimumFOp::create(b, loc, l, r).getResult()
                   : arith::MinSIOp::create(b, loc, l, r).getResult();
  case Reduction::Prod:
    return isFloat ? arith::MulFOp::create(b, loc, l, r).getResult()
                   : arith::MulIOp::create(b, loc, l, r).getResult();
  default:
    return isFloat ? arith::AddFOp::create(b, loc, l, r).getResult()
                   : arith::AddIOp::create(b, loc, l, r).getResult();
  }
}

/// The number of elements of `axes` as a scalar of a float type.
static Value countElements(Upstream &up, const Sizes &sizes,
                           ArrayRef<int64_t> axes, Type element) {
  OpBuilder &b = up.getBuilder();
  OpFoldResult count = b.getIndexAttr(1);
  for (int64_t axis : axes)
    count = multiply(up, count, sizes[axis]);
  if (std::optional<int64_t> constant = getConstantIntValue(count))
    return up.scalar(element, static_cast<double>(*constant));
  Value integer = arith::IndexCastOp::create(b, up.getLoc(), b.getI64Type(),
                                             toValue(up, count));
  return arith::SIToFPOp::create(b, up.getLoc(), element, integer);
}

/// One scalar function of each element.
static Value each(Upstream &up, Value tensor,
                  llvm::function_ref<Value(OpBuilder &, Value)> body) {
  return up.elementwise(
      tensor, Upstream::typeOf(tensor).getElementType(),
      [&](OpBuilder &b, ValueRange v) { return body(b, v[0]); });
}

template <Reduction kind> static LogicalResult convertReduce(ForeignOp &op) {
  if (failed(needInputs(op, 1)))
    return failure();
  Upstream &up = op.upstream;
  Location loc = op.getLoc();
  Value input = op.getOperand(0);
  RankedTensorType type = Upstream::typeOf(input);
  Type element = type.getElementType();
  std::optional<SmallVector<int64_t>> axes = getAxes(op, 1, type.getRank());
  if (!axes)
    return op.leave("its axes are not known, or not those of its input");
  if (axes->empty()) {
    if (op.getInt("noop_with_empty_axes", 0))
      return op.replace(input);
    axes->resize(type.getRank());
    std::iota(axes->begin(), axes->end(), 0);
  }
  bool isFloat = isa<FloatType>(element);
  if (!isFloat && (kind == Reduction::Mean || kind == Reduction::L2 ||
                   kind == Reduction::L1 || element.isInteger(1)))
    return op.leave("it is not known for elements of this type");
  Sizes sizes = up.sizesOf(input);
  bool keep = op.getInt("keepdims", 1) != 0;
  // Of sizes that are known.
  if (kind == Reduction::Prod && type.getRank() == 1)
    if (std::optional<Sizes> known = getKnown(up, input)) {
      OpFoldResult product = up.getBuilder().getIndexAttr(1);
      for (OpFoldResult size : *known)
        product = multiply(up, product, size);
      return op.replace(makeKnown(up, {product}, keep ? 1 : 0, element));
    }
  if (kind == Reduction::SumSquare || kind == Reduction::L2)
    input = each(up, input, [&](OpBuilder &b, Value x) -> Value {
      return isFloat ? arith::MulFOp::create(b, loc, x, x).getResult()
                     : arith::MulIOp::create(b, loc, x, x).getResult();
    });
  if (kind == Reduction::L1)
    input = each(up, input, [&](OpBuilder &b, Value x) -> Value {
      return math::AbsFOp::create(b, loc, x);
    });
  double start = kind == Reduction::Prod ? 1 : 0;
  Value init;
  if (kind == Reduction::Max || kind == Reduction::Min) {
    double sign = kind == Reduction::Max ? -1 : 1;
    if (isFloat) {
      init = up.scalar(element, sign * std::numeric_limits<double>::infinity());
    } else {
      APInt most =
          kind == Reduction::Max
              ? APInt::getSignedMinValue(element.getIntOrFloatBitWidth())
              : APInt::getSignedMaxValue(element.getIntOrFloatBitWidth());
      init = arith::ConstantOp::create(
          up.getBuilder(), loc, up.getBuilder().getIntegerAttr(element, most));
    }
  } else {
    init = up.scalar(element, start);
  }
  Value result = up.reduce(input, init, *axes, [&](OpBuilder &b, ValueRange v) {
    return joinScalars(b, loc, kind, v[1], v[0]);
  });
  if (kind == Reduction::Mean) {
    Value count = countElements(up, sizes, *axes, element);
    result = each(up, result, [&](OpBuilder &b, Value x) -> Value {
      return arith::DivFOp::create(b, loc, x, count);
    });
  }
  if (kind == Reduction::L2)
    result = each(up, result, [&](OpBuilder &b, Value x) -> Value {
      return math::SqrtOp::create(b, loc, x);
    });
  return op.replace(keepAxes(up, result, sizes, *axes, keep));
}

//===----------------------------------------------------------------------===//
// Softmax and norms
//===----------------------------------------------------------------------===//

template <bool isLog> static LogicalResult convertSoftmax(ForeignOp &op) {
  if (failed(needInputs(op, 1)))
    return failure();
  Upstream &up = op.upstream;
  Value input = op.getOperand(0);
  RankedTensorType type = Upstream::typeOf(input);
  std::optional<int64_t> axis = getAxis(op.getInt("axis", -1), type.getRank());
  if (!axis || !isa<FloatType>(type.getElementType()))
    return op.leave("its axis is none of its input, or that is not of floats");
  if (!isLog)
    return op.replace(up.softmax(input, *axis));
  // x - most - log(sum(exp(x - most))), so that small ones keep their digits.
  Type element = type.getElementType();
  Location loc = op.getLoc();
  SmallVector<AffineExpr> kept;
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (d != *axis)
      kept.push_back(up.getBuilder().getAffineDimExpr(d));
  AffineMap maps[] = {
      up.getBuilder().getMultiDimIdentityMap(type.getRank()),
      AffineMap::get(type.getRank(), 0, kept, up.getBuilder().getContext())};
  Value lowest = up.scalar(element, -std::numeric_limits<double>::infinity());
  Value most =
      up.reduce(input, lowest, *axis, [&](OpBuilder &b, ValueRange v) -> Value {
        return arith::MaximumFOp::create(b, loc, v[1], v[0]);
      });
  Sizes sizes = up.sizesOf(input);
  Value shifted = up.map({input, most}, maps, sizes, element,
                         [&](OpBuilder &b, ValueRange v) -> Value {
                           return arith::SubFOp::create(b, loc, v[0], v[1]);
                         });
  Value powers = each(up, shifted, [&](OpBuilder &b, Value x) -> Value {
    return math::ExpOp::create(b, loc, x);
  });
  return op.replace(up.map({shifted, up.sum(powers, *axis)}, maps, sizes,
                           element, [&](OpBuilder &b, ValueRange v) -> Value {
                             Value log = math::LogOp::create(b, loc, v[1]);
                             return arith::SubFOp::create(b, loc, v[0], log);
                           }));
}

/// What norms are computed in, if it is not the type of their elements.
static Type getWide(Type element) {
  return element.getIntOrFloatBitWidth() < 32
             ? Float32Type::get(element.getContext())
             : element;
}

/// `x`, whose last dimensions from `axis` are a row, divided by the root of the
/// mean square of its row plus epsilon; its mean is taken off before if
/// `isCentred`.
static Value normalize(Upstream &up, Value x, int64_t axis, double epsilon,
                       bool isCentred) {
  Location loc = up.getLoc();
  Type element = Upstream::typeOf(x).getElementType();
  Sizes sizes = up.sizesOf(x);
  SmallVector<int64_t> axes, rows(axis);
  std::iota(rows.begin(), rows.end(), 0);
  for (int64_t d = axis; d < static_cast<int64_t>(sizes.size()); ++d)
    axes.push_back(d);
  Value count = countElements(up, sizes, axes, element);
  auto combine = [&](Value tensor, Value ofRow, auto body) {
    int64_t rank = sizes.size();
    AffineMap maps[] = {
        up.getBuilder().getMultiDimIdentityMap(rank),
        up.getBuilder().getMultiDimIdentityMap(rank).getMajorSubMap(axis)};
    return up.map({tensor, ofRow}, maps, sizes, element, body);
  };
  if (isCentred) {
    Value sum = up.sum(x, axes);
    x = combine(x, sum, [&](OpBuilder &b, ValueRange v) -> Value {
      Value mean = arith::DivFOp::create(b, loc, v[1], count);
      return arith::SubFOp::create(b, loc, v[0], mean);
    });
  }
  Value squares = each(up, x, [&](OpBuilder &b, Value value) -> Value {
    return arith::MulFOp::create(b, loc, value, value);
  });
  return combine(x, up.sum(squares, axes), [&](OpBuilder &b, ValueRange v) {
    Upstream scalars(b, loc);
    Value mean = arith::DivFOp::create(b, loc, v[1], count);
    Value sum =
        arith::AddFOp::create(b, loc, mean, scalars.scalar(element, epsilon));
    Value root = math::SqrtOp::create(b, loc, sum);
    return arith::DivFOp::create(b, loc, v[0], root).getResult();
  });
}

/// Elementwise product or sum with a row.
template <typename Op>
static FailureOr<Value> withRow(Upstream &up, Value x, Value row) {
  auto type = dyn_cast<RankedTensorType>(row.getType());
  if (!type)
    return failure();
  Type element = Upstream::typeOf(x).getElementType();
  return elementwise(up, {x, up.cast(row, element)}, element,
                     [&](OpBuilder &b, ValueRange v) -> Value {
                       return Op::create(b, up.getLoc(), v[0], v[1]);
                     });
}

/// LayerNormalization and RMSNormalization by the names of exporters and of
/// ONNX Runtime; with `hasSkip` of the sum of two tensors (and a bias), which
/// is result 3.
template <bool isCentred, bool hasSkip>
static LogicalResult convertNorm(ForeignOp &op) {
  unsigned scaleInput = hasSkip ? 2 : 1, biasInput = scaleInput + 1;
  if (failed(needInputs(op, scaleInput + 1)))
    return failure();
  Upstream &up = op.upstream;
  Value x = getInput(op, 0);
  RankedTensorType type = Upstream::typeOf(x);
  Type element = type.getElementType();
  std::optional<int64_t> axis = getAxis(op.getInt("axis", -1), type.getRank());
  if (!axis || !isa<FloatType>(element))
    return op.leave("its axis is none of its input, or that is not of floats");
  for (unsigned i = 1, e = op.getOperation()->getNumResults(); i < e; ++i)
    if (!op.getOperation()->getResult(i).use_empty() && !(hasSkip && i == 3))
      return op.leave("the mean or deviation of rows is asked for");
  if (hasSkip) {
    FailureOr<Value> sum = withRow<arith::AddFOp>(up, x, getInput(op, 1));
    if (Value bias = getInput(op, isCentred ? 4 : 3); bias && succeeded(sum))
      sum = withRow<arith::AddFOp>(up, *sum, bias);
    if (failed(sum))
      return op.leave("the shapes of its inputs differ");
    x = *sum;
  }
  Value rows = up.cast(x, getWide(element));
  double epsilon = op.getFloat("epsilon").value_or(hasSkip ? 1e-12 : 1e-5);
  FailureOr<Value> result = normalize(up, rows, *axis, epsilon, isCentred);
  result = withRow<arith::MulFOp>(up, *result, getInput(op, scaleInput));
  Value bias = isCentred ? getInput(op, biasInput) : Value();
  if (bias && succeeded(result))
    result = withRow<arith::AddFOp>(up, *result, bias);
  if (failed(result))
    return op.leave("its scale or bias does not fit");
  SmallVector<Value> results = {up.cast(*result, element)};
  // Those that nobody reads.
  for (unsigned i = 1, e = op.getOperation()->getNumResults(); i < e; ++i)
    results.push_back(i == 3 ? x : results[0]);
  return op.replace(results);
}

void onnx::addReductions(ForeignTable &table) {
  table.add("onnx.ReduceSum", convertReduce<Reduction::Sum>);
  table.add("onnx.ReduceMean", convertReduce<Reduction::Mean>);
  table.add("onnx.ReduceMax", convertReduce<Reduction::Max>);
  table.add("onnx.ReduceMin", convertReduce<Reduction::Min>);
  table.add("onnx.ReduceProd", convertReduce<Reduction::Prod>);
  table.add("onnx.ReduceSumSquare", convertReduce<Reduction::SumSquare>);
  table.add("onnx.ReduceL1", convertReduce<Reduction::L1>);
  table.add("onnx.ReduceL2", convertReduce<Reduction::L2>);
  table.add("onnx.Softmax", convertSoftmax<false>);
  table.add("onnx.LogSoftmax", convertSoftmax<true>);
  table.add("onnx.LayerNormalization", convertNorm<true, false>);
  table.add("onnx.RMSNormalization", convertNorm<false, false>);
  table.add("onnx.SimplifiedLayerNormalization", convertNorm<false, false>);
  table.add("onnx.com.microsoft.SimplifiedLayerNormalization",
            convertNorm<false, false>);
  table.add("onnx.com.microsoft.SkipLayerNormalization",
            convertNorm<true, true>);
  table.add("onnx.com.microsoft.SkipSimplifiedLayerNormalization",
            convertNorm<false, true>);
}
