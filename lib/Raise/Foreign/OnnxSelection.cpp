//===- OnnxSelection.cpp - ONNX's sorts and what counts --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The K largest of rows, sorts, and what is made of places: one-hot rows and
// running sums.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"

#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

//===----------------------------------------------------------------------===//
// The largest
//===----------------------------------------------------------------------===//

/// -x of each element.
static Value negate(Upstream &up, Value tensor) {
  return up.elementwise(tensor, Upstream::typeOf(tensor).getElementType(),
                        [&](OpBuilder &b, ValueRange v) -> Value {
                          return arith::NegFOp::create(b, up.getLoc(), v[0]);
                        });
}

/// The `k` largest or smallest along `axis`, and where they are, in i64.
static FailureOr<std::pair<Value, Value>> selectBest(ForeignOp &op, Value input,
                                                     int64_t axis, int64_t k,
                                                     bool isLargest) {
  Upstream &up = op.upstream;
  RankedTensorType type = Upstream::typeOf(input);
  int64_t rank = type.getRank(), size = type.getDimSize(axis);
  if (!isa<FloatType>(type.getElementType())) {
    (void)op.leave("it is known for floats only, or for all integers of a row");
    return failure();
  }
  if (ShapedType::isDynamic(size) || k < 1 || k > size) {
    (void)op.leave("it selects " + Twine(k) +
                   " of a dimension that is not "
                   "known, or has not as many");
    return failure();
  }
  SmallVector<int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  permutation.erase(permutation.begin() + axis);
  permutation.push_back(axis);
  Value rows = up.transpose(input, permutation);
  if (!isLargest)
    rows = negate(up, rows);
  Sizes sizes = up.sizesOf(rows);
  if (rank == 1)
    rows = up.reshape(rows, {up.getBuilder().getIndexAttr(1), sizes[0]});
  auto [values, places] = up.topK(rows, k, up.getBuilder().getI64Type());
  sizes.back() = up.getBuilder().getIndexAttr(k);
  if (!isLargest)
    values = negate(up, values);
  if (rank == 1) {
    values = up.reshape(values, sizes);
    places = up.reshape(places, sizes);
  }
  permutation = invertPermutationVector(permutation);
  return std::pair(up.transpose(values, permutation),
                   up.transpose(places, permutation));
}

static LogicalResult convertTopK(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Upstream &up = op.upstream;
  Value input = op.getOperand(0);
  RankedTensorType type = Upstream::typeOf(input);
  std::optional<int64_t> axis = getAxis(op.getInt("axis", -1), type.getRank());
  std::optional<Sizes> count = getKnown(up, op.getOperand(1));
  if (!axis || !count || count->size() != 1)
    return op.leave("its axis or how many it selects is not known");
  bool isLargest = op.getInt("largest", 1) != 0;
  Type i64 = up.getBuilder().getI64Type();
  // All of a row of integers: it is sorted.
  if (type.getElementType().isInteger() && type.getRank() == 1 && !isLargest &&
      isSameSize(count->front(), up.sizesOf(input)[0])) {
    Value wide = up.cast(input, i64);
    Value order = up.order(up.ranks(wide), i64);
    Value sorted = up.elementwise(
        order, type.getElementType(), [&](OpBuilder &b, ValueRange v) -> Value {
          Value place = arith::IndexCastOp::create(b, op.getLoc(),
                                                   b.getIndexType(), v[0]);
          return tensor::ExtractOp::create(b, op.getLoc(), input, place);
        });
    return op.replace({sorted, order});
  }
  FailureOr<std::pair<Value, Value>> best =
      selectBest(op, input, *axis,
                 getConstantIntValue(count->front()).value_or(-1), isLargest);
  if (failed(best))
    return failure();
  return op.replace({best->first, best->second});
}

template <bool isLargest> static LogicalResult convertArgBest(ForeignOp &op) {
  if (failed(needInputs(op, 1)))
    return failure();
  Value input = op.getOperand(0);
  Sizes sizes = op.upstream.sizesOf(input);
  std::optional<int64_t> axis = getAxis(op.getInt("axis", 0), sizes.size());
  if (!axis || op.getInt("select_last_index", 0))
    return op.leave("its axis is none of its input, or the last is asked for");
  FailureOr<std::pair<Value, Value>> best =
      selectBest(op, input, *axis, 1, isLargest);
  if (failed(best))
    return failure();
  if (op.getInt("keepdims", 1))
    return op.replace(best->second);
  sizes.erase(sizes.begin() + *axis);
  return op.replace(op.upstream.reshape(best->second, sizes));
}

