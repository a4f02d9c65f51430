//===- TokenSelection.cpp - Policies with data of their own ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "BackOut.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

using IntPredicate = arith::CmpIPredicate;
using FloatPredicate = arith::CmpFPredicate;

//===----------------------------------------------------------------------===//
// Of one token
//===----------------------------------------------------------------------===//

static Selection writeTopP(Upstream &up, TopPAttr policy, Value scores) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  RankedTensorType type = Upstream::typeOf(scores);
  Type element = type.getElementType(), number = builder.getI32Type();
  Sizes sizes = up.sizesOf(scores);
  Selection selection;
  selection.indices =
      listByRank(up, ranksAlong(up, scores, 1), type.getDimSize(1));
  Value sorted = takeExperts(up, scores, selection.indices, {});
  // The sum of the scores before a slot; no slot is used behind one before
  // which it is enough.
  AffineMap others = readDims(up, 3, {0, 2});
  Value before = sumTerms(
      up, sizes, sorted, others, element,
      [&](OpBuilder &b, ValueRange v) -> Value {
        Value isBefore =
            arith::CmpIOp::create(b, loc, IntPredicate::ult,
                                  loopIndex(b, loc, 2), loopIndex(b, loc, 1));
        return arith::SelectOp::create(b, loc, isBefore, v[0],
                                       Upstream(b, loc).scalar(element, 0));
      });
  Value stops = sumTerms(
      up, sizes, before, others, number,
      [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value slot = loopIndex(b, loc, 2);
        Value isUpTo = arith::CmpIOp::create(b, loc, IntPredicate::ule, slot,
                                             loopIndex(b, loc, 1));
        Value isLater =
            arith::CmpIOp::create(b, loc, IntPredicate::ugt, slot,
                                  scalars.scalar(b.getIndexType(), 0));
        // A NaN is enough.
        Value isEnough = arith::CmpFOp::create(
            b, loc,
            policy.getStrict() ? FloatPredicate::UGT : FloatPredicate::UGE,
            v[0], scalars.scalar(element, policy.getP()));
        Value counts = arith::AndIOp::create(b, loc, isUpTo, isLater);
        counts = arith::AndIOp::create(b, loc, counts, isEnough);
        return arith::ExtUIOp::create(b, loc, number, counts);
      });
  selection.used = up.elementwise(
      stops, builder.getI1Type(), [&](OpBuilder &b, ValueRange v) -> Value {
        return arith::CmpIOp::create(b, loc, IntPredicate::eq, v[0],
                                     Upstream(b, loc).scalar(number, 0));
      });
  return selection;
}

static Selection writeTokenK(Upstream &up, TokenKAttr policy, Value scores,
                             Value counts) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Selection selection;
  selection.indices =
      listByRank(up, ranksAlong(up, scores, 1), policy.getMax());
  selection.used = up.map(
      counts, readDims(up, 2, {0}), up.sizesOf(selection.indices),
      builder.getI1Type(), [&](OpBuilder &b, ValueRange v) -> Value {
        Value slot =
            Upstream(b, loc).castScalar(loopIndex(b, loc, 1), v[0].getType());
        return arith::CmpIOp::create(b, loc, IntPredicate::slt, slot, v[0]);
      });
  return selection;
}

static Selection writeGShard(Upstream &up, GShardAttr policy, RouterOp op) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Value scores = op.getSelect();
  Type element = Upstream::typeOf(scores).getElementType();
  Selection selection;
  selection.indices = listByRank(up, ranksAlong(up, scores, 1), 2);
  Value best = takeExperts(up, scores, selection.indices, {});
  Sizes sizes = up.sizesOf(best);
  AffineExpr t = builder.getAffineDimExpr(0);
  AffineMap own = builder.getMultiDimIdentityMap(2);
  AffineMap first = AffineMap::get(2, 0, {t, builder.getAffineConstantExpr(0)},
                                   builder.getContext());
  AffineMap second = AffineMap::get(2, 0, {t, builder.getAffineConstantExpr(1)},
                                    builder.getContext());
  selection.values = up.map({best, best, best}, {own, first, second}, sizes,
                            element, [&](OpBuilder &b, ValueRange v) -> Value {
                              Value sum =
                                  arith::AddFOp::create(b, loc, v[1], v[2]);
                              return arith::DivFOp::create(b, loc, v[0], sum);
                            });
  if (policy.getSecond() == SecondExpert::All)
    return selection;
  SmallVector<Value> inputs = {policy.getRaw() ? best : selection.values};
  SmallVector<AffineMap> maps = {second};
  if (policy.getSecond() == SecondExpert::Random) {
    inputs.push_back(up.cast(op.getPolicyOperands()[0], element));
    maps.push_back(readDims(up, 2, {0}));
  }
  selection.used = up.map(
      inputs, maps, sizes, builder.getI1Type(),
      [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value isFirst = arith::CmpIOp::create(
            b, loc, IntPredicate::eq, loopIndex(b, loc, 1),
            scalars.scalar(b.getIndexType(), 0));
        auto number = [&](double value) {
          return scalars.scalar(element, value);
        };
        double threshold = policy.getThreshold()
                               ? policy.getThreshold().getValueAsDouble()
                               : 0.0;
        Value isSecond;
        switch (policy.getSecond()) {
        case SecondExpert::Threshold:
          isSecond = arith::CmpFOp::create(b, loc, FloatPredicate::OGT, v[0],
                                           number(threshold));
          break;
        case SecondExpert::Random: {
          Value limit =
              policy.getThreshold()
                  ? Value(
                        arith::DivFOp::create(b, loc, v[0], number(threshold)))
                  : Value(arith::MulFOp::create(b, loc, number(2), v[0]));
          isSecond =
              arith::CmpFOp::create(b, loc, FloatPredicate::OLT, v[1], limit);
          break;
        }
        default:
          return isFirst;
        }
        return arith::OrIOp::create(b, loc, isFirst, isSecond);
      });
  return selection;
}

