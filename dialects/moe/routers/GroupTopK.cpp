//===- GroupTopK.cpp - The K best experts of the best groups ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.group_top_k: scores groups, masks all but the best of them with
// -infinity, and selects among what is left. A masked expert comes before an
// unmasked one whose score is NaN, as the order of scores says.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <limits>

using namespace mlir;
using namespace moe;

int64_t GroupTopKAttr::getNumSlots(int64_t) const { return getK(); }

LogicalResult
GroupTopKAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                            int64_t numExperts) const {
  if (numExperts % getGroups() != 0)
    return emitError() << "expects the groups of #moe.group_top_k to divide "
                          "the number of experts, but got "
                       << getGroups() << " groups of " << numExperts
                       << " experts";
  int64_t size = numExperts / getGroups();
  if (getK() > getKeep() * size)
    return emitError() << "expects #moe.group_top_k to select at most the "
                       << getKeep() * size << " experts of the " << getKeep()
                       << " groups it keeps, but it selects " << getK();
  if (getReduce() == GroupReduce::Top2 && size < 2)
    return emitError() << "expects groups of at least 2 experts for "
                          "`reduce = top2`, but got groups of "
                       << size;
  return success();
}

/// The score of one group. The maximum propagates NaN, and so does the sum.
static Value buildGroupScore(ImplicitLocOpBuilder &b, Value group,
                             GroupReduce reduce) {
  auto type = cast<VectorType>(group.getType());
  Value first =
      vector::ReductionOp::create(b, vector::CombiningKind::MAXIMUMF, group);
  if (reduce == GroupReduce::Max)
    return first;
  // Blank one element that holds the maximum, the first, and look again.
  VectorType indexType = type.clone(b.getI32Type());
  SmallVector<int32_t> ids(type.getNumElements());
  std::iota(ids.begin(), ids.end(), 0);
  Value iota = arith::ConstantOp::create(
      b, DenseElementsAttr::get(indexType, ArrayRef(ids)));
  Value none = arith::ConstantOp::create(
      b, SplatElementsAttr::get(indexType,
                                b.getI32IntegerAttr(type.getNumElements())));
  Value isFirst =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, group,
                            vector::BroadcastOp::create(b, type, first));
  Value place = vector::ReductionOp::create(
      b, vector::CombiningKind::MINSI,
      arith::SelectOp::create(b, isFirst, iota, none));
  Value isPlace =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, iota,
                            vector::BroadcastOp::create(b, indexType, place));
  Value rest = arith::SelectOp::create(
      b, isPlace,
      buildFloatConstant(b, b.getLoc(), type,
                         -std::numeric_limits<double>::infinity()),
      group);
  Value second =
      vector::ReductionOp::create(b, vector::CombiningKind::MAXIMUMF, rest);
  return arith::AddFOp::create(b, first, second);
}

SelectedExperts GroupTopKAttr::buildSelect(OpBuilder &builder, Location loc,
                                           Value scores, ValueRange) const {
  ImplicitLocOpBuilder b(loc, builder);
  auto type = cast<VectorType>(scores.getType());
  int64_t numExperts = type.getNumElements();
  int64_t groups = getGroups();
  int64_t size = numExperts / groups;
  if (getKeep() == groups)
    return buildTopK(b, loc, scores, getK());

  VectorType groupType = VectorType::get(groups, type.getElementType());
  Value groupScores = buildFloatConstant(b, loc, groupType, 0.0);
  for (int64_t g = 0; g < groups; ++g) {
    Value group = vector::ExtractStridedSliceOp::create(
        b, scores, ArrayRef<int64_t>{g * size}, ArrayRef<int64_t>{size},
        ArrayRef<int64_t>{1});
    groupScores = vector::InsertOp::create(
        b, buildGroupScore(b, group, getReduce()), groupScores, g);
  }

  // Which experts are in one of the kept groups.
  Value kept = buildTopK(b, loc, groupScores, getKeep());
  VectorType indexType = type.clone(b.getI32Type());
  VectorType maskType = type.clone(b.getI1Type());
  SmallVector<int32_t> owners(numExperts);
  for (int64_t e = 0; e < numExperts; ++e)
    owners[e] = e / size;
  Value owner = arith::ConstantOp::create(
      b, DenseElementsAttr::get(indexType, ArrayRef(owners)));
  Value mask = arith::ConstantOp::create(
      b, SplatElementsAttr::get(maskType, b.getBoolAttr(false)));
  for (int64_t i = 0; i < getKeep(); ++i) {
    Value group = vector::ExtractOp::create(b, kept, i);
    Value isIn =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq, owner,
                              vector::BroadcastOp::create(b, indexType, group));
    mask = arith::OrIOp::create(b, mask, isIn);
  }
  Value masked = arith::SelectOp::create(
      b, mask, scores,
      buildFloatConstant(b, loc, type,
                         -std::numeric_limits<double>::infinity()));
  return buildTopK(b, loc, masked, getK());
}

