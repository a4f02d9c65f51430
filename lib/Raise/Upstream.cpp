//===- Upstream.cpp - Tensor programs in upstream's ops ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Upstream.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"

#include <numeric>

using namespace mlir;
using namespace moe;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// Sizes, constants
//===----------------------------------------------------------------------===//

Sizes Upstream::sizesOf(Value tensor) {
  return Sizes(tensor::getMixedSizes(b, loc, tensor));
}

OpFoldResult Upstream::multiply(OpFoldResult x, OpFoldResult y) {
  AffineExpr s0 = b.getAffineSymbolExpr(0), s1 = b.getAffineSymbolExpr(1);
  return affine::makeComposedFoldedAffineApply(b, loc, s0 * s1, {x, y});
}

RankedTensorType Upstream::getType(const Sizes &sizes, Type element) {
  SmallVector<int64_t> shape;
  for (OpFoldResult size : sizes)
    shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
  return RankedTensorType::get(shape, element);
}

/// Constants as attributes, so that types become static.
static Sizes foldSizes(const Sizes &sizes, OpBuilder &b) {
  Sizes folded;
  for (OpFoldResult size : sizes) {
    std::optional<int64_t> constant = getConstantIntValue(size);
    folded.push_back(constant ? OpFoldResult(b.getIndexAttr(*constant)) : size);
  }
  return folded;
}

Value Upstream::empty(const Sizes &sizes, Type element) {
  return tensor::EmptyOp::create(b, loc, foldSizes(sizes, b), element);
}

Value Upstream::scalar(Type type, double value) {
  TypedAttr attr;
  if (auto floatType = dyn_cast<FloatType>(type))
    attr = b.getFloatAttr(floatType, value);
  else
    attr = b.getIntegerAttr(type, static_cast<int64_t>(value));
  return arith::ConstantOp::create(b, loc, attr);
}

Value Upstream::fill(const Sizes &sizes, Value scalar) {
  Value init = empty(sizes, scalar.getType());
  return linalg::FillOp::create(b, loc, scalar, init).getResult(0);
}

Value Upstream::sigmoid(Value x) {
  Value one = scalar(x.getType(), 1);
  Value negative = arith::NegFOp::create(b, loc, x);
  Value power = math::ExpOp::create(b, loc, negative);
  Value sum = arith::AddFOp::create(b, loc, one, power);
  return arith::DivFOp::create(b, loc, one, sum);
}