static Selection writeSparseMixer(Upstream &up, SparseMixerAttr policy,
                                  Value scores) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type element = Upstream::typeOf(scores).getElementType();
  Selection selection;
  selection.indices = listByRank(up, ranksAlong(up, scores, 1), 2);
  Value best = takeExperts(up, scores, selection.indices, {});
  Sizes sizes = up.sizesOf(best);
  AffineMap first = AffineMap::get(
      3, 0, {builder.getAffineDimExpr(0), builder.getAffineConstantExpr(0)},
      builder.getContext());
  Value sums = sumTerms(
      up, sizes, {scores, best, selection.indices},
      {readDims(up, 3, {0, 2}), readDims(up, 3, {0, 1}), first}, element,
      [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value score = v[0], largest = v[1];
        Value gap = arith::SubFOp::create(b, loc, largest, score);
        Value size = math::AbsFOp::create(b, loc, score);
        size = arith::MaximumFOp::create(b, loc, size, largest);
        Value part = arith::DivFOp::create(b, loc, gap, size);
        Value isFar =
            arith::CmpFOp::create(b, loc, FloatPredicate::OGT, part,
                                  scalars.scalar(element, 2 * policy.getEps()));
        Value isSecond = arith::CmpIOp::create(
            b, loc, IntPredicate::ne, loopIndex(b, loc, 1),
            scalars.scalar(b.getIndexType(), 0));
        Value expert = scalars.castScalar(loopIndex(b, loc, 2), v[2].getType());
        Value isBest =
            arith::CmpIOp::create(b, loc, IntPredicate::eq, expert, v[2]);
        Value isGone = arith::AndIOp::create(b, loc, isSecond, isBest);
        isGone = arith::OrIOp::create(b, loc, isGone, isFar);
        Value power = arith::SubFOp::create(b, loc, score, largest);
        power = math::ExpOp::create(b, loc, power);
        return arith::SelectOp::create(b, loc, isGone,
                                       scalars.scalar(element, 0), power);
      });
  selection.values =
      up.elementwise(sums, element, [&](OpBuilder &b, ValueRange v) -> Value {
        return arith::DivFOp::create(b, loc,
                                     Upstream(b, loc).scalar(element, 1), v[0]);
      });
  return selection;
}

/// What is an error at run time must not read outside of the table.
static Selection writeHash(Upstream &up, HashAttr policy, RouterOp op) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type number = builder.getI32Type();
  Value ids = op.getPolicyOperands()[0];
  Sizes sizes = {up.sizesOf(ids)[0], builder.getIndexAttr(policy.getK())};
  Value table = policy.getKind() == HashKind::Table
                    ? Value(op.getPolicyOperands()[1])
                    : Value();
  OpFoldResult rows = table ? up.sizesOf(table)[0] : OpFoldResult();
  Value last;
  if (table) {
    Value size = getValueOrCreateConstantIndexOp(builder, loc, rows);
    last = arith::SubIOp::create(builder, loc, size,
                                 up.scalar(builder.getIndexType(), 1));
  }
  Selection selection;
  selection.indices =
      up.map(ids, readDims(up, 2, {0}), sizes, number,
             [&](OpBuilder &b, ValueRange v) -> Value {
               Upstream scalars(b, loc);
               Value experts = scalars.scalar(number, op.getNumExperts());
               Value zero = scalars.scalar(number, 0);
               Value id = arith::MaxSIOp::create(b, loc, v[0], zero);
               if (!table)
                 return arith::RemUIOp::create(b, loc, id, experts);
               Value row = scalars.castScalar(id, b.getIndexType());
               row = arith::MinSIOp::create(b, loc, row, last);
               Value expert = tensor::ExtractOp::create(
                   b, loc, table, ValueRange{row, loopIndex(b, loc, 1)});
               Value inside = arith::CmpIOp::create(b, loc, IntPredicate::ult,
                                                    expert, experts);
               return arith::SelectOp::create(b, loc, inside, expert, zero);
             });
  return selection;
}

