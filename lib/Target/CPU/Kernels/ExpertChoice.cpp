//===- ExpertChoice.cpp - moek.expert_choice --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The C best tokens of a column without sorting it: the key of the last one
// that is in is found bit by bit, each bit by counting the keys above. Experts
// are in lanes, so that a pass over the tokens serves a whole vector of them,
// and whatever the scores are, the passes are the same.
//
//===----------------------------------------------------------------------===//

#include "Lowerings.h"
#include "moe/Moe.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace moe;

/// Experts of one pass.
static constexpr int64_t kLanes = 16;
/// Below this many scores a second thread costs more than it brings.
static constexpr int64_t kItemScores = 8192;

namespace {
struct Kernel {
  Value scores, indices;
  Value tokens;   ///< index
  Value capacity; ///< i32, at most `tokens`
  /// `[groups * T, kLanes]` i32: the keys of one group of experts after
  /// another.
  Value keys;
};
} // namespace

static Value splatI32(Emitter &e, int64_t value, VectorType type) {
  return arith::ConstantOp::create(
      e, SplatElementsAttr::get(type, e.getI32IntegerAttr(value)));
}

/// The sum over all tokens of a condition on their keys, an i32 a lane.
static Value emitCount(Emitter &e, const Kernel &kernel, Value base,
                       VectorType type, arith::CmpIPredicate predicate,
                       Value threshold) {
  auto loop = scf::ForOp::create(e, e.idx(0), kernel.tokens, e.idx(1),
                                 ValueRange{e.zeros(type)});
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(loop.getBody());
  Value key = vector::LoadOp::create(
      e, type, kernel.keys,
      ValueRange{e.add(base, loop.getInductionVar()), e.idx(0)});
  Value is = e.cmp(predicate, key, threshold);
  Value next =
      e.sub(loop.getRegionIterArg(0), arith::ExtSIOp::create(e, type, is));
  scf::YieldOp::create(e, next);
  return loop.getResult(0);
}

/// Chooses the tokens of the `lanes` experts of `group`.
static void emitGroup(Emitter &e, const Kernel &kernel, Value group,
                      int64_t lanes) {
  VectorType type = e.vec(lanes, e.getI32Type());
  Value base = e.mul(group, kernel.tokens);
  Value capacity = e.splat(kernel.capacity, type);
  Value lowest = splatI32(e, std::numeric_limits<int32_t>::min(), type);

  // The largest key that at least C keys reach. Adding the upper bit to the
  // lowest integer gives 0: the bits ascend as those of an unsigned number.
  auto bits =
      scf::ForOp::create(e, e.idx(0), e.idx(32), e.idx(1), ValueRange{lowest});
  {
    OpBuilder::InsertionGuard guard(e);
    e.setInsertionPointToStart(bits.getBody());
    Value bit = e.toI32(bits.getInductionVar());
    Value step = arith::ShRUIOp::create(
        e, e.i32(std::numeric_limits<int32_t>::min()), bit);
    Value candidate = e.add(bits.getRegionIterArg(0), e.splat(step, type));
    Value count =
        emitCount(e, kernel, base, type, arith::CmpIPredicate::sge, candidate);
    Value enough = e.cmp(arith::CmpIPredicate::sge, count, capacity);
    scf::YieldOp::create(e,
                         e.select(enough, candidate, bits.getRegionIterArg(0)));
  }
  Value threshold = bits.getResult(0);

  // What is left for tokens with just this key, the first ones.
  Value above =
      emitCount(e, kernel, base, type, arith::CmpIPredicate::sgt, threshold);
  Value room = e.sub(capacity, above);
  SmallVector<int32_t> ids(lanes);
  std::iota(ids.begin(), ids.end(), 0);
  Value firstExpert = e.mul(group, kLanes);
  Value experts =
      e.add(e.splat(e.toI32(firstExpert), type),
            arith::ConstantOp::create(
                e, DenseElementsAttr::get(type, ArrayRef<int32_t>(ids))));
  Value none = splatI32(e, -1, type);
  auto mark = scf::ForOp::create(e, e.idx(0), kernel.tokens, e.idx(1),
                                 ValueRange{e.zeros(type)});
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(mark.getBody());
  Value token = mark.getInductionVar(), seen = mark.getRegionIterArg(0);
  Value key = vector::LoadOp::create(e, type, kernel.keys,
                                     ValueRange{e.add(base, token), e.idx(0)});
  Value better = e.cmp(arith::CmpIPredicate::sgt, key, threshold);
  Value equal = e.cmp(arith::CmpIPredicate::eq, key, threshold);
  Value fits = e.cmp(arith::CmpIPredicate::slt, seen, room);
  Value chosen =
      arith::OrIOp::create(e, better, arith::AndIOp::create(e, equal, fits));
  vector::StoreOp::create(e, e.select(chosen, experts, none), kernel.indices,
                          ValueRange{token, firstExpert});
  scf::YieldOp::create(e, e.sub(seen, arith::ExtSIOp::create(e, type, equal)));
}

LogicalResult moe::lowerExpertChoice(Emitter &e, moek::ExpertChoiceOp op) {
  int64_t experts = cast<MemRefType>(op.getScores().getType()).getDimSize(1);
  int64_t full = experts / kLanes, rest = experts % kLanes;
  int64_t groups = full + (rest != 0);
  emitTrace(e, "begin", "route");
  Kernel kernel;
  kernel.scores = op.getScores();
  kernel.indices = op.getOutputs()[0];
  kernel.tokens = e.dim(kernel.scores, 0);
  kernel.capacity = e.toI32(e.min(op.getCapacity(), kernel.tokens));
  kernel.keys = emitScratch(
      e, MemRefType::get({ShapedType::kDynamic, kLanes}, e.getI32Type()),
      e.mul(kernel.tokens, groups));

  // Every score becomes an integer of the same order once.
  auto emitKeys = [&](Emitter &e, Value token, Value group, int64_t lanes) {
    LaneSelection selection{e, experts, experts, lanes, {}, {}, {}, {}};
    Value score =
        vector::LoadOp::create(e, e.vecF32(lanes), kernel.scores,
                               ValueRange{token, e.mul(group, kLanes)});
    selection.b.restoreInsertionPoint(e.saveInsertionPoint());
    Value key = selection.buildKeys(score);
    vector::StoreOp::create(
        e, key, kernel.keys,
        ValueRange{e.add(e.mul(group, kernel.tokens), token), e.idx(0)});
  };
  Value size = emitItemSize(e, kernel.tokens, kItemScores / experts);
  e.parallel(e.ceilDiv(kernel.tokens, size), [&](Emitter &e, Value item) {
    Value first = e.mul(item, size);
    Value last = e.min(e.add(first, size), kernel.tokens);
    e.loop(first, last, 1, [&](Emitter &e, Value token) {
      if (full)
        e.loop(e.idx(full), [&](Emitter &e, Value group) {
          emitKeys(e, token, group, kLanes);
        });
      if (rest)
        emitKeys(e, token, e.idx(full), rest);
    });
  });
  e.parallel(e.idx(groups), [&](Emitter &e, Value group) {
    if (full)
      e.ifThen(e.lt(group, e.idx(full)),
               [&](Emitter &e) { emitGroup(e, kernel, group, kLanes); });
    if (rest)
      e.ifThen(e.eq(group, e.idx(full)),
               [&](Emitter &e) { emitGroup(e, kernel, group, rest); });
  });
  emitTrace(e, "end", "route");
  return success();
}