Value Upstream::extractOnly(Value tensor) {
  SmallVector<Value> zeros(typeOf(tensor).getRank(),
                           scalar(b.getIndexType(), 0));
  return tensor::ExtractOp::create(b, loc, tensor, zeros);
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

Value Upstream::map(ValueRange inputs, ArrayRef<AffineMap> maps,
                    const Sizes &sizes, Type element, Body body) {
  Value init = empty(sizes, element);
  SmallVector<AffineMap> all(maps);
  all.push_back(b.getMultiDimIdentityMap(sizes.size()));
  SmallVector<utils::IteratorType> iterators(sizes.size(),
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, init.getType(), inputs, init, all, iterators,
             [&](OpBuilder &nested, Location, ValueRange arguments) {
               linalg::YieldOp::create(nested, loc,
                                       body(nested, arguments.drop_back()));
             })
      .getResult(0);
}

Value Upstream::elementwise(ValueRange inputs, Type element, Body body) {
  Sizes sizes = sizesOf(inputs.front());
  // What is known of one is known of all.
  for (Value input : inputs)
    for (auto [d, size] : llvm::enumerate(typeOf(input).getShape()))
      if (!ShapedType::isDynamic(size))
        sizes[d] = b.getIndexAttr(size);
  SmallVector<AffineMap> maps(inputs.size(),
                              b.getMultiDimIdentityMap(sizes.size()));
  return map(inputs, maps, sizes, element, body);
}

Value Upstream::generate(const Sizes &sizes, Type element, Body body) {
  return map({}, {}, sizes, element, [&](OpBuilder &nested, ValueRange) {
    SmallVector<Value> indices;
    for (size_t d = 0; d < sizes.size(); ++d)
      indices.push_back(linalg::IndexOp::create(nested, loc, d));
    return body(nested, indices);
  });
}

/// Converts a scalar.
static Value convert(OpBuilder &b, Location loc, Value value, Type to) {
  Type from = value.getType();
  if (from == to)
    return value;
  bool fromBool = from.isInteger(1);
  if (isa<IndexType>(from) || isa<IndexType>(to)) {
    if (isa<FloatType>(to)) {
      value = arith::IndexCastOp::create(b, loc, b.getI64Type(), value);
      return arith::SIToFPOp::create(b, loc, to, value);
    }
    if (isa<FloatType>(from)) {
      value = arith::FPToSIOp::create(b, loc, b.getI64Type(), value);
      return arith::IndexCastOp::create(b, loc, to, value);
    }
    return arith::IndexCastOp::create(b, loc, to, value);
  }
  if (isa<FloatType>(from) && isa<FloatType>(to)) {
    if (from.getIntOrFloatBitWidth() < to.getIntOrFloatBitWidth())
      return arith::ExtFOp::create(b, loc, to, value);
    if (from.getIntOrFloatBitWidth() == to.getIntOrFloatBitWidth())
      value = arith::ExtFOp::create(b, loc, b.getF32Type(), value);
    return arith::TruncFOp::create(b, loc, to, value);
  }
  if (isa<FloatType>(to))
    return fromBool ? Value(arith::UIToFPOp::create(b, loc, to, value))
                    : Value(arith::SIToFPOp::create(b, loc, to, value));
  if (isa<FloatType>(from)) {
    if (to.isInteger(1)) {
      Value zero = arith::ConstantOp::create(
          b, loc, b.getFloatAttr(cast<FloatType>(from), 0.0));
      return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, value,
                                   zero);
    }
    return arith::FPToSIOp::create(b, loc, to, value);
  }
  if (to.isInteger(1)) {
    Value zero = arith::ConstantOp::create(b, loc, b.getIntegerAttr(from, 0));
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, value, zero);
  }
  if (from.getIntOrFloatBitWidth() > to.getIntOrFloatBitWidth())
    return arith::TruncIOp::create(b, loc, to, value);
  return fromBool ? Value(arith::ExtUIOp::create(b, loc, to, value))
                  : Value(arith::ExtSIOp::create(b, loc, to, value));
}

Value Upstream::iota(const Sizes &sizes, int64_t dim, Type element) {
  return generate(sizes, element, [&](OpBuilder &nested, ValueRange indices) {
    return convert(nested, loc, indices[dim], element);
  });
}

Value Upstream::castScalar(Value scalar, Type type) {
  return convert(b, loc, scalar, type);
}