static Selection writeNearest(Upstream &up, NearestCentroidAttr policy,
                              Value scores) {
  Location loc = up.getLoc();
  Type element = Upstream::typeOf(scores).getElementType();
  int64_t n = policy.getN();
  Selection selection;
  selection.indices = listByRank(up, ranksAlong(up, scores, 1), n);
  FloatAttr temperature = policy.getTemperature();
  if (!temperature) {
    selection.values =
        up.fill(up.sizesOf(selection.indices),
                up.scalar(element, 1.0 / static_cast<double>(n)));
    return selection;
  }
  Value best = takeExperts(up, scores, selection.indices, {});
  Value scaled =
      up.elementwise(best, element, [&](OpBuilder &b, ValueRange v) -> Value {
        Value t =
            Upstream(b, loc).scalar(element, temperature.getValueAsDouble());
        return arith::DivFOp::create(b, loc, v[0], t);
      });
  selection.values = up.softmax(scaled, 1);
  return selection;
}

Selection raise::writeTokenSelection(Upstream &up, RouterOp op) {
  Value scores = op.getSelect();
  Attribute attr = op.getPolicy();
  if (auto policy = dyn_cast<TopPAttr>(attr))
    return writeTopP(up, policy, scores);
  if (auto policy = dyn_cast<TokenKAttr>(attr))
    return writeTokenK(up, policy, scores, op.getPolicyOperands()[0]);
  if (auto policy = dyn_cast<GShardAttr>(attr))
    return writeGShard(up, policy, op);
  if (auto policy = dyn_cast<SparseMixerAttr>(attr))
    return writeSparseMixer(up, policy, scores);
  if (auto policy = dyn_cast<HashAttr>(attr))
    return writeHash(up, policy, op);
  if (auto policy = dyn_cast<NearestCentroidAttr>(attr))
    return writeNearest(up, policy, scores);
  return {};
}

//===----------------------------------------------------------------------===//
// Of all tokens
//===----------------------------------------------------------------------===//

static Selection writeExpertChoice(Upstream &up, ExpertChoiceAttr policy,
                                   Value scores) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  RankedTensorType type = Upstream::typeOf(scores);
  Type index = builder.getIndexType();
  Value capacity;
  if (!type.isDynamicDim(0) || !policy.getFactor()) {
    // Ranks are below T, whatever the capacity.
    int64_t tokens = type.isDynamicDim(0) ? std::numeric_limits<int32_t>::max()
                                          : type.getDimSize(0);
    capacity =
        up.scalar(index, policy.getCapacityOf(tokens, type.getDimSize(1)));
  } else {
    Type real = builder.getF64Type();
    Value tokens =
        getValueOrCreateConstantIndexOp(builder, loc, up.sizesOf(scores)[0]);
    Value exact = arith::MulFOp::create(
        builder, loc, up.castScalar(tokens, real),
        up.scalar(real, policy.getFactor().getValueAsDouble()));
    exact = arith::DivFOp::create(builder, loc, exact,
                                  up.scalar(real, type.getDimSize(1)));
    exact = math::RoundEvenOp::create(builder, loc, exact);
    exact = arith::MaximumFOp::create(builder, loc, exact, up.scalar(real, 1));
    // A number that has to be one of i64.
    exact = arith::MinimumFOp::create(builder, loc, exact,
                                      up.castScalar(tokens, real));
    capacity = up.castScalar(exact, index);
  }
  Value ranks = ranksAlong(up, scores, 0);
  Value mask = up.elementwise(
      ranks, builder.getI1Type(), [&](OpBuilder &b, ValueRange v) -> Value {
        Value rank = Upstream(b, loc).castScalar(v[0], index);
        return arith::CmpIOp::create(b, loc, IntPredicate::slt, rank, capacity);
      });
  return chooseByMask(up, mask, {});
}

