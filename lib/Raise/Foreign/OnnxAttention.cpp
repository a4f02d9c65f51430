//===- OnnxAttention.cpp - ONNX's attention ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Attention and rotary embeddings that are one op, in ONNX and in ONNX Runtime,
// without caches: an exporter's cache is a Concat in front.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

static bool isFloatTensor(Value value) {
  auto type =
      value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  return type && isa<FloatType>(type.getElementType());
}

/// [B, S, heads, size] of [B, S, heads * size], or of [B, heads, S, size]; null
/// if the sizes are not known or do not fit.
static Value splitHeads(Upstream &up, Value x, int64_t heads) {
  if (!isFloatTensor(x))
    return {};
  RankedTensorType type = Upstream::typeOf(x);
  if (type.getRank() == 4)
    return type.isDynamicDim(1) || type.isDynamicDim(3)
               ? Value()
               : up.transpose(x, {0, 2, 1, 3});
  if (type.getRank() != 3 || type.isDynamicDim(2) || heads < 1 ||
      type.getDimSize(2) % heads)
    return {};
  Sizes sizes = up.sizesOf(x);
  OpBuilder &b = up.getBuilder();
  return up.reshape(x, {sizes[0], sizes[1], b.getIndexAttr(heads),
                        b.getIndexAttr(type.getDimSize(2) / heads)});
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {
/// What goes into it. Heads of keys and values may be fewer than those of
/// queries: neighbours share one.
struct Attention {
  Value query, key, value; // [B, S, heads, size]
  /// Added to scores, or a condition of i1; null or one that broadcasts to
  /// [B, heads, S, L].
  Value bias;
  double scale = 1;
  bool isCausal = false;
};
} // namespace

/// [B, S, heads, size]; null, with the op left, if shapes do not fit.
static Value attend(ForeignOp &op, const Attention &given) {
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Location loc = op.getLoc();
  RankedTensorType queries = Upstream::typeOf(given.query),
                   keys = Upstream::typeOf(given.key),
                   values = Upstream::typeOf(given.value);
  Type element = queries.getElementType();
  int64_t heads = queries.getDimSize(2), shared = keys.getDimSize(2);
  if (heads % shared || values.getDimSize(2) != shared ||
      keys.getDimSize(3) != queries.getDimSize(3) ||
      keys.getElementType() != element || values.getElementType() != element) {
    (void)op.leave("its heads do not fit together");
    return {};
  }
  int64_t group = heads / shared;
  Sizes sizes = up.sizesOf(given.query);
  Value query =
      up.reshape(given.query, {sizes[0], sizes[1], b.getIndexAttr(shared),
                               b.getIndexAttr(group), sizes[3]});
  ContractionDims products;
  products.lhsBatch = {0, 2};
  products.rhsBatch = {0, 2};
  products.lhsContracting = {4};
  products.rhsContracting = {3};
  // [B, shared, S, group, L]
  SmallVector<Value> inputs = {up.contract(query, given.key, products)};
  if (given.bias) {
    Value bias = given.bias;
    RankedTensorType type = Upstream::typeOf(bias);
    Sizes own = up.sizesOf(bias);
    while (own.size() < 4)
      own.insert(own.begin(), b.getIndexAttr(1));
    std::optional<int64_t> given4 = getConstantIntValue(own[1]);
    if (own.size() != 4 || !given4 || (*given4 != 1 && *given4 != heads) ||
        (type.getElementType() != element &&
         !type.getElementType().isInteger(1))) {
      (void)op.leave("its mask does not fit");
      return {};
    }
    bool isEach = *given4 == heads;
    bias =
        up.reshape(bias, {own[0], b.getIndexAttr(isEach ? shared : 1),
                          b.getIndexAttr(isEach ? group : 1), own[2], own[3]});
    inputs.push_back(up.transpose(bias, {0, 1, 3, 2, 4}));
  }
  if (failed(up.broadcastTogether(inputs))) {
    (void)op.leave("its mask does not fit");
    return {};
  }
  Value scores = up.elementwise(
      inputs, element, [&](OpBuilder &nested, ValueRange v) -> Value {
        Upstream scalars(nested, loc);
        Value score = arith::MulFOp::create(
            nested, loc, v[0], scalars.scalar(element, given.scale));
        Value none =
            scalars.scalar(element, -std::numeric_limits<double>::infinity());
        if (given.bias && v[1].getType().isInteger(1))
          score = arith::SelectOp::create(nested, loc, v[1], score, none);
        else if (given.bias)
          score = arith::AddFOp::create(nested, loc, score, v[1]);
        if (!given.isCausal)
          return score;
        Value isBefore =
            arith::CmpIOp::create(nested, loc, arith::CmpIPredicate::sle,
                                  linalg::IndexOp::create(nested, loc, 4),
                                  linalg::IndexOp::create(nested, loc, 2));
        return arith::SelectOp::create(nested, loc, isBefore, score, none);
      });
  ContractionDims sums;
  sums.lhsBatch = {0, 1};
  sums.rhsBatch = {0, 2};
  sums.lhsContracting = {4};
  sums.rhsContracting = {1};
  // [B, shared, S, group, size]
  Value result = up.contract(up.softmax(scores, 4), given.value, sums);
  result = up.transpose(result, {0, 2, 1, 3, 4});
  return up.reshape(result, {sizes[0], sizes[1], b.getIndexAttr(heads),
                             b.getIndexAttr(values.getDimSize(3))});
}

/// Whether only the first result is read, and none of `inputs` is given.
static LogicalResult needPlain(ForeignOp &op, ArrayRef<unsigned> inputs) {
  for (unsigned i : inputs)
    if (getInput(op, i))
      return op.leave("its input " + Twine(i) + " is not known");
  for (Value result : op.getOperation()->getResults().drop_front())
    if (!result.use_empty())
      return op.leave("more than its first result is read");
  return success();
}

static LogicalResult replaceFirst(ForeignOp &op, Value result) {
  return op.replace(
      SmallVector<Value>(op.getOperation()->getNumResults(), result));
}

/// [B, S, heads * size] of [B, S, heads, size].
static Value joinHeads(Upstream &up, Value x) {
  Sizes sizes = up.sizesOf(x);
  return up.reshape(x, {sizes[0], sizes[1], multiply(up, sizes[2], sizes[3])});
}

/// com.microsoft.MultiHeadAttention.
static LogicalResult convertMultiHead(ForeignOp &op) {
  if (failed(needPlain(op, {3, 4, 6, 7, 8, 9})))
    return failure();
  if (op.getInt("unidirectional", 0))
    return op.leave("it is unidirectional");
  int64_t heads = op.getInt("num_heads", 0);
  Attention given;
  Value *parts[] = {&given.query, &given.key, &given.value};
  for (auto [i, part] : llvm::enumerate(parts)) {
    *part = splitHeads(op.upstream, getInput(op, i), heads);
    if (!*part)
      return op.leave("the shape of input " + Twine(i) + " is not known");
  }
  given.bias = getInput(op, 5);
  if (given.bias && !isFloatTensor(given.bias))
    return op.leave("the shape of its mask is not known");
  double size = Upstream::typeOf(given.query).getDimSize(3);
  given.scale = op.getFloat("scale").value_or(0);
  if (given.scale == 0)
    given.scale = 1 / std::sqrt(size);
  Value result = attend(op, given);
  return result ? replaceFirst(op, joinHeads(op.upstream, result)) : failure();
}

/// Attention of ONNX, from opset 23.
static LogicalResult convertAttention(ForeignOp &op) {
  if (failed(needPlain(op, {4, 5, 6})))
    return failure();
  if (op.getFloat("softcap").value_or(0) != 0)
    return op.leave("it caps scores");
  Attention given;
  bool isSplit = false;
  Value *parts[] = {&given.query, &given.key, &given.value};
  for (auto [i, part] : llvm::enumerate(parts)) {
    Value input = getInput(op, i);
    *part = splitHeads(op.upstream, input,
                       op.getInt(i ? "kv_num_heads" : "q_num_heads", 0));
    if (!*part)
      return op.leave("the shape of input " + Twine(i) + " is not known");
    isSplit = Upstream::typeOf(getInput(op, 0)).getRank() == 4;
  }
  given.bias = getInput(op, 3);
  if (given.bias && !isa<RankedTensorType>(given.bias.getType()))
    return op.leave("the shape of its mask is not known");
  given.isCausal = op.getInt("is_causal", 0) != 0;
  if (given.isCausal) {
    // Where they are not as many, versions differ in which sees which.
    FailureOr<bool> isSquare =
        ValueBoundsConstraintSet::areEqual({given.query, 1}, {given.key, 1});
    if (failed(isSquare) || !*isSquare)
      return op.leave("it is causal, and its keys are not known to be as many "
                      "as its queries");
  }
  double size = Upstream::typeOf(given.query).getDimSize(3);
  given.scale = op.getFloat("scale").value_or(1 / std::sqrt(size));
  Value result = attend(op, given);
  if (!result)
    return failure();
  return replaceFirst(op, isSplit ? op.upstream.transpose(result, {0, 2, 1, 3})
                                  : joinHeads(op.upstream, result));
}

//===----------------------------------------------------------------------===//
// Rotary embeddings
//===----------------------------------------------------------------------===//

/// [B, S, R] of a table [places, R] and where the tokens are, [B, S] or one
/// place that the first of them has.
static Value gatherAngles(Upstream &up, Value table, Value places,
                          const Sizes &sizes) {
  OpBuilder &b = up.getBuilder();
  bool isEach = Upstream::typeOf(places).getRank() == 2;
  AffineMap map =
      AffineMap::get(3, 0,
                     isEach ? ArrayRef<AffineExpr>{b.getAffineDimExpr(0),
                                                   b.getAffineDimExpr(1)}
                            : ArrayRef<AffineExpr>{b.getAffineConstantExpr(0)},
                     b.getContext());
  Sizes all = {sizes[0], sizes[1], up.sizesOf(table)[1]};
  // One row of places for all of a batch.
  if (isEach && Upstream::typeOf(places).getDimSize(0) == 1 &&
      getConstantIntValue(sizes[0]) != 1)
    map = AffineMap::get(3, 0,
                         {b.getAffineConstantExpr(0), b.getAffineDimExpr(1)},
                         b.getContext());
  return up.map(places, map, all, Upstream::typeOf(table).getElementType(),
                [&](OpBuilder &nested, ValueRange v) -> Value {
                  Location loc = up.getLoc();
                  Value place = arith::IndexCastOp::create(
                      nested, loc, nested.getIndexType(), v[0]);
                  if (!isEach)
                    place = arith::AddIOp::create(
                        nested, loc, place,
                        linalg::IndexOp::create(nested, loc, 1));
                  Value at = linalg::IndexOp::create(nested, loc, 2);
                  return tensor::ExtractOp::create(nested, loc, table,
                                                   ValueRange{place, at});
                });
}

/// Inputs 0 and, in the order of `order`: places, cosines and sines.
static LogicalResult convertRotary(ForeignOp &op, ArrayRef<unsigned> order) {
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Location loc = op.getLoc();
  Value x = getInput(op, 0), places = getInput(op, order[0]),
        cosines = getInput(op, order[1]), sines = getInput(op, order[2]);
  if (!isFloatTensor(x) || !isFloatTensor(cosines) || !isFloatTensor(sines))
    return op.leave("the shapes of its inputs are not known");
  RankedTensorType table = Upstream::typeOf(cosines);
  if (table.isDynamicDim(table.getRank() - 1))
    return op.leave("how much it rotates is not known");
  int64_t half = table.getShape().back();
  bool isSplit = Upstream::typeOf(x).getRank() == 4;
  int64_t heads = op.getInt("num_heads", 0);
  if (!isSplit && !heads && Upstream::typeOf(x).getRank() == 3)
    heads = Upstream::typeOf(x).getDimSize(2) / (2 * half);
  Value rows = splitHeads(up, x, heads);
  if (!rows || op.getInt("is_packed_batching", 0) ||
      op.getFloat("scale").value_or(1.0) != 1.0)
    return op.leave("the shape of its input is not known");
  Sizes sizes = up.sizesOf(rows);
  int64_t size = Upstream::typeOf(rows).getDimSize(3);
  if (2 * half > size)
    return op.leave("it rotates more than a head has");
  if (places) {
    auto type = dyn_cast<RankedTensorType>(places.getType());
    if (!type || type.getRank() > 2 || type.getRank() < 1 ||
        table.getRank() != 2)
      return op.leave("the shape of its places is not known");
    cosines = gatherAngles(up, cosines, places, sizes);
    sines = gatherAngles(up, sines, places, sizes);
  }
  if (Upstream::typeOf(cosines).getRank() != 3)
    return op.leave("its angles are not those of tokens");
  // [B, S, heads, 2, half], or the last two the other way round.
  bool isInterleaved = op.getInt("interleaved", 0) != 0;
  auto take = [&](int64_t offset, int64_t count, int64_t stride) {
    Sizes offsets(4, b.getIndexAttr(0)), part(sizes);
    offsets[3] = b.getIndexAttr(offset);
    part[3] = b.getIndexAttr(count);
    return up.slice(rows, offsets, part, {1, 1, 1, stride});
  };
  Value first = take(0, half, isInterleaved ? 2 : 1),
        second = isInterleaved ? take(1, half, 2) : take(half, half, 1);
  AffineMap all = b.getMultiDimIdentityMap(4),
            angles =
                AffineMap::get(4, 0,
                               {b.getAffineDimExpr(0), b.getAffineDimExpr(1),
                                b.getAffineDimExpr(3)},
                               b.getContext());
  Sizes part(sizes);
  part[3] = b.getIndexAttr(half);
  auto rotate = [&](bool isSecond) {
    return up.map({first, second, cosines, sines}, {all, all, angles, angles},
                  part, Upstream::typeOf(x).getElementType(),
                  [&](OpBuilder &nested, ValueRange v) -> Value {
                    auto times = [&](Value l, Value r) -> Value {
                      return arith::MulFOp::create(nested, loc, l, r);
                    };
                    if (isSecond)
                      return arith::AddFOp::create(
                          nested, loc, times(v[0], v[3]), times(v[1], v[2]));
                    return arith::SubFOp::create(nested, loc, times(v[0], v[2]),
                                                 times(v[1], v[3]));
                  });
  };
  SmallVector<Value> parts = {rotate(false), rotate(true)};
  if (isInterleaved) {
    Sizes wide(part);
    wide.push_back(b.getIndexAttr(1));
    for (Value &value : parts)
      value = up.reshape(value, wide);
    part[3] = b.getIndexAttr(2 * half);
    parts = {up.reshape(up.concat(parts, 4), part)};
  }
  if (2 * half < size)
    parts.push_back(take(2 * half, size - 2 * half, 1));
  Value result = up.concat(parts, 3);
  return op.replace(isSplit ? up.transpose(result, {0, 2, 1, 3})
                            : joinHeads(up, result));
}

void onnx::addAttention(ForeignTable &table) {
  table.add("onnx.Attention", convertAttention);
  table.add("onnx.com.microsoft.MultiHeadAttention", convertMultiHead);
  table.add("onnx.RotaryEmbedding", [](ForeignOp &op) {
    return convertRotary(op, {3, 1, 2});
  });
  table.add("onnx.com.microsoft.RotaryEmbedding", [](ForeignOp &op) {
    return convertRotary(op, {1, 2, 3});
  });
}
