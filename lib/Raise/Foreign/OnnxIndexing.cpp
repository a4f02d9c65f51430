//===- OnnxIndexing.cpp - ONNX's gathers and scatters ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Gathers are structured ops that extract. Scatters are reductions over what is
// scattered: each element looks for the updates that are its own. That is the
// form that says what they compute, and a slow one where it stays.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "moe-mlir/Raise/Elements.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

//===----------------------------------------------------------------------===//
// Gathers
//===----------------------------------------------------------------------===//

/// One place of a dimension: a view.
static Value takeOne(Upstream &up, Value data, int64_t axis, int64_t place) {
  Sizes sizes = up.sizesOf(data), offsets(sizes.size()), left;
  for (auto [d, offset] : llvm::enumerate(offsets)) {
    bool isIt = static_cast<int64_t>(d) == axis;
    offset = up.getBuilder().getIndexAttr(isIt ? place : 0);
    if (!isIt)
      left.push_back(sizes[d]);
  }
  sizes[axis] = up.getBuilder().getIndexAttr(1);
  SmallVector<int64_t> strides(sizes.size(), 1);
  return up.reshape(up.slice(data, offsets, sizes, strides), left);
}

/// The first of elements that count, `start`, `start + 1`, ...; null if they do
/// not.
static OpFoldResult getRangeStart(Value tensor) {
  auto generic = tensor.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 0 || generic.getNumLoops() != 1)
    return {};
  Value yielded = generic.getBody()->getTerminator()->getOperand(0);
  while (auto cast = yielded.getDefiningOp<arith::IndexCastOp>())
    yielded = cast.getIn();
  if (yielded.getDefiningOp<linalg::IndexOp>())
    return Builder(tensor.getContext()).getIndexAttr(0);
  auto add = yielded.getDefiningOp<arith::AddIOp>();
  if (!add || !add.getLhs().getDefiningOp<linalg::IndexOp>())
    return {};
  if (std::optional<int64_t> constant = getConstantIntValue(add.getRhs()))
    return Builder(tensor.getContext()).getIndexAttr(*constant);
  bool isOutside = add.getRhs().getParentBlock() != generic.getBody();
  return isOutside ? OpFoldResult(add.getRhs()) : OpFoldResult();
}

static LogicalResult convertGather(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Upstream &up = op.upstream;
  Value data = op.getOperand(0), indices = op.getOperand(1);
  RankedTensorType type = Upstream::typeOf(data),
                   places = Upstream::typeOf(indices);
  std::optional<int64_t> axis = getAxis(op.getInt("axis", 0), type.getRank());
  if (!axis || !places.getElementType().isInteger())
    return op.leave("its axis is none of its input");
  std::optional<SmallVector<int64_t>> constants = getConstants(indices);
  int64_t size = type.getDimSize(*axis);
  if (constants)
    for (int64_t &place : *constants) {
      if (place < 0 && !ShapedType::isDynamic(size))
        place += size;
      if (!ShapedType::isDynamic(size) && (place < 0 || place >= size))
        return op.leave("it gathers place " + Twine(place) + " of " +
                        Twine(size));
    }
  std::optional<Sizes> known = getKnown(up, data);
  if (constants && known && type.getRank() == 1) {
    Sizes taken;
    for (int64_t place : *constants)
      taken.push_back((*known)[place]);
    return op.replace(
        makeKnown(up, taken, places.getRank(), type.getElementType()));
  }
  if (constants && places.getRank() == 0 && constants->front() >= 0)
    return op.replace(takeOne(up, data, *axis, constants->front()));
  Sizes own = up.sizesOf(data), sizes(own.begin(), own.begin() + *axis);
  // Places that follow one another are a view, too.
  if (OpFoldResult start = getRangeStart(indices)) {
    Sizes offsets(own.size(), up.getBuilder().getIndexAttr(0));
    offsets[*axis] = start;
    own[*axis] = up.sizesOf(indices)[0];
    SmallVector<int64_t> strides(own.size(), 1);
    return op.replace(up.slice(data, offsets, own, strides));
  }
  sizes.append(up.sizesOf(indices));
  sizes.append(own.begin() + *axis + 1, own.end());
  int64_t rank = sizes.size();
  SmallVector<AffineExpr> exprs;
  for (int64_t d = 0; d < places.getRank(); ++d)
    exprs.push_back(up.getBuilder().getAffineDimExpr(*axis + d));
  AffineMap map = AffineMap::get(rank, 0, exprs, up.getBuilder().getContext());
  return op.replace(
      up.map(indices, map, sizes, type.getElementType(),
             [&](OpBuilder &b, ValueRange v) -> Value {
               SmallVector<Value> from;
               for (int64_t d = 0; d < rank; ++d) {
                 if (d == *axis)
                   from.push_back(wrapIndex(b, op.getLoc(), v[0], own[*axis]));
                 if (d < *axis || d >= *axis + places.getRank())
                   from.push_back(linalg::IndexOp::create(b, op.getLoc(), d));
               }
               if (rank == *axis)
                 from.push_back(wrapIndex(b, op.getLoc(), v[0], own[*axis]));
               return tensor::ExtractOp::create(b, op.getLoc(), data, from);
             }));
}

