//===- TorchIndexing.cpp - PyTorch's gathers, scatters and sorts -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Torch.h"

#include "Onnx.h"

#include "moe-mlir/Raise/Elements.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <numeric>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::torch;

//===----------------------------------------------------------------------===//
// The largest
//===----------------------------------------------------------------------===//

/// The `k` largest of rows of floats.
static LogicalResult selectLargest(ForeignOp &op, Value tensor, int64_t dim,
                                   int64_t k) {
  RankedTensorType type = Upstream::typeOf(tensor);
  Type index = getResultElement(op, 1);
  int64_t last = type.getRank() - 1;
  if (dim != last || !isa<FloatType>(type.getElementType()) || !index)
    return op.leave("only the largest of rows of floats are known");
  if (type.isDynamicDim(last) || k < 1 || k > type.getDimSize(last))
    return op.leave("it selects " + Twine(k) +
                    " of a dimension that is not known, or has not as many");
  auto [values, places] = op.upstream.topK(tensor, k, index);
  return op.replace({values, places});
}

static LogicalResult convertTopK(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  if (op.getNumOperands() != 5 || op.getOperation()->getNumResults() != 2)
    return op.leave("it has not five operands and two results");
  std::optional<int64_t> k = getInt(op.getOperand(1)),
                         dim =
                             getDim(op, 2, Upstream::typeOf(tensor).getRank());
  if (!dim)
    return failure();
  // Whether they are sorted does not matter: sorted ones are in some order.
  if (!k || getBool(op.getOperand(3)) != true)
    return op.leave("how many it selects is not known, or it is the smallest");
  return selectLargest(op, tensor, *dim, *k);
}

/// How many of the first elements along `dim` anybody reads.
static int64_t countRead(ForeignOp &sort, int64_t dim, int64_t rank,
                         int64_t size) {
  int64_t read = 0;
  for (Operation *user : sort.getOperation()->getUsers()) {
    if (user->getName().getStringRef() != "torch.aten.slice.Tensor" ||
        user->getNumOperands() != 5)
      return size;
    std::optional<int64_t> given = getInt(user->getOperand(1)),
                           end = getInt(user->getOperand(3));
    if (!given || onnx::getAxis(*given, rank) != dim || !end || *end < 0)
      return size;
    read = std::max(read, std::min(*end, size));
  }
  return read;
}

static LogicalResult convertSort(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  Upstream &up = op.upstream;
  RankedTensorType type = Upstream::typeOf(tensor);
  std::optional<int64_t> dim = getDim(op, 1, type.getRank());
  if (!dim)
    return failure();
  if (op.getNumOperands() != 3 || op.getOperation()->getNumResults() != 2)
    return op.leave("it has not three operands and two results");
  std::optional<bool> isDescending = getBool(op.getOperand(2));
  if (isDescending == true)
    return selectLargest(
        op, tensor, *dim,
        std::max<int64_t>(
            countRead(op, *dim, type.getRank(), type.getDimSize(*dim)), 1));
  Type index = getResultElement(op, 1);
  if (isDescending != false || !type.getElementType().isInteger() ||
      type.getRank() != 1 || !index)
    return op.leave("only sorts of floats, the largest first, and of a row of "
                    "integers, the smallest first, are known");
  Value places = up.order(
      up.ranks(castTo(up, tensor, up.getBuilder().getI64Type())), index);
  return op.replace({takeRows(up, tensor, places), places});
}

//===----------------------------------------------------------------------===//
// Gathers
//===----------------------------------------------------------------------===//

/// The elements of `tensor` whose dimensions from `first` on have `places`, all
/// of one shape, which takes their place.
static Value take(Upstream &up, Value tensor, int64_t first,
                  ArrayRef<Value> places) {
  OpBuilder &b = up.getBuilder();
  Sizes own = up.sizesOf(tensor), sizes(own.begin(), own.begin() + first),
        middle = up.sizesOf(places.front());
  sizes.append(middle);
  sizes.append(own.begin() + first + places.size(), own.end());
  SmallVector<AffineExpr> exprs;
  for (size_t d = 0; d < middle.size(); ++d)
    exprs.push_back(b.getAffineDimExpr(first + d));
  SmallVector<AffineMap> maps(
      places.size(), AffineMap::get(sizes.size(), 0, exprs, b.getContext()));
  int64_t rank = sizes.size();
  return up.map(
      places, maps, sizes, Upstream::typeOf(tensor).getElementType(),
      [&](OpBuilder &nested, ValueRange v) -> Value {
        SmallVector<Value> from;
        auto addLoops = [&](int64_t begin, int64_t end) {
          for (int64_t d = begin; d < end; ++d)
            from.push_back(linalg::IndexOp::create(nested, up.getLoc(), d));
        };
        addLoops(0, first);
        for (size_t i = 0; i < places.size(); ++i)
          from.push_back(
              onnx::wrapIndex(nested, up.getLoc(), v[i], own[first + i]));
        addLoops(first + middle.size(), rank);
        return tensor::ExtractOp::create(nested, up.getLoc(), tensor, from);
      });
}