void GroupTopKAttr::buildSelectLanes(LaneSelection &lanes) const {
  auto keyOf = [&](Value expert) {
    return lanes.buildKeys(lanes.load(lanes.scores, expert));
  };
  int64_t groups = getGroups(), size = lanes.experts / groups;
  if (getKeep() == groups) {
    lanes.buildTopK(getK(), keyOf, lanes.indices);
    return;
  }
  ImplicitLocOpBuilder &b = lanes.b;
  // The keys of the groups' scores. A NaN has to make its group's score NaN,
  // which the maximum of keys would hide: the maximum of floats does not.
  Value groupKeys = lanes.scratch(groups, b.getI32Type());
  Value first = lanes.f32(-std::numeric_limits<double>::infinity());
  lanes.loop(0, groups, {}, [&](Value g, ValueRange) -> SmallVector<Value> {
    Value base = arith::MulIOp::create(b, g, lanes.index(size));
    SmallVector<Value> best =
        lanes.loop(0, size, ValueRange{first, first},
                   [&](Value i, ValueRange best) -> SmallVector<Value> {
                     Value e = arith::AddIOp::create(b, base, i);
                     Value score = lanes.load(lanes.scores, e);
                     // The loser of the first place plays for the second.
                     Value loser =
                         arith::MinimumFOp::create(b, best[0], score);
                     return {arith::MaximumFOp::create(b, best[0], score),
                             arith::MaximumFOp::create(b, best[1], loser)};
                   });
    Value score = best[0];
    if (getReduce() == GroupReduce::Top2)
      score = arith::AddFOp::create(b, best[0], best[1]);
    lanes.store(lanes.buildKeys(score), groupKeys, g);
    return {};
  });
  // A group stays if fewer than `keep` groups come before it.
  Value kept = lanes.scratch(groups, b.getI32Type());
  lanes.loop(0, groups, {}, [&](Value g, ValueRange) -> SmallVector<Value> {
    Value key = lanes.load(groupKeys, g);
    Value rank =
        lanes.loop(0, groups, ValueRange{lanes.i32(0)},
                   [&](Value other, ValueRange rank) -> SmallVector<Value> {
                     Value otherKey = lanes.load(groupKeys, other);
                     Value lower = arith::CmpIOp::create(
                         b, arith::CmpIPredicate::ult, other, g);
                     Value above = arith::CmpIOp::create(
                         b, arith::CmpIPredicate::sgt, otherKey, key);
                     Value equal = arith::CmpIOp::create(
                         b, arith::CmpIPredicate::eq, otherKey, key);
                     Value before = arith::OrIOp::create(
                         b, above,
                         arith::AndIOp::create(b, equal, lanes.splat(lower)));
                     return {arith::AddIOp::create(
                         b, rank[0],
                         arith::ExtUIOp::create(b, lanes.i32Type(), before))};
                   })[0];
    Value stays = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, rank,
                                        lanes.i32(getKeep()));
    lanes.store(arith::ExtSIOp::create(b, lanes.i32Type(), stays), kept, g);
    return {};
  });
  // Experts of other groups count as -infinity.
  Value lowest =
      lanes.buildKeys(lanes.f32(-std::numeric_limits<double>::infinity()));
  lanes.buildTopK(
      getK(),
      [&](Value expert) -> Value {
        Value g = arith::DivUIOp::create(b, expert, lanes.index(size));
        Value stays = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                            lanes.load(kept, g), lanes.i32(0));
        return arith::SelectOp::create(b, stays, keyOf(expert), lowest);
      },
      lanes.indices);
}