static LogicalResult convertGatherElements(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Upstream &up = op.upstream;
  Value data = op.getOperand(0), indices = op.getOperand(1);
  RankedTensorType type = Upstream::typeOf(data);
  std::optional<int64_t> axis = getAxis(op.getInt("axis", 0), type.getRank());
  if (!axis || Upstream::typeOf(indices).getRank() != type.getRank())
    return op.leave("its inputs are not of one rank");
  OpFoldResult size = up.sizesOf(data)[*axis];
  return op.replace(up.elementwise(
      indices, type.getElementType(), [&](OpBuilder &b, ValueRange v) -> Value {
        SmallVector<Value> from;
        for (int64_t d = 0; d < type.getRank(); ++d)
          from.push_back(
              d == *axis
                  ? wrapIndex(b, op.getLoc(), v[0], size)
                  : linalg::IndexOp::create(b, op.getLoc(), d).getResult());
        return tensor::ExtractOp::create(b, op.getLoc(), data, from);
      }));
}

static LogicalResult convertGatherND(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Upstream &up = op.upstream;
  Value data = op.getOperand(0), indices = op.getOperand(1);
  RankedTensorType type = Upstream::typeOf(data),
                   places = Upstream::typeOf(indices);
  int64_t batches = op.getInt("batch_dims", 0);
  int64_t last = places.getRank() ? places.getDimSize(places.getRank() - 1)
                                  : ShapedType::kDynamic;
  if (ShapedType::isDynamic(last) || batches < 0 ||
      batches >= places.getRank() || batches + last > type.getRank())
    return op.leave("how many dimensions it takes indices of is not known, or "
                    "more than there are");
  Sizes own = up.sizesOf(data), sizes = up.sizesOf(indices);
  sizes.pop_back();
  int64_t outer = sizes.size();
  sizes.append(own.begin() + batches + last, own.end());
  // One input for each index of a place.
  SmallVector<AffineMap> maps;
  for (int64_t i = 0; i < last; ++i) {
    SmallVector<AffineExpr> exprs;
    for (int64_t d = 0; d < outer; ++d)
      exprs.push_back(up.getBuilder().getAffineDimExpr(d));
    exprs.push_back(up.getBuilder().getAffineConstantExpr(i));
    maps.push_back(
        AffineMap::get(sizes.size(), 0, exprs, up.getBuilder().getContext()));
  }
  SmallVector<Value> inputs(last, indices);
  int64_t rank = sizes.size();
  return op.replace(up.map(
      inputs, maps, sizes, type.getElementType(),
      [&](OpBuilder &b, ValueRange v) -> Value {
        SmallVector<Value> from;
        auto index = [&](int64_t d) {
          from.push_back(linalg::IndexOp::create(b, op.getLoc(), d));
        };
        for (int64_t d = 0; d < batches; ++d)
          index(d);
        for (int64_t i = 0; i < last; ++i)
          from.push_back(wrapIndex(b, op.getLoc(), v[i], own[batches + i]));
        for (int64_t d = outer; d < rank; ++d)
          index(d);
        return tensor::ExtractOp::create(b, op.getLoc(), data, from);
      }));
}

//===----------------------------------------------------------------------===//
// Scatters
//===----------------------------------------------------------------------===//