Value torch::takeRows(Upstream &up, Value tensor, Value places) {
  return take(up, tensor, 0, places);
}

namespace {
/// The dimensions from `first` on that a list of tensors indexes.
struct Places {
  int64_t first = 0;
  SmallVector<Value> tensors;
};
} // namespace

/// Nothing, and the op is left, if operand `i` is no list of tensors of
/// integers, after some that are none.
static std::optional<Places> getPlaces(ForeignOp &op, unsigned i,
                                       int64_t rank) {
  Places places;
  std::optional<ValueRange> list;
  if (i < op.getNumOperands())
    list = getList(op.getOperand(i));
  bool isGood = list.has_value();
  bool isOver = false;
  for (Value value : list.value_or(ValueRange())) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (isNone(value)) {
      isOver |= !places.tensors.empty();
      places.first += places.tensors.empty();
      continue;
    }
    isGood &= !isOver && type && type.getElementType().isInteger() &&
              !type.getElementType().isInteger(1);
    places.tensors.push_back(value);
  }
  isGood &= !places.tensors.empty() &&
            places.first + static_cast<int64_t>(places.tensors.size()) <= rank;
  if (!isGood || (places.tensors.size() > 1 &&
                  failed(op.upstream.broadcastTogether(places.tensors)))) {
    (void)op.leave("its indices are no list of tensors of integers of one "
                   "shape for neighbouring dimensions");
    return std::nullopt;
  }
  return places;
}

static LogicalResult convertIndex(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  std::optional<Places> places =
      getPlaces(op, 1, Upstream::typeOf(tensor).getRank());
  if (!places)
    return failure();
  return op.replace(take(op.upstream, tensor, places->first, places->tensors));
}

static LogicalResult convertIndexSelect(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  Value places = tensor ? getTensor(op, 2) : Value();
  if (!places)
    return failure();
  std::optional<int64_t> dim =
      getDim(op, 1, Upstream::typeOf(tensor).getRank());
  if (!dim)
    return failure();
  if (!Upstream::typeOf(places).getElementType().isInteger())
    return op.leave("its indices are no integers");
  return op.replace(take(op.upstream, tensor, *dim, places));
}

static LogicalResult convertEmbedding(ForeignOp &op) {
  Value table = getTensor(op, 0);
  Value places = table ? getTensor(op, 1) : Value();
  if (!places)
    return failure();
  if (Upstream::typeOf(table).getRank() != 2 ||
      !Upstream::typeOf(places).getElementType().isInteger())
    return op.leave("it does not take rows of a matrix");
  return op.replace(take(op.upstream, table, 0, places));
}

/// gather(x, dim, ids): x[i][ids[i][j]] if dim is 1.
static LogicalResult convertGather(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  Value places = tensor ? getTensor(op, 2) : Value();
  if (!places)
    return failure();
  RankedTensorType type = Upstream::typeOf(tensor);
  std::optional<int64_t> dim = getDim(op, 1, type.getRank());
  if (!dim)
    return failure();
  if (Upstream::typeOf(places).getRank() != type.getRank() ||
      !Upstream::typeOf(places).getElementType().isInteger())
    return op.leave("its indices are no integers of its rank");
  OpFoldResult size = op.upstream.sizesOf(tensor)[*dim];
  Location loc = op.getLoc();
  return op.replace(op.upstream.elementwise(
      places, type.getElementType(), [&](OpBuilder &b, ValueRange v) -> Value {
        SmallVector<Value> from;
        for (int64_t d = 0; d < type.getRank(); ++d)
          from.push_back(d == *dim ? onnx::wrapIndex(b, loc, v[0], size)
                                   : Value(linalg::IndexOp::create(b, loc, d)));
        return tensor::ExtractOp::create(b, loc, tensor, from);
      }));
}