void GroupTopKAttr::buildSelectRow(RowSelection &row) const {
  auto keysAt = [&](Value first) {
    return row.buildKeys(row.load(row.scores, first));
  };
  int64_t groups = getGroups(), size = row.experts / groups;
  if (getKeep() == groups)
    return row.buildTopK(getK(), keysAt, row.indices);
  ImplicitLocOpBuilder &b = row.b;
  auto is = [&](arith::CmpIPredicate predicate, Value x, Value y) -> Value {
    return arith::CmpIOp::create(b, predicate, x, y);
  };
  auto select = [&](Value c, Value x, Value y) -> Value {
    return arith::SelectOp::create(b, c, x, y);
  };
  auto max = [&](Value x, Value y) -> Value {
    return arith::MaxSIOp::create(b, x, y);
  };
  // The two best, where the loser of the first place plays for the second.
  using Best = std::pair<Value, Value>;
  auto better = [&](Best x, Best y) -> Best {
    Value loser = arith::MinSIOp::create(b, x.first, y.first);
    return {max(x.first, y.first), max(max(x.second, y.second), loser)};
  };
  auto keyOfGroup = [&](Value base) -> Value {
    Value blank = row.blankKey();
    // A NaN makes the score of its group NaN: the largest of keys, here.
    Value nan =
        row.buildKeys(row.f32(std::numeric_limits<double>::quiet_NaN()));
    Value largest = row.i32(std::numeric_limits<int32_t>::max());
    SmallVector<Value> best = row.loopVectors(
        size, ValueRange{blank, blank},
        [&](Value first, Value mask, ValueRange best) -> SmallVector<Value> {
          Value keys = keysAt(arith::AddIOp::create(b, base, first));
          keys = select(is(arith::CmpIPredicate::eq, keys, nan), largest, keys);
          if (mask)
            keys = select(mask, keys, blank);
          auto [one, two] = better({best[0], best[1]}, {keys, blank});
          return {one, two};
        });
    Best all(best[0], best[1]);
    for (int64_t distance = row.lanes / 2; distance >= 1; distance /= 2)
      all = better(all, {row.exchange(all.first, distance),
                         row.exchange(all.second, distance)});
    Value score = row.buildScores(all.first);
    if (getReduce() == GroupReduce::Top2)
      score = arith::AddFOp::create(b, score, row.buildScores(all.second));
    return vector::ExtractOp::create(b, row.buildKeys(score), 0);
  };
  auto firstOf = [&](Value group) -> Value {
    return arith::MulIOp::create(b, group, row.index(size));
  };
  Value groupKeys = row.scratch(groups, b.getI32Type());
  row.loop(0, groups, {}, [&](Value g, ValueRange) -> SmallVector<Value> {
    memref::StoreOp::create(b, keyOfGroup(firstOf(g)), groupKeys,
                            ValueRange{g});
    return {};
  });
  // A group stays if fewer than `keep` groups come before it.
  Value kept = row.scratch(groups, b.getI32Type());
  row.loopVectors(groups, {}, [&](Value first, Value, ValueRange) {
    Value keys = row.load(groupKeys, first);
    Value ids = arith::AddIOp::create(b, row.iota(), row.splatIndex(first));
    Value rank = row.loop(
        0, groups, ValueRange{row.i32(0)},
        [&](Value other, ValueRange rank) -> SmallVector<Value> {
          Value key = row.splat(
              memref::LoadOp::create(b, groupKeys, ValueRange{other}));
          Value lower =
              is(arith::CmpIPredicate::slt, row.splatIndex(other), ids);
          Value above = is(arith::CmpIPredicate::sgt, key, keys);
          Value equal = is(arith::CmpIPredicate::eq, key, keys);
          Value before = arith::OrIOp::create(
              b, above, arith::AndIOp::create(b, equal, lower));
          return {arith::AddIOp::create(
              b, rank[0], arith::ExtUIOp::create(b, row.i32Type(), before))};
        })[0];
    Value stays = is(arith::CmpIPredicate::slt, rank, row.i32(getKeep()));
    row.store(arith::ExtSIOp::create(b, row.i32Type(), stays), kept, first);
    return SmallVector<Value>();
  });
  // The same for each expert: what is written beyond a group, the next one
  // overwrites.
  Value keptExperts = row.scratch(row.experts, b.getI32Type());
  row.loop(0, groups, {}, [&](Value g, ValueRange) -> SmallVector<Value> {
    Value base = firstOf(g);
    Value stays = row.splat(memref::LoadOp::create(b, kept, ValueRange{g}));
    row.loopVectors(size, {}, [&](Value first, Value, ValueRange) {
      row.store(stays, keptExperts, arith::AddIOp::create(b, base, first));
      return SmallVector<Value>();
    });
    return {};
  });
  // Experts of other groups count as -infinity.
  Value lowest =
      row.buildKeys(row.f32(-std::numeric_limits<double>::infinity()));
  row.buildTopK(
      getK(),
      [&](Value first) -> Value {
        Value stays = is(arith::CmpIPredicate::slt,
                         row.load(keptExperts, first), row.i32(0));
        return select(stays, keysAt(first), lowest);
      },
      row.indices);
}