/// What an update does to an element; null if it is not known.
static Value applyUpdate(OpBuilder &b, Location loc, StringRef reduction,
                         Value isOwn, Value before, Value update) {
  bool isFloat = isa<FloatType>(update.getType());
  auto select = [&](Value otherwise) -> Value {
    return arith::SelectOp::create(b, loc, isOwn, update, otherwise);
  };
  Upstream scalars(b, loc);
  if (reduction.empty() || reduction == "none")
    return select(before);
  if (reduction == "add") {
    Value part = select(scalars.scalar(update.getType(), 0));
    return isFloat ? arith::AddFOp::create(b, loc, before, part).getResult()
                   : arith::AddIOp::create(b, loc, before, part).getResult();
  }
  if (reduction == "mul") {
    Value part = select(scalars.scalar(update.getType(), 1));
    return isFloat ? arith::MulFOp::create(b, loc, before, part).getResult()
                   : arith::MulIOp::create(b, loc, before, part).getResult();
  }
  Value joined;
  if (reduction == "max")
    joined = isFloat
                 ? arith::MaximumFOp::create(b, loc, before, update).getResult()
                 : arith::MaxSIOp::create(b, loc, before, update).getResult();
  else
    joined = isFloat
                 ? arith::MinimumFOp::create(b, loc, before, update).getResult()
                 : arith::MinSIOp::create(b, loc, before, update).getResult();
  return arith::SelectOp::create(b, loc, isOwn, joined, before);
}

static bool isKnownReduction(StringRef reduction) {
  return reduction.empty() || reduction == "none" || reduction == "add" ||
         reduction == "mul" || reduction == "max" || reduction == "min";
}

/// `data` with updates: loops over its dimensions and, last, over the updates.
/// `dims` are the dimensions that have an index each, an input of `inputs`; the
/// next input is the updates. Those that the mask of a list of places does not
/// have are left out.
static Value scatter(ForeignOp &op, Value data, ArrayRef<Value> given,
                     ArrayRef<AffineMap> inputMaps, ArrayRef<int64_t> dims) {
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Location loc = op.getLoc();
  int64_t rank = Upstream::typeOf(data).getRank();
  Sizes sizes = up.sizesOf(data);
  SmallVector<AffineMap> maps(inputMaps);
  SmallVector<Value> inputs(given);
  Value mask = findMask(given.front());
  if (mask) {
    inputs.push_back(mask);
    maps.push_back(AffineMap::get(rank + 1, 0, b.getAffineDimExpr(rank)));
  }
  maps.push_back(b.getMultiDimIdentityMap(rank + 1).getMajorSubMap(rank));
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.push_back(utils::IteratorType::reduction);
  auto result = linalg::GenericOp::create(
      b, loc, data.getType(), inputs, data, maps, iterators,
      [&](OpBuilder &nested, Location, ValueRange v) {
        Value isOwn;
        for (auto [i, dim] : llvm::enumerate(dims)) {
          Value place = wrapIndex(nested, loc, v[i], sizes[dim]);
          Value here = linalg::IndexOp::create(nested, loc, dim);
          Value isHere = arith::CmpIOp::create(
              nested, loc, arith::CmpIPredicate::eq, place, here);
          isOwn = isOwn ? arith::AndIOp::create(nested, loc, isOwn, isHere)
                              .getResult()
                        : isHere;
        }
        if (mask)
          isOwn = arith::AndIOp::create(nested, loc, isOwn, v[dims.size() + 1]);
        linalg::YieldOp::create(nested, loc,
                                applyUpdate(nested, loc,
                                            op.getString("reduction"), isOwn,
                                            v.back(), v[dims.size()]));
      });
  if (mask)
    markMasked(result);
  return result.getResult(0);
}

static LogicalResult convertScatterElements(ForeignOp &op) {
  if (failed(needInputs(op, 3)))
    return failure();
  Value data = op.getOperand(0), indices = op.getOperand(1),
        updates = op.getOperand(2);
  RankedTensorType type = Upstream::typeOf(data),
                   places = Upstream::typeOf(indices);
  int64_t rank = type.getRank();
  std::optional<int64_t> axis = getAxis(op.getInt("axis", 0), rank);
  if (!axis || places.getRank() != rank ||
      Upstream::typeOf(updates).getRank() != rank ||
      Upstream::typeOf(updates).getElementType() != type.getElementType() ||
      !isKnownReduction(op.getString("reduction")))
    return op.leave("its inputs are not of one rank, or its reduction is not "
                    "known");
  for (int64_t d = 0; d < rank; ++d)
    if (d != *axis && !type.isDynamicDim(d) && !places.isDynamicDim(d) &&
        type.getDimSize(d) != places.getDimSize(d))
      return op.leave("it scatters into a part of dimension " + Twine(d));
  OpBuilder &b = op.upstream.getBuilder();
  SmallVector<AffineExpr> exprs;
  for (int64_t d = 0; d < rank; ++d)
    exprs.push_back(b.getAffineDimExpr(d == *axis ? rank : d));
  AffineMap map = AffineMap::get(rank + 1, 0, exprs, b.getContext());
  return op.replace(scatter(op, data, {indices, updates}, {map, map}, *axis));
}

