//===- Selection.cpp - Selection policies on tensors -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The policies that look at the order of a token's scores, or at each of them.
// A rank is a number of comparisons, so that no sort is needed.
//
//===----------------------------------------------------------------------===//

#include "BackOut.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;
using namespace moe;
using namespace moe::raise;

using IntPredicate = arith::CmpIPredicate;
using FloatPredicate = arith::CmpFPredicate;

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

AffineMap raise::readDims(Upstream &up, unsigned loops,
                          ArrayRef<int64_t> dims) {
  OpBuilder &b = up.getBuilder();
  SmallVector<AffineExpr> exprs;
  for (int64_t dim : dims)
    exprs.push_back(b.getAffineDimExpr(dim));
  return AffineMap::get(loops, 0, exprs, b.getContext());
}

Value raise::loopIndex(OpBuilder &b, Location loc, int64_t dim) {
  return linalg::IndexOp::create(b, loc, dim);
}

Value raise::sumTerms(Upstream &up, const Sizes &sizes, ValueRange inputs,
                      ArrayRef<AffineMap> maps, Type element,
                      Upstream::Body term) {
  OpBuilder &b = up.getBuilder();
  Location loc = up.getLoc();
  unsigned loops = maps.front().getNumDims();
  Value start = up.fill(sizes, up.scalar(element, 0));
  SmallVector<AffineMap> all(maps);
  all.push_back(readDims(up, loops,
                         llvm::to_vector(llvm::seq<int64_t>(0, sizes.size()))));
  SmallVector<utils::IteratorType> iterators(loops,
                                             utils::IteratorType::reduction);
  std::fill_n(iterators.begin(), sizes.size(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, start.getType(), inputs, start, all, iterators,
             [&](OpBuilder &nested, Location, ValueRange v) {
               Value value = term(nested, v.drop_back());
               Value sum = isa<FloatType>(element)
                               ? Value(arith::AddFOp::create(nested, loc,
                                                             v.back(), value))
                               : Value(arith::AddIOp::create(nested, loc,
                                                             v.back(), value));
               linalg::YieldOp::create(nested, loc, sum);
             })
      .getResult(0);
}

Value raise::comesBefore(OpBuilder &b, Location loc, Value other, Value own,
                         Value isEarlier) {
  auto compare = [&](FloatPredicate predicate, Value l, Value r) -> Value {
    return arith::CmpFOp::create(b, loc, predicate, l, r);
  };
  Value ownIsNumber = compare(FloatPredicate::ORD, own, own);
  Value otherIsNumber = compare(FloatPredicate::ORD, other, other);
  // A NaN is behind every number and equal to a NaN.
  Value isLarger = arith::SelectOp::create(
      b, loc, ownIsNumber, compare(FloatPredicate::OGT, other, own),
      otherIsNumber);
  Value isEqual = arith::SelectOp::create(
      b, loc, ownIsNumber, compare(FloatPredicate::OEQ, other, own),
      compare(FloatPredicate::UNO, other, other));
  Value wins = arith::AndIOp::create(b, loc, isEqual, isEarlier);
  return arith::OrIOp::create(b, loc, isLarger, wins);
}

Value raise::ranksAlong(Upstream &up, Value tensor, int64_t dim) {
  Location loc = up.getLoc();
  int64_t rank = Upstream::typeOf(tensor).getRank();
  SmallVector<int64_t> own, other;
  for (int64_t d = 0; d < rank; ++d) {
    own.push_back(d);
    other.push_back(d == dim ? rank : d);
  }
  Type element = up.getBuilder().getI32Type();
  return sumTerms(up, up.sizesOf(tensor), {tensor, tensor},
                  {readDims(up, rank + 1, own), readDims(up, rank + 1, other)},
                  element, [&](OpBuilder &b, ValueRange v) -> Value {
                    Value isEarlier = arith::CmpIOp::create(
                        b, loc, IntPredicate::ult, loopIndex(b, loc, rank),
                        loopIndex(b, loc, dim));
                    Value before = comesBefore(b, loc, v[1], v[0], isEarlier);
                    return arith::ExtUIOp::create(b, loc, element, before);
                  });
}

Value raise::takeExperts(Upstream &up, Value scores, Value indices,
                         Value used) {
  Location loc = up.getLoc();
  Type element = Upstream::typeOf(scores).getElementType();
  SmallVector<Value> inputs = {indices};
  if (used)
    inputs.push_back(used);
  return up.elementwise(
      inputs, element, [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value expert = v[0];
        if (used)
          expert = arith::MaxSIOp::create(b, loc, expert,
                                          scalars.scalar(expert.getType(), 0));
        expert = scalars.castScalar(expert, b.getIndexType());
        Value score = tensor::ExtractOp::create(
            b, loc, scores, ValueRange{loopIndex(b, loc, 0), expert});
        return used ? Value(arith::SelectOp::create(b, loc, v[1], score,
                                                    scalars.scalar(element, 0)))
                    : score;
      });
}

Value raise::isUsed(Upstream &up, Value indices) {
  Location loc = up.getLoc();
  return up.elementwise(
      indices, up.getBuilder().getI1Type(),
      [&](OpBuilder &b, ValueRange v) -> Value {
        Value zero = Upstream(b, loc).scalar(v[0].getType(), 0);
        return arith::CmpIOp::create(b, loc, IntPredicate::sge, v[0], zero);
      });
}

Value raise::listByRank(Upstream &up, Value ranks, int64_t slots) {
  Location loc = up.getLoc();
  Type element = up.getBuilder().getI32Type();
  Sizes sizes = up.sizesOf(ranks);
  sizes[1] = up.getBuilder().getIndexAttr(slots);
  return sumTerms(
      up, sizes, ranks, readDims(up, 3, {0, 2}), element,
      [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value slot = scalars.castScalar(loopIndex(b, loc, 1), element);
        Value expert = scalars.castScalar(loopIndex(b, loc, 2), element);
        Value isHere =
            arith::CmpIOp::create(b, loc, IntPredicate::eq, v[0], slot);
        return arith::SelectOp::create(b, loc, isHere, expert,
                                       scalars.scalar(element, 0));
      });
}

Selection raise::chooseByMask(Upstream &up, Value mask, Value ranks) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type element = builder.getI32Type();
  if (ranks) {
    Value count =
        sumTerms(up, {up.sizesOf(mask)[0]}, mask, readDims(up, 2, {0, 1}),
                 element, [&](OpBuilder &b, ValueRange v) -> Value {
                   return arith::ExtUIOp::create(b, loc, element, v[0]);
                 });
    AffineMap own = builder.getMultiDimIdentityMap(2);
    mask = up.map({mask, ranks, count}, {own, own, readDims(up, 2, {0})},
                  up.sizesOf(mask), builder.getI1Type(),
                  [&](OpBuilder &b, ValueRange v) -> Value {
                    Value zero = Upstream(b, loc).scalar(element, 0);
                    auto isZero = [&](Value number) -> Value {
                      return arith::CmpIOp::create(b, loc, IntPredicate::eq,
                                                   number, zero);
                    };
                    Value falls = arith::AndIOp::create(b, loc, isZero(v[1]),
                                                        isZero(v[2]));
                    return arith::OrIOp::create(b, loc, v[0], falls);
                  });
  }
  Selection selection;
  selection.used = mask;
  selection.indices =
      up.elementwise(mask, element, [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value expert = scalars.castScalar(loopIndex(b, loc, 1), element);
        return arith::SelectOp::create(b, loc, v[0], expert,
                                       scalars.scalar(element, -1));
      });
  return selection;
}

