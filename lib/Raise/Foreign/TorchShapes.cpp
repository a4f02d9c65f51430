//===- TorchShapes.cpp - Where PyTorch's elements are ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Sizes, and operators that only move elements.
//
//===----------------------------------------------------------------------===//

#include "Torch.h"

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::torch;

static LogicalResult needSizes(ForeignOp &op) {
  return op.leave("the sizes that it asks for are no list of integers");
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

static LogicalResult convertSize(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  std::optional<int64_t> dim =
      getDim(op, 1, Upstream::typeOf(tensor).getRank());
  if (!dim)
    return failure();
  return op.replace(
      onnx::toValue(op.upstream, op.upstream.sizesOf(tensor)[*dim]));
}

using SizeFunction = OpFoldResult (*)(Upstream &, OpFoldResult, OpFoldResult);

template <SizeFunction function>
static LogicalResult convertSizes(ForeignOp &op) {
  if (op.getNumOperands() != 2)
    return op.leave("it has not two operands");
  std::optional<OpFoldResult> left = getSize(op.getOperand(0)),
                              right = getSize(op.getOperand(1));
  if (!left || !right)
    return op.leave("its operands are no sizes");
  return op.replace(
      onnx::toValue(op.upstream, function(op.upstream, *left, *right)));
}

//===----------------------------------------------------------------------===//
// Other shapes
//===----------------------------------------------------------------------===//

static LogicalResult convertView(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  std::optional<Sizes> shape;
  if (op.getNumOperands() > 1)
    shape = getSizes(op.getOperand(1));
  if (!shape)
    return needSizes(op);
  Sizes own = op.upstream.sizesOf(tensor), others;
  std::optional<size_t> inferred;
  for (auto [i, size] : llvm::enumerate(*shape)) {
    std::optional<int64_t> constant = getConstantIntValue(size);
    if (constant == -1 && !inferred) {
      inferred = i;
      continue;
    }
    if (constant && *constant < 0)
      return op.leave("two of its sizes are negative");
    others.push_back(size);
  }
  if (inferred)
    (*shape)[*inferred] = onnx::inferSize(op.upstream, own, others);
  RankedTensorType from = Upstream::typeOf(tensor),
                   to = Upstream::getType(*shape, from.getElementType());
  if (from.hasStaticShape() && to.hasStaticShape() &&
      from.getNumElements() != to.getNumElements())
    return op.leave("its operand has " + Twine(from.getNumElements()) +
                    " elements and its result " + Twine(to.getNumElements()));
  return op.replace(op.upstream.reshape(tensor, *shape));
}

static LogicalResult convertFlatten(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  Sizes own = op.upstream.sizesOf(tensor);
  std::optional<int64_t> first = getDim(op, 1, own.size()), last;
  if (first)
    last = getDim(op, 2, own.size());
  if (!last || *first > *last)
    return op.leave("its dimensions are none of its operand");
  ArrayRef<OpFoldResult> all(own);
  Sizes sizes(all.take_front(*first));
  sizes.push_back(
      onnx::productOf(op.upstream, all.slice(*first, *last - *first + 1)));
  sizes.append(all.begin() + *last + 1, all.end());
  return op.replace(op.upstream.reshape(tensor, sizes));
}

static LogicalResult convertUnsqueeze(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  Sizes sizes = op.upstream.sizesOf(tensor);
  std::optional<int64_t> dim = getDim(op, 1, sizes.size() + 1);
  if (!dim)
    return failure();
  sizes.insert(sizes.begin() + *dim, op.upstream.getBuilder().getIndexAttr(1));
  return op.replace(op.upstream.reshape(tensor, sizes));
}

/// Dimensions of 1 go; others stay.
static LogicalResult convertSqueeze(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  RankedTensorType type = Upstream::typeOf(tensor);
  std::optional<int64_t> dim = getDim(op, 1, type.getRank());
  if (!dim)
    return failure();
  if (type.isDynamicDim(*dim))
    return op.leave("whether its dimension is 1 is not known");
  if (type.getDimSize(*dim) != 1)
    return op.replace(tensor);
  Sizes sizes = op.upstream.sizesOf(tensor);
  sizes.erase(sizes.begin() + *dim);
  return op.replace(op.upstream.reshape(tensor, sizes));
}

static LogicalResult transposeBy(ForeignOp &op, Value tensor,
                                 ArrayRef<int64_t> given) {
  int64_t rank = Upstream::typeOf(tensor).getRank();
  SmallVector<int64_t> permutation, sorted;
  for (int64_t dim : given)
    permutation.push_back(onnx::getAxis(dim, rank).value_or(-1));
  sorted = permutation;
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(0, rank)))
    return op.leave("its permutation is none of its operand's dimensions");
  return op.replace(op.upstream.transpose(tensor, permutation));
}

