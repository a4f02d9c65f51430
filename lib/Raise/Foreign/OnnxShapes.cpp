//===- OnnxShapes.cpp - Where ONNX's elements are ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Sizes, and operators that only move elements. Those that exporters compute
// sizes by work on elements that are known, see Onnx.h.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

OpFoldResult moe::raise::onnx::productOf(Upstream &upstream,
                                         ArrayRef<OpFoldResult> sizes) {
  OpFoldResult product = upstream.getBuilder().getIndexAttr(1);
  for (OpFoldResult size : sizes)
    product = multiply(upstream, product, size);
  return product;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

static LogicalResult convertShape(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  int64_t rank = Upstream::typeOf(input).getRank();
  auto clamp = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t start = clamp(op.getInt("start", 0)),
          end = clamp(op.getInt("end", rank));
  Sizes sizes = op.upstream.sizesOf(input);
  Sizes part(sizes.begin() + start, sizes.begin() + std::max(start, end));
  return op.replace(
      makeKnown(op.upstream, part, 1, op.upstream.getBuilder().getI64Type()));
}

static LogicalResult convertSize(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Sizes sizes = op.upstream.sizesOf(getInput(op, 0));
  return op.replace(makeKnown(op.upstream, {productOf(op.upstream, sizes)}, 0,
                              op.upstream.getBuilder().getI64Type()));
}

/// The same elements in another shape, known ones included.
static LogicalResult replaceReshaped(ForeignOp &op, Value input,
                                     const Sizes &sizes) {
  if (sizes.size() <= 1)
    if (std::optional<Sizes> known = getKnown(op.upstream, input))
      return op.replace(makeKnown(op.upstream, *known, sizes.size(),
                                  Upstream::typeOf(input).getElementType()));
  return op.replace(op.upstream.reshape(input, sizes));
}

/// What is left of `sizes` when all but one of a shape are `others`.
OpFoldResult moe::raise::onnx::inferSize(Upstream &upstream,
                                         ArrayRef<OpFoldResult> sizes,
                                         ArrayRef<OpFoldResult> others) {
  int64_t above = 1, below = 1;
  SmallVector<OpFoldResult> dynamic, divisors;
  for (OpFoldResult size : sizes) {
    if (std::optional<int64_t> constant = getConstantIntValue(size))
      above *= *constant;
    else
      dynamic.push_back(size);
  }
  for (OpFoldResult size : others) {
    if (std::optional<int64_t> constant = getConstantIntValue(size))
      below *= *constant;
    else if (auto same = llvm::find_if(
                 dynamic,
                 [&](OpFoldResult other) { return isSameSize(other, size); });
             same != dynamic.end())
      dynamic.erase(same);
    else
      divisors.push_back(size);
  }
  Builder &b = upstream.getBuilder();
  if (below != 0 && above % below == 0) {
    above /= below;
    below = 1;
  }
  OpFoldResult product =
      multiply(upstream, productOf(upstream, dynamic), b.getIndexAttr(above));
  if (below == 1 && divisors.empty())
    return product;
  return divide(
      upstream, product,
      multiply(upstream, productOf(upstream, divisors), b.getIndexAttr(below)));
}

static LogicalResult convertReshape(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  std::optional<Sizes> shape = getKnownInput(op, 1);
  if (!shape)
    return needSizes(op);
  Value input = getInput(op, 0);
  Sizes sizes = op.upstream.sizesOf(input), others;
  std::optional<size_t> inferred;
  for (auto [i, size] : llvm::enumerate(*shape)) {
    std::optional<int64_t> constant = getConstantIntValue(size);
    if (constant == 0 && !op.getInt("allowzero", 0)) {
      if (i >= sizes.size())
        return op.leave("it keeps a dimension that there is not");
      size = sizes[i];
    } else if (constant == -1) {
      if (inferred)
        return op.leave("two of its sizes are to be inferred");
      inferred = i;
      continue;
    } else if (constant && *constant < 0) {
      return op.leave("one of its sizes is negative");
    }
    others.push_back(size);
  }
  if (inferred)
    (*shape)[*inferred] = inferSize(op.upstream, sizes, others);
  RankedTensorType from = Upstream::typeOf(input),
                   to = Upstream::getType(*shape, from.getElementType());
  if (from.hasStaticShape() && to.hasStaticShape() &&
      from.getNumElements() != to.getNumElements())
    return op.leave("its input has " + Twine(from.getNumElements()) +
                    " elements and its result " + Twine(to.getNumElements()));
  return replaceReshaped(op, input, *shape);
}

static LogicalResult convertUnsqueeze(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  Sizes sizes = op.upstream.sizesOf(input), result;
  int64_t rank = sizes.size();
  // How many there are is known before which they are.
  Value given = getInput(op, 1);
  std::optional<SmallVector<int64_t>> axes = op.getInts("axes");
  if (!axes && given)
    axes = getConstants(given);
  if (!axes)
    return needSizes(op);
  rank += axes->size();
  axes = getAxes(op, 1, rank);
  if (!axes)
    return op.leave("its axes are not those of its result");
  auto next = sizes.begin();
  for (int64_t d = 0; d < rank; ++d)
    result.push_back(
        llvm::is_contained(*axes, d)
            ? OpFoldResult(op.upstream.getBuilder().getIndexAttr(1))
            : *next++);
  return replaceReshaped(op, input, result);
}

static LogicalResult convertSqueeze(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  RankedTensorType type = Upstream::typeOf(input);
  std::optional<SmallVector<int64_t>> axes = getAxes(op, 1, type.getRank());
  if (!axes)
    return op.leave("its axes are not known, or not those of its input");
  Sizes sizes = op.upstream.sizesOf(input), result;
  bool isAll = !getInput(op, 1) && !op.getInts("axes");
  if (isAll && !type.hasStaticShape())
    return op.leave("which of its sizes are 1 is not known");
  for (auto [d, size] : llvm::enumerate(sizes)) {
    bool goes = isAll ? type.getDimSize(d) == 1
                      : llvm::is_contained(*axes, static_cast<int64_t>(d));
    if (!goes)
      result.push_back(size);
    else if (!type.isDynamicDim(d) && type.getDimSize(d) != 1)
      return op.leave("it removes a dimension of " + Twine(type.getDimSize(d)));
  }
  // What is removed has a size of 1, whatever the type says.
  if (type.getRank() != static_cast<int64_t>(result.size()) &&
      !type.hasStaticShape()) {
    SmallVector<int64_t> shape(type.getShape());
    for (int64_t axis : *axes)
      shape[axis] = 1;
    auto known = RankedTensorType::get(shape, type.getElementType());
    if (known != type)
      input = tensor::CastOp::create(op.upstream.getBuilder(), op.getLoc(),
                                     known, input);
  }
  return replaceReshaped(op, input, result);
}

static LogicalResult convertFlatten(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  Sizes sizes = op.upstream.sizesOf(input);
  int64_t rank = sizes.size(), axis = op.getInt("axis", 1);
  if (axis < 0)
    axis += rank;
  if (axis < 0 || axis > rank)
    return op.leave("its axis is none of its input");
  ArrayRef<OpFoldResult> all(sizes);
  return replaceReshaped(op, input,
                         {productOf(op.upstream, all.take_front(axis)),
                          productOf(op.upstream, all.drop_front(axis))});
}

//===----------------------------------------------------------------------===//
// More of the same
//===----------------------------------------------------------------------===//

static LogicalResult convertTranspose(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  int64_t rank = Upstream::typeOf(input).getRank();
  SmallVector<int64_t> permutation;
  for (int64_t d = rank; d-- > 0;)
    permutation.push_back(d);
  if (std::optional<SmallVector<int64_t>> given = op.getInts("perm"))
    permutation = *given;
  SmallVector<int64_t> sorted(permutation);
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, rank)))
    return op.leave("its permutation is none of its input's dimensions");
  return op.replace(op.upstream.transpose(input, permutation));
}