//===----------------------------------------------------------------------===//
// Policies
//===----------------------------------------------------------------------===//

/// The scores, with -infinity outside of the groups that stay.
static Value keepGroups(Upstream &up, GroupTopKAttr policy, Value scores) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  RankedTensorType type = Upstream::typeOf(scores);
  Type element = type.getElementType();
  double infinity = std::numeric_limits<double>::infinity();
  Sizes flat = up.sizesOf(scores);
  int64_t size = type.getDimSize(1) / policy.getGroups();
  Sizes sizes = {flat[0], builder.getIndexAttr(policy.getGroups()),
                 builder.getIndexAttr(size)};
  Value grouped = up.reshape(scores, sizes);
  // The largest is NaN if one of them is.
  Value best = up.reduce(grouped, up.scalar(element, -infinity), {2},
                         [&](OpBuilder &b, ValueRange v) -> Value {
                           return arith::MaximumFOp::create(b, loc, v[0], v[1]);
                         });
  if (policy.getReduce() == GroupReduce::Top2) {
    Value ranks = ranksAlong(up, grouped, 2);
    AffineMap all = builder.getMultiDimIdentityMap(3);
    Value sum =
        sumTerms(up, {sizes[0], sizes[1]}, {grouped, ranks}, {all, all},
                 element, [&](OpBuilder &b, ValueRange v) -> Value {
                   Upstream scalars(b, loc);
                   Value counts =
                       arith::CmpIOp::create(b, loc, IntPredicate::slt, v[1],
                                             scalars.scalar(v[1].getType(), 2));
                   return arith::SelectOp::create(b, loc, counts, v[0],
                                                  scalars.scalar(element, 0));
                 });
    best = up.elementwise(
        {best, sum}, element, [&](OpBuilder &b, ValueRange v) -> Value {
          Value isNumber =
              arith::CmpFOp::create(b, loc, FloatPredicate::ORD, v[0], v[0]);
          return arith::SelectOp::create(b, loc, isNumber, v[1], v[0]);
        });
  }
  Value ranks = ranksAlong(up, best, 1);
  Value kept =
      up.map({grouped, ranks},
             {builder.getMultiDimIdentityMap(3), readDims(up, 3, {0, 1})},
             sizes, element, [&](OpBuilder &b, ValueRange v) -> Value {
               Upstream scalars(b, loc);
               Value stays = arith::CmpIOp::create(
                   b, loc, IntPredicate::slt, v[1],
                   scalars.scalar(v[1].getType(), policy.getKeep()));
               return arith::SelectOp::create(
                   b, loc, stays, v[0], scalars.scalar(element, -infinity));
             });
  return up.reshape(kept, flat);
}