static LogicalResult convertPermute(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  std::optional<SmallVector<int64_t>> dims;
  if (op.getNumOperands() > 1)
    dims = getInts(op.getOperand(1));
  if (!dims)
    return op.leave("its permutation is no list of constants");
  return transposeBy(op, tensor, *dims);
}

static LogicalResult convertTranspose(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  int64_t rank = Upstream::typeOf(tensor).getRank();
  SmallVector<int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  if (op.getNumOperands() == 1) {
    // t() of a vector is the vector.
    if (rank == 2)
      std::swap(permutation[0], permutation[1]);
    return transposeBy(op, tensor, permutation);
  }
  std::optional<int64_t> first = getDim(op, 1, rank), second;
  if (first)
    second = getDim(op, 2, rank);
  if (!second)
    return failure();
  std::swap(permutation[*first], permutation[*second]);
  return transposeBy(op, tensor, permutation);
}

//===----------------------------------------------------------------------===//
// More or fewer elements
//===----------------------------------------------------------------------===//

static LogicalResult convertExpand(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  std::optional<Sizes> sizes;
  if (op.getNumOperands() > 1)
    sizes = getSizes(op.getOperand(1));
  Sizes own = op.upstream.sizesOf(tensor);
  if (!sizes || sizes->size() < own.size())
    return needSizes(op);
  int64_t shift = sizes->size() - own.size();
  SmallVector<int64_t> dims;
  for (auto [d, size] : llvm::enumerate(own)) {
    dims.push_back(d + shift);
    OpFoldResult &asked = (*sizes)[d + shift];
    std::optional<int64_t> here = getConstantIntValue(size),
                           wanted = getConstantIntValue(asked);
    if (here && wanted && *here != 1 && *wanted != -1 && *here != *wanted)
      return op.leave("a dimension of " + Twine(*here) + " does not become " +
                      Twine(*wanted));
    // -1 keeps a dimension, and only one of 1 is repeated.
    if (wanted == -1 || here != 1)
      asked = size;
  }
  for (OpFoldResult size : *sizes)
    if (std::optional<int64_t> constant = getConstantIntValue(size);
        constant && *constant < 0)
      return op.leave("one of its sizes is negative");
  if (TypedAttr splat = onnx::getSplat(tensor)) {
    Value scalar =
        arith::ConstantOp::create(op.upstream.getBuilder(), op.getLoc(), splat);
    return op.replace(op.upstream.fill(*sizes, scalar));
  }
  return op.replace(op.upstream.broadcast(tensor, *sizes, dims));
}

/// `length` places of dimension `dim` from `begin`, each `step` apart.
static Value sliceDim(Upstream &up, Value tensor, int64_t dim,
                      OpFoldResult begin, OpFoldResult length,
                      int64_t step = 1) {
  Sizes sizes = up.sizesOf(tensor);
  // All of it is no slice.
  if (getConstantIntValue(begin) == 0 && step == 1 &&
      isEqualConstantIntOrValue(length, sizes[dim]))
    return tensor;
  Sizes offsets(sizes.size(), up.getBuilder().getIndexAttr(0));
  SmallVector<int64_t> strides(sizes.size(), 1);
  offsets[dim] = begin;
  sizes[dim] = length;
  strides[dim] = step;
  return up.slice(tensor, offsets, sizes, strides);
}