static LogicalResult convertExpand(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  std::optional<Sizes> shape = getKnownInput(op, 1);
  if (!shape)
    return needSizes(op);
  Value input = getInput(op, 0);
  Sizes own = op.upstream.sizesOf(input);
  int64_t rank = std::max(own.size(), shape->size());
  int64_t shift = rank - own.size();
  Sizes sizes(rank, op.upstream.getBuilder().getIndexAttr(1));
  llvm::copy(*shape, sizes.begin() + (rank - shape->size()));
  SmallVector<int64_t> dims;
  for (auto [d, size] : llvm::enumerate(own)) {
    dims.push_back(d + shift);
    std::optional<int64_t> here = getConstantIntValue(size),
                           asked = getConstantIntValue(sizes[d + shift]);
    if (here && asked && *here != 1 && *asked != 1 && *here != *asked)
      return op.leave("a dimension of " + Twine(*here) + " does not become " +
                      Twine(*asked));
    // What is asked for is 1, or what there is, or it is 1.
    if (asked == 1 || (here && *here != 1))
      sizes[d + shift] = size;
  }
  if (TypedAttr splat = getSplat(input))
    return op.replace(op.upstream.fill(
        sizes, arith::ConstantOp::create(op.upstream.getBuilder(), op.getLoc(),
                                         splat)));
  return op.replace(op.upstream.broadcast(input, sizes, dims));
}

