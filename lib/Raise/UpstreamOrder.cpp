//===- UpstreamOrder.cpp - Orders and groups of rows, upstream -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Elements.h"
#include "moe-mlir/Raise/Upstream.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;

/// A sum over a last loop of `count` more than `sizes` have; `body` gets the
/// indices of all loops.
static Value sumOver(Upstream &up, const Sizes &sizes, OpFoldResult count,
                     Type element, StringRef meaning, ValueRange inputs,
                     ArrayRef<AffineMap> inputMaps, Upstream::Body body) {
  OpBuilder &b = up.getBuilder();
  Location loc = up.getLoc();
  unsigned rank = sizes.size();
  Value start = up.fill(sizes, up.scalar(element, 0));
  // A tensor that says how long the last loop is.
  Value extent = up.empty({count}, element);
  SmallVector<AffineMap> maps(inputMaps);
  maps.push_back(AffineMap::get(rank + 1, 0, b.getAffineDimExpr(rank)));
  maps.push_back(b.getMultiDimIdentityMap(rank + 1).getMajorSubMap(rank));
  SmallVector<Value> all(inputs);
  all.push_back(extent);
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.push_back(utils::IteratorType::reduction);
  auto op = linalg::GenericOp::create(
      b, loc, start.getType(), all, start, maps, iterators,
      [&](OpBuilder &nested, Location, ValueRange v) {
        SmallVector<Value> indices;
        for (unsigned d = 0; d <= rank; ++d)
          indices.push_back(linalg::IndexOp::create(nested, loc, d));
        Value term = body(nested, indices);
        Value sum =
            isa<FloatType>(element)
                ? Value(arith::AddFOp::create(nested, loc, v.back(), term))
                : Value(arith::AddIOp::create(nested, loc, v.back(), term));
        linalg::YieldOp::create(nested, loc, sum);
      });
  if (!meaning.empty())
    op->setAttr(kMeaningAttrName, b.getStringAttr(meaning));
  return op.getResult(0);
}

Value Upstream::runningSum(Value tensor, int64_t dim) {
  Sizes sizes = sizesOf(tensor);
  Type element = typeOf(tensor).getElementType();
  return sumOver(
      *this, sizes, sizes[dim], element, "", {}, {},
      [&](OpBuilder &nested, ValueRange indices) -> Value {
        SmallVector<Value> at(indices.drop_back());
        Value isBefore = arith::CmpIOp::create(
            nested, loc, arith::CmpIPredicate::sle, indices.back(), at[dim]);
        at[dim] = indices.back();
        Value value = tensor::ExtractOp::create(nested, loc, tensor, at);
        Upstream scalars(nested, loc);
        return arith::SelectOp::create(nested, loc, isBefore, value,
                                       scalars.scalar(element, 0));
      });
}

Value Upstream::ranks(Value tensor) {
  Sizes sizes = sizesOf(tensor);
  AffineMap own = AffineMap::get(2, 0, b.getAffineDimExpr(0));
  return sumOver(
      *this, sizes, sizes[0], b.getI64Type(), "ranks", tensor, own,
      [&](OpBuilder &nested, ValueRange indices) -> Value {
        using Predicate = arith::CmpIPredicate;
        auto compare = [&](Predicate predicate, Value l, Value r) -> Value {
          return arith::CmpIOp::create(nested, loc, predicate, l, r);
        };
        Value here = tensor::ExtractOp::create(nested, loc, tensor, indices[0]);
        Value there =
            tensor::ExtractOp::create(nested, loc, tensor, indices[1]);
        Value isLess = compare(Predicate::slt, there, here);
        Value isEqual = compare(Predicate::eq, there, here);
        Value isEarlier = compare(Predicate::slt, indices[1], indices[0]);
        Value both = arith::AndIOp::create(nested, loc, isEqual, isEarlier);
        Value before = arith::OrIOp::create(nested, loc, isLess, both);
        return arith::ExtUIOp::create(nested, loc, nested.getI64Type(), before);
      });
}

Value Upstream::order(Value ranks, Type element) {
  Sizes sizes = sizesOf(ranks);
  AffineMap own = AffineMap::get(2, 0, b.getAffineDimExpr(1));
  return sumOver(*this, sizes, sizes[0], element, "order", ranks, own,
                 [&](OpBuilder &nested, ValueRange indices) -> Value {
                   Value rank = tensor::ExtractOp::create(nested, loc, ranks,
                                                          indices[1]);
                   rank = arith::IndexCastOp::create(
                       nested, loc, nested.getIndexType(), rank);
                   Value isHere = arith::CmpIOp::create(
                       nested, loc, arith::CmpIPredicate::eq, rank, indices[0]);
                   Upstream scalars(nested, loc);
                   Value place = scalars.castScalar(indices[1], element);
                   return arith::SelectOp::create(nested, loc, isHere, place,
                                                  scalars.scalar(element, 0));
                 });
}

Value Upstream::groupedProduct(Value rows, Value weights, Value counts,
                               bool isTransposed) {
  RankedTensorType weightType = typeOf(weights);
  int64_t groups = weightType.getDimSize(0);
  Value ends = runningSum(counts, 0);
  OpFoldResult numRows = sizesOf(rows)[0];
  // The group of a row is the number of groups that end at it or before.
  Value groupOf = sumOver(
      *this, {numRows}, b.getIndexAttr(groups), b.getI64Type(), "groups",
      counts, AffineMap::get(2, 0, b.getAffineDimExpr(1)),
      [&](OpBuilder &nested, ValueRange indices) -> Value {
        Value end = tensor::ExtractOp::create(nested, loc, ends, indices[1]);
        end =
            arith::IndexCastOp::create(nested, loc, nested.getIndexType(), end);
        Value isOver = arith::CmpIOp::create(
            nested, loc, arith::CmpIPredicate::sle, end, indices[0]);
        return arith::ExtUIOp::create(nested, loc, nested.getI64Type(), isOver);
      });
  // Rows behind the last group are zeros: no product is theirs.
  int64_t depthDim = isTransposed ? 2 : 1, columnDim = isTransposed ? 1 : 2;
  Sizes weightSizes = sizesOf(weights);
  Type element = typeOf(rows).getElementType();
  return sumOver(
      *this, {numRows, weightSizes[columnDim]}, weightSizes[depthDim], element,
      "", {}, {}, [&](OpBuilder &nested, ValueRange indices) -> Value {
        Upstream scalars(nested, loc);
        auto index = [&](int64_t value) {
          return scalars.scalar(nested.getIndexType(), value);
        };
        Value group =
            tensor::ExtractOp::create(nested, loc, groupOf, indices[0]);
        group = arith::IndexCastOp::create(nested, loc, nested.getIndexType(),
                                           group);
        Value isInside = arith::CmpIOp::create(
            nested, loc, arith::CmpIPredicate::slt, group, index(groups));
        Value inside =
            arith::MinSIOp::create(nested, loc, group, index(groups - 1));
        SmallVector<Value> at = {inside, indices[2], indices[1]};
        if (isTransposed)
          std::swap(at[1], at[2]);
        Value weight = tensor::ExtractOp::create(nested, loc, weights, at);
        Value row = tensor::ExtractOp::create(
            nested, loc, rows, ValueRange{indices[0], indices[2]});
        Value product = arith::MulFOp::create(nested, loc, row, weight);
        return arith::SelectOp::create(nested, loc, isInside, product,
                                       scalars.scalar(element, 0));
      });
}