//===----------------------------------------------------------------------===//
// Scatters
//===----------------------------------------------------------------------===//

/// `tensor` with updates: loops over its dimensions and, last, over the updates
/// along `dim`, each of which looks whether it is for an element. `maps` are
/// those of `places` and `updates`.
static Value scatter(Upstream &up, Value tensor, int64_t dim, Value places,
                     Value updates, ArrayRef<AffineMap> maps, bool isSum) {
  OpBuilder &b = up.getBuilder();
  Location loc = up.getLoc();
  RankedTensorType type = Upstream::typeOf(tensor);
  int64_t rank = type.getRank();
  OpFoldResult size = up.sizesOf(tensor)[dim];
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.push_back(utils::IteratorType::reduction);
  SmallVector<AffineMap> all(maps);
  all.push_back(b.getMultiDimIdentityMap(rank + 1).getMajorSubMap(rank));
  return linalg::GenericOp::create(
             b, loc, type, ValueRange{places, updates}, tensor, all, iterators,
             [&](OpBuilder &nested, Location, ValueRange v) {
               Value place = onnx::wrapIndex(nested, loc, v[0], size);
               Value here = linalg::IndexOp::create(nested, loc, dim);
               Value isHere = arith::CmpIOp::create(
                   nested, loc, arith::CmpIPredicate::eq, place, here);
               Value otherwise =
                   isSum
                       ? Upstream(nested, loc).scalar(type.getElementType(), 0)
                       : v[2];
               Value result = arith::SelectOp::create(nested, loc, isHere, v[1],
                                                      otherwise);
               if (isSum && isa<FloatType>(type.getElementType()))
                 result = arith::AddFOp::create(nested, loc, v[2], result);
               else if (isSum)
                 result = arith::AddIOp::create(nested, loc, v[2], result);
               linalg::YieldOp::create(nested, loc, result);
             })
      .getResult(0);
}

bool torch::isOrder(Value tensor) {
  Operation *op = tensor.getDefiningOp();
  auto meaning =
      op ? op->getAttrOfType<StringAttr>(kMeaningAttrName) : StringAttr();
  return meaning && meaning == "order";
}

/// Whether the elements of a tensor are 0, 1, 2, ...
static bool isCounting(Value tensor) {
  auto generic = tensor.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 0 || generic.getNumLoops() != 1)
    return false;
  Value yielded = generic.getBody()->getTerminator()->getOperand(0);
  while (auto cast = yielded.getDefiningOp<arith::IndexCastOp>())
    yielded = cast.getIn();
  return yielded.getDefiningOp<linalg::IndexOp>() != nullptr;
}

/// scatter(x, dim, ids, updates), where updates may be a number.
static LogicalResult scatterInto(ForeignOp &op, bool isSum) {
  Value tensor = getTensor(op, 0);
  Value places = tensor ? getTensor(op, 2) : Value();
  if (!places)
    return failure();
  Upstream &up = op.upstream;
  RankedTensorType type = Upstream::typeOf(tensor),
                   ids = Upstream::typeOf(places);
  int64_t rank = type.getRank();
  std::optional<int64_t> dim = getDim(op, 1, rank);
  if (!dim)
    return failure();
  if (op.getNumOperands() < 4 || ids.getRank() != rank ||
      !ids.getElementType().isInteger())
    return op.leave("its indices are no integers of its rank");
  Value updates;
  if (TypedAttr number = getNumber(op.getOperand(3))) {
    Value constant = makeConstant(up, number, type.getElementType());
    if (!constant)
      return op.leave("its number is too large for its type");
    updates = up.broadcast(constant, up.sizesOf(places), {});
  } else if (!(updates = getTensor(op, 3))) {
    return failure();
  }
  RankedTensorType given = Upstream::typeOf(updates);
  if (given.getRank() != rank ||
      given.getElementType() != type.getElementType())
    return op.leave("its updates are not of its type and rank");
  // It says nothing of places that it has no indices for.
  for (int64_t d = 0; d < rank; ++d)
    if ((d != *dim && !type.isDynamicDim(d) && !ids.isDynamicDim(d) &&
         type.getDimSize(d) != ids.getDimSize(d)) ||
        (!ids.isDynamicDim(d) && !given.isDynamicDim(d) &&
         ids.getDimSize(d) != given.getDimSize(d)))
      return op.leave("it scatters a part of dimension " + Twine(d));
  OpBuilder &b = up.getBuilder();
  SmallVector<AffineExpr> exprs;
  for (int64_t d = 0; d < rank; ++d)
    exprs.push_back(b.getAffineDimExpr(d == *dim ? rank : d));
  AffineMap map = AffineMap::get(rank + 1, 0, exprs, b.getContext());
  return op.replace(
      scatter(up, tensor, *dim, places, updates, {map, map}, isSum));
}