/// Whether the elements of a tensor are 0, 1, 2, ...
static bool isCounting(Value tensor) {
  OpFoldResult start = getRangeStart(tensor);
  return start && getConstantIntValue(start) == 0;
}

/// Whether a tensor is a permutation of its places.
static bool isOrder(Value tensor) {
  Operation *op = tensor.getDefiningOp();
  auto meaning =
      op ? op->getAttrOfType<StringAttr>(kMeaningAttrName) : StringAttr();
  return meaning && meaning == "order";
}

static LogicalResult convertScatterND(ForeignOp &op) {
  if (failed(needInputs(op, 3)))
    return failure();
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Value data = op.getOperand(0), indices = op.getOperand(1),
        updates = op.getOperand(2);
  bool isPlain =
      op.getString("reduction").empty() || op.getString("reduction") == "none";
  if (isPlain)
    readMaskedRows(op, data, indices, updates);
  RankedTensorType type = Upstream::typeOf(data),
                   places = Upstream::typeOf(indices);
  int64_t last = places.getRank() ? places.getDimSize(places.getRank() - 1)
                                  : ShapedType::kDynamic;
  int64_t rank = type.getRank();
  if (ShapedType::isDynamic(last) || last < 1 || last > rank ||
      Upstream::typeOf(updates).getElementType() != type.getElementType() ||
      Upstream::typeOf(updates).getRank() !=
          places.getRank() - 1 + rank - last ||
      !isKnownReduction(op.getString("reduction")))
    return op.leave("how many dimensions it takes indices of is not known, or "
                    "its reduction");
  // All updates in one dimension.
  Sizes outer = up.sizesOf(indices);
  outer.pop_back();
  OpFoldResult count = b.getIndexAttr(1);
  for (OpFoldResult size : outer)
    count = multiply(up, count, size);
  Sizes own = up.sizesOf(data), rows = {count};
  rows.append(own.begin() + last, own.end());
  indices = up.reshape(indices, {count, b.getIndexAttr(last)});
  updates = up.reshape(updates, rows);
  // Where each place of an order is: the order the other way round.
  if (rank == 1 && last == 1 && isPlain && isCounting(updates)) {
    Value order = up.reshape(indices, {count});
    if (isOrder(order) ||
        isOrder(indices.getDefiningOp() ? indices.getDefiningOp()->getOperand(0)
                                        : Value()))
      return op.replace(up.order(
          isOrder(order) ? order : indices.getDefiningOp()->getOperand(0),
          type.getElementType()));
  }
  SmallVector<AffineMap> maps;
  SmallVector<int64_t> dims;
  AffineExpr update = b.getAffineDimExpr(rank);
  for (int64_t i = 0; i < last; ++i) {
    maps.push_back(AffineMap::get(
        rank + 1, 0, {update, b.getAffineConstantExpr(i)}, b.getContext()));
    dims.push_back(i);
  }
  SmallVector<AffineExpr> exprs = {update};
  for (int64_t d = last; d < rank; ++d)
    exprs.push_back(b.getAffineDimExpr(d));
  maps.push_back(AffineMap::get(rank + 1, 0, exprs, b.getContext()));
  SmallVector<Value> inputs(last, indices);
  inputs.push_back(updates);
  return op.replace(scatter(op, data, inputs, maps, dims));
}

void onnx::addIndexing(ForeignTable &table) {
  table.add("onnx.Gather", convertGather);
  table.add("onnx.GatherElements", convertGatherElements);
  table.add("onnx.GatherND", convertGatherND);
  table.add("onnx.ScatterElements", convertScatterElements);
  table.add("onnx.NonZero", convertNonZero);
  table.add("onnx.ScatterND", convertScatterND);
}