static LogicalResult convertSlice(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  std::optional<int64_t> dim =
      getDim(op, 1, Upstream::typeOf(tensor).getRank());
  if (!dim)
    return failure();
  if (op.getNumOperands() != 5)
    return op.leave("it has no bounds");
  OpFoldResult size = up.sizesOf(tensor)[*dim];
  auto getBound = [&](unsigned i,
                      OpFoldResult otherwise) -> std::optional<OpFoldResult> {
    return isNone(op.getOperand(i)) ? otherwise : getSize(op.getOperand(i));
  };
  std::optional<OpFoldResult> start = getBound(2, b.getIndexAttr(0)),
                              end = getBound(3, size);
  std::optional<int64_t> step = getInt(op.getOperand(4));
  if (!start || !end || !step || *step < 1)
    return op.leave("its bounds are not known");
  OpFoldResult begin = onnx::clampPlace(up, *start, size);
  OpFoldResult length =
      onnx::subtract(up, onnx::clampPlace(up, *end, size), begin);
  if (*step != 1)
    length = onnx::divide(up, onnx::add(up, length, b.getIndexAttr(*step - 1)),
                          b.getIndexAttr(*step));
  std::optional<int64_t> constant = getConstantIntValue(length);
  if (constant && *constant < 0)
    length = b.getIndexAttr(0);
  else if (!constant && getConstantIntValue(begin) != 0)
    length = arith::MaxSIOp::create(b, op.getLoc(), onnx::toValue(up, length),
                                    up.scalar(b.getIndexType(), 0))
                 .getResult();
  return op.replace(sliceDim(up, tensor, *dim, begin, length, *step));
}

/// One place of a dimension, which goes.
static LogicalResult convertSelect(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  RankedTensorType type = Upstream::typeOf(tensor);
  std::optional<int64_t> dim = getDim(op, 1, type.getRank()), place;
  if (!dim)
    return failure();
  if (op.getNumOperands() > 2)
    place = getInt(op.getOperand(2));
  int64_t size = type.getDimSize(*dim);
  if (place && *place < 0 && !ShapedType::isDynamic(size))
    place = *place + size;
  if (!place || *place < 0 || (!ShapedType::isDynamic(size) && *place >= size))
    return op.leave("its place is no constant, or none of its dimension");
  Builder &b = op.upstream.getBuilder();
  Value part = sliceDim(op.upstream, tensor, *dim, b.getIndexAttr(*place),
                        b.getIndexAttr(1));
  Sizes sizes = op.upstream.sizesOf(part);
  sizes.erase(sizes.begin() + *dim);
  return op.replace(op.upstream.reshape(part, sizes));
}

static LogicalResult convertCat(ForeignOp &op) {
  std::optional<ValueRange> list;
  if (op.getNumOperands())
    list = getList(op.getOperand(0));
  Type element = getResultElement(op);
  if (!list || list->empty() || !element)
    return op.leave("it concatenates no list that the program writes");
  SmallVector<Value> tensors;
  for (Value tensor : *list) {
    auto type = dyn_cast<RankedTensorType>(tensor.getType());
    if (!type)
      return op.leave("the shape of a tensor of its list is not known");
    tensors.push_back(castTo(op.upstream, tensor, element));
  }
  RankedTensorType first = Upstream::typeOf(tensors.front());
  std::optional<int64_t> dim = getDim(op, 1, first.getRank());
  if (!dim)
    return failure();
  for (Value tensor : tensors) {
    RankedTensorType type = Upstream::typeOf(tensor);
    bool fits = type.getRank() == first.getRank();
    for (int64_t d = 0; fits && d < first.getRank(); ++d)
      fits = d == *dim || type.isDynamicDim(d) || first.isDynamicDim(d) ||
             type.getDimSize(d) == first.getDimSize(d);
    if (!fits)
      return op.leave("the shapes of its tensors differ");
  }
  return op.replace(op.upstream.concat(tensors, *dim));
}