//===----------------------------------------------------------------------===//
// Others
//===----------------------------------------------------------------------===//

static LogicalResult convertOneHot(ForeignOp &op) {
  if (failed(needInputs(op, 3)))
    return failure();
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Value indices = op.getOperand(0), values = op.getOperand(2);
  RankedTensorType type = Upstream::typeOf(values);
  int64_t rank = Upstream::typeOf(indices).getRank();
  std::optional<SmallVector<int64_t>> depth = getConstants(op.getOperand(1));
  std::optional<int64_t> axis = getAxis(op.getInt("axis", -1), rank + 1);
  if (!depth || depth->size() != 1 || depth->front() < 1 || !axis ||
      type.getRank() != 1 || type.getDimSize(0) != 2 ||
      !Upstream::typeOf(indices).getElementType().isInteger())
    return op.leave("its depth is not known, or its indices are no integers");
  Sizes sizes = up.sizesOf(indices);
  sizes.insert(sizes.begin() + *axis, b.getIndexAttr(depth->front()));
  SmallVector<AffineExpr> exprs;
  for (int64_t d = 0; d <= rank; ++d)
    if (d != *axis)
      exprs.push_back(b.getAffineDimExpr(d));
  DenseElementsAttr constant;
  matchPattern(values, m_Constant(&constant));
  auto getValue = [&](OpBuilder &nested, int64_t i) -> Value {
    if (constant)
      return arith::ConstantOp::create(nested, op.getLoc(),
                                       constant.getValues<TypedAttr>()[i]);
    return tensor::ExtractOp::create(
        nested, op.getLoc(), values,
        arith::ConstantIndexOp::create(nested, op.getLoc(), i).getResult());
  };
  return op.replace(up.map(
      indices, AffineMap::get(rank + 1, 0, exprs, b.getContext()), sizes,
      type.getElementType(), [&](OpBuilder &nested, ValueRange v) -> Value {
        Value place = wrapIndex(nested, op.getLoc(), v[0],
                                nested.getIndexAttr(depth->front()));
        Value here = linalg::IndexOp::create(nested, op.getLoc(), *axis);
        Value isHot = arith::CmpIOp::create(
            nested, op.getLoc(), arith::CmpIPredicate::eq, place, here);
        return arith::SelectOp::create(nested, op.getLoc(), isHot,
                                       getValue(nested, 1),
                                       getValue(nested, 0));
      }));
}

static LogicalResult convertCumSum(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Upstream &up = op.upstream;
  Value input = op.getOperand(0);
  RankedTensorType type = Upstream::typeOf(input);
  std::optional<SmallVector<int64_t>> given = getConstants(op.getOperand(1));
  if (!given || given->size() != 1)
    return op.leave("its axis is not known");
  std::optional<int64_t> axis = getAxis(given->front(), type.getRank());
  if (!axis || op.getInt("reverse", 0))
    return op.leave("its axis is none of its input, or it begins at the end");
  Value sum = up.runningSum(input, *axis);
  if (!op.getInt("exclusive", 0))
    return op.replace(sum);
  return op.replace(up.elementwise(
      {sum, input}, type.getElementType(),
      [&](OpBuilder &b, ValueRange v) -> Value {
        if (isa<FloatType>(type.getElementType()))
          return arith::SubFOp::create(b, op.getLoc(), v[0], v[1]);
        return arith::SubIOp::create(b, op.getLoc(), v[0], v[1]);
      }));
}

void onnx::addSelection(ForeignTable &table) {
  table.add("onnx.TopK", convertTopK);
  table.add("onnx.ArgMax", convertArgBest<true>);
  table.add("onnx.ArgMin", convertArgBest<false>);
  table.add("onnx.OneHot", convertOneHot);
  table.add("onnx.CumSum", convertCumSum);
}