Value Upstream::cast(Value tensor, Type element) {
  if (typeOf(tensor).getElementType() == element)
    return tensor;
  return elementwise(tensor, element, [&](OpBuilder &nested, ValueRange v) {
    return convert(nested, loc, v.front(), element);
  });
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

Value Upstream::broadcast(Value tensor, const Sizes &sizes,
                          ArrayRef<int64_t> dims) {
  RankedTensorType type = typeOf(tensor);
  if (type == getType(sizes, type.getElementType()) &&
      llvm::equal(dims, llvm::seq<int64_t>(0, type.getRank())))
    return tensor;
  SmallVector<AffineExpr> exprs;
  for (auto [i, dim] : llvm::enumerate(dims)) {
    bool repeats =
        type.getDimSize(i) == 1 && getConstantIntValue(sizes[dim]) != 1;
    exprs.push_back(repeats ? b.getAffineConstantExpr(0)
                            : b.getAffineDimExpr(dim));
  }
  AffineMap map = AffineMap::get(sizes.size(), 0, exprs, b.getContext());
  return this->map(tensor, map, sizes, type.getElementType(),
                   [](OpBuilder &, ValueRange v) { return v.front(); });
}

LogicalResult Upstream::broadcastTogether(SmallVectorImpl<Value> &values) {
  int64_t rank = 0;
  for (Value value : values)
    rank = std::max(rank, typeOf(value).getRank());
  Sizes sizes(rank, b.getIndexAttr(1));
  for (Value value : values) {
    int64_t shift = rank - typeOf(value).getRank();
    Sizes own = sizesOf(value);
    for (auto [d, size] : llvm::enumerate(own)) {
      OpFoldResult &all = sizes[d + shift];
      std::optional<int64_t> known = getConstantIntValue(all),
                             here = getConstantIntValue(size);
      if (known == 1)
        all = size;
      else if (!known && here && *here != 1)
        all = size;
      else if (known && here && *here != 1 && *here != *known)
        return failure();
    }
  }
  for (Value &value : values) {
    int64_t shift = rank - typeOf(value).getRank();
    SmallVector<int64_t> dims(typeOf(value).getRank());
    std::iota(dims.begin(), dims.end(), shift);
    value = broadcast(value, sizes, dims);
  }
  return success();
}

Value Upstream::transpose(Value tensor, ArrayRef<int64_t> permutation) {
  if (llvm::equal(permutation, llvm::seq<int64_t>(0, permutation.size())))
    return tensor;
  Sizes sizes = sizesOf(tensor), permuted;
  for (int64_t d : permutation)
    permuted.push_back(sizes[d]);
  Value init = empty(permuted, typeOf(tensor).getElementType());
  return linalg::TransposeOp::create(b, loc, tensor, init, permutation)
      ->getResult(0);
}

Value Upstream::reshape(Value tensor, const Sizes &given) {
  Sizes sizes = foldSizes(given, b);
  RankedTensorType from = typeOf(tensor),
                   to = getType(sizes, from.getElementType());
  if (from == to &&
      (to.hasStaticShape() || to.getRank() <= 1 || to.getNumDynamicDims() <= 1))
    return tensor;
  if (auto groups = getReassociationIndicesForReshape(from, to)) {
    if (from.getRank() > to.getRank())
      return tensor::CollapseShapeOp::create(b, loc, to, tensor, *groups);
    return tensor::ExpandShapeOp::create(b, loc, to, tensor, *groups, sizes);
  }
  // By way of all elements in one dimension.
  SmallVector<ReassociationIndices> all(1);
  if (from.getRank() > 1) {
    all[0].assign(llvm::to_vector(llvm::seq<int64_t>(0, from.getRank())));
    int64_t count =
        from.hasStaticShape() ? from.getNumElements() : ShapedType::kDynamic;
    tensor = tensor::CollapseShapeOp::create(
        b, loc, RankedTensorType::get(count, from.getElementType()), tensor,
        all);
  } else if (from.getRank() == 0) {
    tensor = tensor::ExpandShapeOp::create(
        b, loc, RankedTensorType::get(1, from.getElementType()), tensor,
        ArrayRef<ReassociationIndices>{});
  }
  if (to.getRank() == 1)
    return typeOf(tensor) == to
               ? tensor
               : Value(tensor::CastOp::create(b, loc, to, tensor));
  if (to.getRank() == 0)
    return tensor::CollapseShapeOp::create(b, loc, to, tensor,
                                           ArrayRef<ReassociationIndices>{});
  all[0].assign(llvm::to_vector(llvm::seq<int64_t>(0, to.getRank())));
  if (to.hasStaticShape() && !typeOf(tensor).hasStaticShape())
    tensor = tensor::CastOp::create(
        b, loc, RankedTensorType::get(to.getNumElements(), to.getElementType()),
        tensor);
  return tensor::ExpandShapeOp::create(b, loc, to, tensor, all, sizes);
}

Value Upstream::slice(Value tensor, const Sizes &offsets, const Sizes &sizes,
                      ArrayRef<int64_t> strides) {
  Sizes steps;
  for (int64_t stride : strides)
    steps.push_back(b.getIndexAttr(stride));
  RankedTensorType type = typeOf(tensor);
  Sizes folded = foldSizes(sizes, b);
  if (type == getType(folded, type.getElementType()) && type.hasStaticShape())
    return tensor;
  return tensor::ExtractSliceOp::create(b, loc, tensor, foldSizes(offsets, b),
                                        folded, steps);
}

Value Upstream::concat(ValueRange tensors, int64_t dim) {
  if (tensors.size() == 1)
    return tensors.front();
  return tensor::ConcatOp::create(b, loc, dim, tensors);
}

//===----------------------------------------------------------------------===//
// Reductions and products
//===----------------------------------------------------------------------===//

Value Upstream::reduce(Value tensor, Value init, ArrayRef<int64_t> dims,
                       Body body) {
  Sizes sizes = sizesOf(tensor), left;
  SmallVector<AffineExpr> kept;
  SmallVector<utils::IteratorType> iterators;
  for (auto [d, size] : llvm::enumerate(sizes)) {
    if (llvm::is_contained(dims, static_cast<int64_t>(d))) {
      iterators.push_back(utils::IteratorType::reduction);
      continue;
    }
    iterators.push_back(utils::IteratorType::parallel);
    kept.push_back(b.getAffineDimExpr(d));
    left.push_back(size);
  }
  Value start = fill(left, init);
  AffineMap maps[] = {b.getMultiDimIdentityMap(sizes.size()),
                      AffineMap::get(sizes.size(), 0, kept, b.getContext())};
  return linalg::GenericOp::create(
             b, loc, start.getType(), tensor, start, maps, iterators,
             [&](OpBuilder &nested, Location, ValueRange arguments) {
               linalg::YieldOp::create(nested, loc, body(nested, arguments));
             })
      .getResult(0);
}

Value Upstream::sum(Value tensor, ArrayRef<int64_t> dims) {
  Type element = typeOf(tensor).getElementType();
  return reduce(tensor, scalar(element, 0), dims,
                [&](OpBuilder &nested, ValueRange v) -> Value {
                  if (isa<FloatType>(element))
                    return arith::AddFOp::create(nested, loc, v[1], v[0]);
                  return arith::AddIOp::create(nested, loc, v[1], v[0]);
                });
}

Value Upstream::softmax(Value tensor, int64_t dim) {
  RankedTensorType type = typeOf(tensor);
  Value init = empty(sizesOf(tensor), type.getElementType());
  return linalg::SoftmaxOp::create(b, loc, type, tensor, init,
                                   b.getI64IntegerAttr(dim))
      ->getResult(0);
}

Value Upstream::contract(Value lhs, Value rhs, const ContractionDims &dims) {
  RankedTensorType left = typeOf(lhs), right = typeOf(rhs);
  // Loops: batch, free of both, contracting.
  SmallVector<AffineExpr> lhsMap(left.getRank()), rhsMap(right.getRank()), out;
  Sizes lhsSizes = sizesOf(lhs), rhsSizes = sizesOf(rhs), sizes;
  unsigned loop = 0;
  for (auto [l, r] : llvm::zip_equal(dims.lhsBatch, dims.rhsBatch)) {
    sizes.push_back(left.isDynamicDim(l) ? rhsSizes[r] : lhsSizes[l]);
    lhsMap[l] = rhsMap[r] = b.getAffineDimExpr(loop++);
  }
  auto addFree = [&](SmallVectorImpl<AffineExpr> &map, const Sizes &own,
                     ArrayRef<int64_t> batch, ArrayRef<int64_t> contracting) {
    for (int64_t d = 0, e = map.size(); d < e; ++d)
      if (!llvm::is_contained(batch, d) &&
          !llvm::is_contained(contracting, d)) {
        map[d] = b.getAffineDimExpr(loop++);
        sizes.push_back(own[d]);
      }
  };
  addFree(lhsMap, lhsSizes, dims.lhsBatch, dims.lhsContracting);
  addFree(rhsMap, rhsSizes, dims.rhsBatch, dims.rhsContracting);
  for (unsigned i = 0; i < loop; ++i)
    out.push_back(b.getAffineDimExpr(i));
  for (auto [l, r] : llvm::zip_equal(dims.lhsContracting, dims.rhsContracting))
    lhsMap[l] = rhsMap[r] = b.getAffineDimExpr(loop++);
  // x W^T is what routers are known by: not x times a transposed copy of W.
  auto readThrough = [&](Value &operand, SmallVectorImpl<AffineExpr> &map) {
    if (auto transposed = operand.getDefiningOp<linalg::TransposeOp>()) {
      SmallVector<AffineExpr> source(map.size());
      for (auto [d, from] : llvm::enumerate(transposed.getPermutation()))
        source[from] = map[d];
      map.assign(source);
      operand = transposed.getInput();
    }
  };
  readThrough(lhs, lhsMap);
  readThrough(rhs, rhsMap);
  MLIRContext *context = b.getContext();
  if (dims.lhsContracting.empty())
    return this->map({lhs, rhs},
                     {AffineMap::get(loop, 0, lhsMap, context),
                      AffineMap::get(loop, 0, rhsMap, context)},
                     sizes, left.getElementType(),
                     [&](OpBuilder &nested, ValueRange v) -> Value {
                       if (isa<FloatType>(left.getElementType()))
                         return arith::MulFOp::create(nested, loc, v[0], v[1]);
                       return arith::MulIOp::create(nested, loc, v[0], v[1]);
                     });
  SmallVector<AffineMap> maps = {AffineMap::get(loop, 0, lhsMap, context),
                                 AffineMap::get(loop, 0, rhsMap, context),
                                 AffineMap::get(loop, 0, out, context)};
  Value start = fill(sizes, scalar(left.getElementType(), 0));
  return linalg::ContractOp::create(b, loc, start.getType(),
                                    ValueRange{lhs, rhs}, start,
                                    b.getAffineMapArrayAttr(maps))
      .getResult(0);
}

std::pair<Value, Value> Upstream::topK(Value tensor, int64_t k, Type index) {
  RankedTensorType type = typeOf(tensor);
  Type element = type.getElementType();
  int64_t rank = type.getRank(), experts = type.getDimSize(rank - 1);
  Sizes sizes = sizesOf(tensor);
  // Scores are [tokens, experts] of f32 or f64.
  bool isWide = element.isF32() || element.isF64();
  Value scores = isWide ? tensor : cast(tensor, b.getF32Type());
  if (rank != 2) {
    OpFoldResult tokens = b.getIndexAttr(1);
    for (OpFoldResult size : ArrayRef(sizes).drop_back())
      tokens = multiply(tokens, size);
    scores = reshape(scores, {tokens, b.getIndexAttr(experts)});
  }
  auto routing = RouterOp::create(b, loc, TopKAttr::get(b.getContext(), k),
                                  scores, scores);
  Type number = typeOf(scores).getElementType();
  SmallVector<int64_t> shape = {typeOf(scores).getDimSize(0), k};
  Value indices = RoutingIndicesOp::create(
      b, loc, RankedTensorType::get(shape, b.getI32Type()), routing);
  Value values = RoutingWeightsOp::create(
      b, loc, RankedTensorType::get(shape, number), routing);
  indices = cast(indices, index);
  if (!isWide)
    values = cast(values, element);
  sizes.back() = b.getIndexAttr(k);
  return {reshape(values, sizes), reshape(indices, sizes)};
}