/// The tensors of a list that a split makes.
static LogicalResult convertListUnpack(ForeignOp &op) {
  Operation *split =
      op.getNumOperands() ? op.getOperand(0).getDefiningOp() : nullptr;
  if (!split)
    return op.leave("its list is not known");
  StringRef name = split->getName().getStringRef();
  if (name == "torch.prim.ListConstruct" &&
      split->getNumOperands() == op.getOperation()->getNumResults())
    return op.replace(split->getOperands());
  ForeignOp inner(split, op.upstream, op.table);
  bool isBySizes = name == "torch.aten.split_with_sizes",
       isBySize = name == "torch.aten.split.Tensor",
       isByCount = name == "torch.aten.chunk";
  if ((!isBySizes && !isBySize && !isByCount) || split->getNumOperands() < 3)
    return op.leave("its list is not known");
  auto type = dyn_cast<RankedTensorType>(inner.getOperand(0).getType());
  std::optional<int64_t> given = getInt(inner.getOperand(2)), dim;
  if (type && given)
    dim = onnx::getAxis(*given, type.getRank());
  if (!dim || type.isDynamicDim(*dim))
    return op.leave("the dimension that is split is not known");
  int64_t size = type.getDimSize(*dim);
  int64_t count = op.getOperation()->getNumResults();
  SmallVector<int64_t> sizes;
  if (isBySizes) {
    sizes = getInts(inner.getOperand(1)).value_or(SmallVector<int64_t>());
  } else if (std::optional<int64_t> number = getInt(inner.getOperand(1));
             number && *number > 0) {
    int64_t part = isByCount ? llvm::divideCeil(size, *number) : *number;
    for (int64_t at = 0; part && at < size; at += part)
      sizes.push_back(std::min(part, size - at));
  }
  int64_t sum = 0;
  bool isGood = static_cast<int64_t>(sizes.size()) == count;
  for (int64_t part : sizes) {
    isGood &= part >= 0 && part <= size;
    sum += isGood ? part : 0;
  }
  if (!isGood || sum != size)
    return op.leave("the sizes of the parts are not known, or do not fit");
  SmallVector<Value> parts;
  Builder &b = op.upstream.getBuilder();
  int64_t begin = 0;
  for (int64_t part : sizes) {
    parts.push_back(sliceDim(op.upstream, inner.getOperand(0), *dim,
                             b.getIndexAttr(begin), b.getIndexAttr(part)));
    begin += part;
  }
  return op.replace(parts);
}

void torch::addShapes(ForeignTable &table) {
  auto add = [&](StringRef name, Translation translation) {
    table.add(("torch.aten." + name).str(), translation);
  };
  for (StringRef name : {"split_with_sizes", "split.Tensor", "chunk"})
    table.addSource(("torch.aten." + name).str());
  table.add("torch.prim.ListUnpack", convertListUnpack);
  for (StringRef name : {"size.int", "sym_size.int"})
    add(name, convertSize);
  add("mul.int", convertSizes<onnx::multiply>);
  add("add.int", convertSizes<onnx::add>);
  add("sub.int", convertSizes<onnx::subtract>);
  for (StringRef name : {"view", "reshape", "_unsafe_view"})
    add(name, convertView);
  add("flatten.using_ints", convertFlatten);
  add("unsqueeze", convertUnsqueeze);
  add("squeeze.dim", convertSqueeze);
  add("permute", convertPermute);
  add("t", convertTranspose);
  add("transpose.int", convertTranspose);
  add("expand", convertExpand);
  add("broadcast_to", convertExpand);
  add("slice.Tensor", convertSlice);
  add("select.int", convertSelect);
  add("cat", convertCat);
}