static LogicalResult convertScatter(ForeignOp &op) {
  return scatterInto(op, /*isSum=*/false);
}
static LogicalResult convertScatterAdd(ForeignOp &op) {
  return scatterInto(op, /*isSum=*/true);
}

/// Rows at places of the first dimension are replaced, or added to.
static LogicalResult convertIndexPut(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  if (!tensor)
    return failure();
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  RankedTensorType type = Upstream::typeOf(tensor);
  std::optional<Places> places = getPlaces(op, 1, type.getRank());
  Value updates = places ? getTensor(op, 2) : Value();
  if (!updates)
    return failure();
  std::optional<bool> isSum;
  if (op.getNumOperands() > 3)
    isSum = getBool(op.getOperand(3));
  RankedTensorType given = Upstream::typeOf(updates);
  int64_t rank = type.getRank();
  if (!isSum || places->first != 0 || places->tensors.size() != 1 ||
      Upstream::typeOf(places->tensors[0]).getRank() != 1 ||
      given.getRank() != rank ||
      given.getElementType() != type.getElementType())
    return op.leave("it puts something else than rows");
  Value rows = places->tensors[0];
  // Where each place of an order is: the ranks that it was made of.
  if (rank == 1 && !*isSum && isCounting(updates) && isOrder(rows))
    return op.replace(
        castTo(up, rows.getDefiningOp()->getOperand(0), type.getElementType()));
  AffineMap row =
      AffineMap::get(rank + 1, 0, {b.getAffineDimExpr(rank)}, b.getContext());
  SmallVector<AffineExpr> exprs = {b.getAffineDimExpr(rank)};
  for (int64_t d = 1; d < rank; ++d)
    exprs.push_back(b.getAffineDimExpr(d));
  return op.replace(scatter(
      up, tensor, 0, rows, updates,
      {row, AffineMap::get(rank + 1, 0, exprs, b.getContext())}, *isSum));
}

/// one_hot(ids, n): a last dimension of n that is 1 at the id.
static LogicalResult convertOneHot(ForeignOp &op) {
  Value places = getTensor(op, 0);
  if (!places)
    return failure();
  std::optional<int64_t> count;
  if (op.getNumOperands() > 1)
    count = getInt(op.getOperand(1));
  Type element = getResultElement(op);
  if (!count || *count < 1 || !element)
    return op.leave("how many there are is not known");
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Sizes sizes = up.sizesOf(places);
  int64_t rank = sizes.size();
  sizes.push_back(b.getIndexAttr(*count));
  AffineMap map = b.getMultiDimIdentityMap(rank + 1).getMajorSubMap(rank);
  return op.replace(
      up.map(places, map, sizes, element,
             [&](OpBuilder &nested, ValueRange v) -> Value {
               Value here = linalg::IndexOp::create(nested, op.getLoc(), rank);
               Value place = arith::IndexCastOp::create(
                   nested, op.getLoc(), nested.getIndexType(), v[0]);
               Value isHot = arith::CmpIOp::create(
                   nested, op.getLoc(), arith::CmpIPredicate::eq, place, here);
               Upstream scalars(nested, op.getLoc());
               return arith::SelectOp::create(nested, op.getLoc(), isHot,
                                              scalars.scalar(element, 1),
                                              scalars.scalar(element, 0));
             }));
}

void torch::addIndexing(ForeignTable &table) {
  auto add = [&](StringRef name, Translation translation) {
    table.add(("torch.aten." + name).str(), translation);
  };
  add("topk", convertTopK);
  add("sort", convertSort);
  add("index.Tensor", convertIndex);
  add("index.Tensor_hacked_twin", convertIndex);
  add("index_select", convertIndexSelect);
  add("embedding", convertEmbedding);
  add("gather", convertGather);
  add("scatter.src", convertScatter);
  add("scatter.value", convertScatter);
  add("scatter_add", convertScatterAdd);
  add("index_put", convertIndexPut);
  add("index_put.hacked_twin", convertIndexPut);
  add("one_hot", convertOneHot);
}