/// 1 / size / (sum + 1e-8), of the products of c [T, E] and `with` along `dim`.
static Value balance(Upstream &up, Value c, Value with, int64_t dim,
                     Value size) {
  Location loc = up.getLoc();
  Type element = Upstream::typeOf(c).getElementType();
  int64_t kept = 1 - dim;
  Value sums = sumTerms(
      up, {up.sizesOf(c)[kept]}, {c, with},
      {readDims(up, 2,
                dim == 1 ? ArrayRef<int64_t>{0, 1} : ArrayRef<int64_t>{1, 0}),
       readDims(up, 2, {1})},
      element, [&](OpBuilder &b, ValueRange v) -> Value {
        return arith::MulFOp::create(b, loc, v[0], v[1]);
      });
  return up.elementwise(
      sums, element, [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value part =
            arith::DivFOp::create(b, loc, scalars.scalar(element, 1), size);
        Value sum =
            arith::AddFOp::create(b, loc, v[0], scalars.scalar(element, 1e-8));
        return arith::DivFOp::create(b, loc, part, sum);
      });
}

static Selection writeSinkhorn(Upstream &up, SinkhornAttr policy,
                               Value scores) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type element = Upstream::typeOf(scores).getElementType();
  Sizes sizes = up.sizesOf(scores);
  Value numTokens = up.castScalar(
      getValueOrCreateConstantIndexOp(builder, loc, sizes[0]), element);
  Value numExperts = up.castScalar(
      getValueOrCreateConstantIndexOp(builder, loc, sizes[1]), element);
  Value c =
      up.elementwise(scores, element, [&](OpBuilder &b, ValueRange v) -> Value {
        return math::ExpOp::create(b, loc, v[0]);
      });
  Value zero = up.scalar(builder.getIndexType(), 0);
  Value yes = up.scalar(builder.getI1Type(), 1);
  Value d0 = up.fill({sizes[0]}, up.scalar(element, 0));
  Value d1 = up.fill({sizes[1]}, up.scalar(element, 1));
  auto loop = scf::WhileOp::create(
      builder, loc,
      TypeRange{zero.getType(), yes.getType(), d0.getType(), d1.getType()},
      ValueRange{zero, yes, d0, d1},
      [&](OpBuilder &b, Location, ValueRange v) {
        Value most =
            Upstream(b, loc).scalar(b.getIndexType(), policy.getIterations());
        Value isLeft =
            arith::CmpIOp::create(b, loc, IntPredicate::slt, v[0], most);
        Value goesOn = arith::AndIOp::create(b, loc, v[1], isLeft);
        scf::ConditionOp::create(b, loc, goesOn, v);
      },
      [&](OpBuilder &b, Location, ValueRange v) {
        Upstream inner(b, loc);
        Value rows = balance(inner, c, v[3], 1, numTokens);
        Value columns = balance(inner, c, rows, 0, numExperts);
        AffineMap own = readDims(inner, 1, {0});
        Value error = sumTerms(inner, {}, {v[3], columns}, {own, own}, element,
                               [&](OpBuilder &nested, ValueRange x) -> Value {
                                 Value gap = arith::SubFOp::create(nested, loc,
                                                                   x[0], x[1]);
                                 return math::AbsFOp::create(nested, loc, gap);
                               });
        Value mean =
            arith::DivFOp::create(b, loc, inner.extractOnly(error), numExperts);
        // A NaN is not above the tolerance.
        Value goesOn =
            arith::CmpFOp::create(b, loc, FloatPredicate::OGT, mean,
                                  inner.scalar(element, policy.getTolerance()));
        Value next = arith::AddIOp::create(b, loc, v[0],
                                           inner.scalar(b.getIndexType(), 1));
        scf::YieldOp::create(b, loc, ValueRange{next, goesOn, rows, columns});
      });
  Value plan = up.map({c, loop.getResult(2), loop.getResult(3)},
                      {builder.getMultiDimIdentityMap(2), readDims(up, 2, {0}),
                       readDims(up, 2, {1})},
                      sizes, element, [&](OpBuilder &b, ValueRange v) -> Value {
                        Value both = arith::MulFOp::create(b, loc, v[1], v[2]);
                        return arith::MulFOp::create(b, loc, v[0], both);
                      });
  Selection selection;
  selection.indices = listByRank(up, ranksAlong(up, plan, 1), policy.getK());
  return selection;
}

Selection raise::writeBatchSelection(Upstream &up, RouterOp op) {
  if (auto policy = dyn_cast<ExpertChoiceAttr>(Attribute(op.getPolicy())))
    return writeExpertChoice(up, policy, op.getSelect());
  if (auto policy = dyn_cast<SinkhornAttr>(Attribute(op.getPolicy())))
    return writeSinkhorn(up, policy, op.getSelect());
  return {};
}