/// The mask of scores that `compare` with a number of their expert or token.
static Value compareScores(Upstream &up, Value scores, Value with,
                           AffineMap map, FloatPredicate predicate) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  with = up.cast(with, Upstream::typeOf(scores).getElementType());
  return up.map({scores, with}, {builder.getMultiDimIdentityMap(2), map},
                up.sizesOf(scores), builder.getI1Type(),
                [&](OpBuilder &b, ValueRange v) -> Value {
                  return arith::CmpFOp::create(b, loc, predicate, v[0], v[1]);
                });
}

static Selection writeTopAny(Upstream &up, TopAnyAttr policy, Value scores,
                             Value thresholds) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type element = Upstream::typeOf(scores).getElementType();
  Value mask = compareScores(up, scores, thresholds, readDims(up, 2, {1}),
                             FloatPredicate::OGT);
  Value count =
      sumTerms(up, {up.sizesOf(scores)[0]}, mask, readDims(up, 2, {0, 1}),
               element, [&](OpBuilder &b, ValueRange v) -> Value {
                 return arith::UIToFPOp::create(b, loc, element, v[0]);
               });
  bool fallsBack = policy.getMinK() != 0;
  Selection selection =
      chooseByMask(up, mask, fallsBack ? ranksAlong(up, scores, 1) : Value());
  AffineMap own = builder.getMultiDimIdentityMap(2);
  selection.values = up.map(
      {scores, count, selection.used}, {own, readDims(up, 2, {0}), own},
      up.sizesOf(scores), element, [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value zero = scalars.scalar(element, 0);
        Value one = scalars.scalar(element, 1);
        Value isAny =
            arith::CmpFOp::create(b, loc, FloatPredicate::OGT, v[1], zero);
        Value share = arith::DivFOp::create(b, loc, one, v[1]);
        Value other = policy.getFallback() == Fallback::Score ? v[0] : one;
        Value value = arith::SelectOp::create(b, loc, isAny, share, other);
        return arith::SelectOp::create(b, loc, v[2], value, zero);
      });
  return selection;
}

static Selection writeMinP(Upstream &up, MinPAttr policy, Value scores) {
  Location loc = up.getLoc();
  Type element = Upstream::typeOf(scores).getElementType();
  Value low = up.scalar(element, -std::numeric_limits<double>::infinity());
  // maxnumf passes over NaN.
  Value largest =
      up.reduce(scores, low, {1}, [&](OpBuilder &b, ValueRange v) -> Value {
        return arith::MaxNumFOp::create(b, loc, v[0], v[1]);
      });
  Value least = up.elementwise(
      largest, element, [&](OpBuilder &b, ValueRange v) -> Value {
        Value p = Upstream(b, loc).scalar(element, policy.getFraction());
        return arith::MulFOp::create(b, loc, p, v[0]);
      });
  Value mask = compareScores(up, scores, least, readDims(up, 2, {0}),
                             FloatPredicate::OGE);
  return chooseByMask(up, mask, ranksAlong(up, scores, 1));
}

FailureOr<Selection> raise::writeSelection(Upstream &up, RouterOp op) {
  Value scores = op.getSelect();
  Attribute attr = op.getPolicy();
  Selection selection;
  if (auto policy = dyn_cast<TopKAttr>(attr)) {
    selection.indices =
        listByRank(up, ranksAlong(up, scores, 1), policy.getK());
  } else if (auto policy = dyn_cast<GroupTopKAttr>(attr)) {
    Value kept = keepGroups(up, policy, scores);
    selection.indices = listByRank(up, ranksAlong(up, kept, 1), policy.getK());
  } else if (auto policy = dyn_cast<TopAnyAttr>(attr)) {
    selection = writeTopAny(up, policy, scores, op.getPolicyOperands()[0]);
  } else if (auto policy = dyn_cast<ThresholdAttr>(attr)) {
    Type element = Upstream::typeOf(scores).getElementType();
    Value bound = up.fill({up.getBuilder().getIndexAttr(op.getNumExperts())},
                          up.scalar(element, policy.getThreshold()));
    Value mask = compareScores(up, scores, bound, readDims(up, 2, {1}),
                               FloatPredicate::OGT);
    selection = chooseByMask(
        up, mask, policy.getMinK() ? ranksAlong(up, scores, 1) : Value());
  } else if (auto policy = dyn_cast<MinPAttr>(attr)) {
    selection = writeMinP(up, policy, scores);
  } else {
    selection = writeTokenSelection(up, op);
    if (!selection.indices)
      selection = writeBatchSelection(up, op);
  }
  if (!selection.indices)
    return op.emitOpError("has no form on tensors for the policy ") << attr;
  return selection;
}