static LogicalResult convertTile(ForeignOp &op) {
  if (failed(needTensor(op)))
    return failure();
  Value input = getInput(op, 0);
  std::optional<Sizes> repeats = getKnownInput(op, 1);
  Sizes own = op.upstream.sizesOf(input), wide, result;
  if (!repeats || repeats->size() != own.size())
    return needSizes(op);
  SmallVector<int64_t> dims;
  for (auto [size, count] : llvm::zip_equal(own, *repeats)) {
    if (getConstantIntValue(count) != 1)
      wide.push_back(count);
    dims.push_back(wide.size());
    wide.push_back(size);
    result.push_back(multiply(op.upstream, size, count));
  }
  return op.replace(
      op.upstream.reshape(op.upstream.broadcast(input, wide, dims), result));
}

static LogicalResult convertConcat(ForeignOp &op) {
  Sizes known;
  bool areKnown = true;
  for (unsigned i = 0, e = op.getNumOperands(); i < e; ++i) {
    if (failed(needTensor(op, i)))
      return failure();
    std::optional<Sizes> part = getKnownInput(op, i);
    areKnown &= part && Upstream::typeOf(op.getOperand(i)).getRank() == 1;
    if (areKnown)
      known.append(*part);
  }
  if (!op.getNumOperands())
    return op.leave("it has no inputs");
  RankedTensorType first = Upstream::typeOf(op.getOperand(0));
  if (areKnown && first.getElementType().isInteger(64))
    return op.replace(makeKnown(op.upstream, known, 1, first.getElementType()));
  std::optional<int64_t> axis = getAxis(op.getInt("axis", 0), first.getRank());
  if (!axis)
    return op.leave("its axis is none of its inputs");
  for (Value input : op.getOperands()) {
    RankedTensorType type = Upstream::typeOf(input);
    bool fits = type.getRank() == first.getRank() &&
                type.getElementType() == first.getElementType();
    for (int64_t d = 0; fits && d < first.getRank(); ++d)
      fits = d == *axis || type.isDynamicDim(d) || first.isDynamicDim(d) ||
             type.getDimSize(d) == first.getDimSize(d);
    if (!fits)
      return op.leave("the shapes of its inputs differ");
  }
  if (*axis == 0)
    if (Value product = matchGroupedProduct(op))
      return op.replace(product);
  return op.replace(op.upstream.concat(op.getOperands(), *axis));
}

void onnx::addShapes(ForeignTable &table) {
  table.add("onnx.Shape", convertShape);
  table.add("onnx.Size", convertSize);
  table.add("onnx.Reshape", convertReshape);
  table.add("onnx.Unsqueeze", convertUnsqueeze);
  table.add("onnx.Squeeze", convertSqueeze);
  table.add("onnx.Flatten", convertFlatten);
  table.add("onnx.Transpose", convertTranspose);
  table.add("onnx.Expand", convertExpand);
  table.add("onnx.Tile", convertTile);
  table.add("onnx.Concat", convertConcat);
}
