//===- Sinkhorn.cpp - moek.sinkhorn -----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One iteration is one pass over exp(z): the sum over the experts of a token
// gives its d0, with which the token is added to the sums over tokens at once.
// Those are kept for blocks of tokens of a fixed number, so that threads take
// blocks and the order of additions does not depend on them.
//
//===----------------------------------------------------------------------===//

#include "Lowerings.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace moe;

static constexpr int64_t kLanes = 16;
/// Tokens of a block.
static constexpr int64_t kBlockTokens = 64;

static Value splat(Emitter &e, double value) {
  return arith::ConstantOp::create(
      e, SplatElementsAttr::get(e.vecF32(kLanes), e.getF32FloatAttr(value)));
}

/// The sum of the lanes: halves to halves, the same on every machine.
static Value emitLaneSum(Emitter &e, Value v) {
  for (int64_t n = kLanes / 2; n >= 1; n /= 2) {
    auto half = [&](int64_t from) -> Value {
      return vector::ExtractStridedSliceOp::create(
          e, v, ArrayRef<int64_t>{from}, ArrayRef<int64_t>{n},
          ArrayRef<int64_t>{1});
    };
    v = arith::AddFOp::create(e, half(0), half(n));
  }
  return vector::ExtractOp::create(e, v, int64_t(0));
}

/// for (i = 0; i < end; i += step) with one value carried.
static Value emitFold(Emitter &e, Value end, int64_t step, Value start,
                      function_ref<Value(Emitter &, Value, Value)> body) {
  auto loop =
      scf::ForOp::create(e, e.idx(0), end, e.idx(step), ValueRange{start});
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(
      e, body(e, loop.getInductionVar(), loop.getRegionIterArg(0)));
  return loop.getResult(0);
}

LogicalResult moe::lowerSinkhorn(Emitter &e, moek::SinkhornOp op) {
  Type f32 = e.getF32Type();
  VectorType type = e.vecF32(kLanes);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  int64_t experts = cast<MemRefType>(op.getScores().getType()).getDimSize(1);
  int64_t width = (experts + kLanes - 1) / kLanes * kLanes;
  int64_t whole = experts / kLanes * kLanes;
  emitTrace(e, "begin", "route");
  Value plan = op.getOutputs()[0];
  Value tokens = e.dim(op.getScores(), 0);
  Value blocks = e.ceilDiv(tokens, kBlockTokens);
  auto dynamic = ShapedType::kDynamic;
  Value c = emitScratch(e, MemRefType::get({dynamic, width}, f32), tokens);
  Value d0 = emitScratch(e, MemRefType::get({dynamic}, f32), tokens);
  Value sums = emitScratch(e, MemRefType::get({dynamic, width}, f32), blocks);
  Value largest = emitScratch(e, MemRefType::get({dynamic}, f32), blocks);
  Value d1 = emitScratch(e, MemRefType::get({width}, f32), {});

  auto load = [&](Emitter &e, Value from, ValueRange at) -> Value {
    return vector::LoadOp::create(e, type, from, at);
  };
  auto store = [&](Emitter &e, Value v, Value to, ValueRange at) {
    vector::StoreOp::create(e, v, to, at);
  };
  auto tailMask = [&](Emitter &e) -> Value {
    return vector::CreateMaskOp::create(e, e.vec(kLanes, e.getI1Type()),
                                        ValueRange{e.idx(experts - whole)});
  };
  /// `body(column, mask)` for all columns; the mask is there where it matters.
  auto overColumns = [&](Emitter &e,
                         function_ref<void(Emitter &, Value, Value)> body) {
    if (whole)
      e.loop(e.idx(0), e.idx(whole), kLanes,
             [&](Emitter &e, Value column) { body(e, column, Value()); });
    if (whole != width)
      body(e, e.idx(whole), tailMask(e));
  };
  auto overTokens = [&](function_ref<void(Emitter &, Value)> body,
                        function_ref<void(Emitter &, Value)> before = nullptr,
                        function_ref<void(Emitter &, Value)> after = nullptr) {
    e.parallel(blocks, [&](Emitter &e, Value block) {
      if (before)
        before(e, block);
      Value first = e.mul(block, kBlockTokens);
      e.loop(first, e.min(e.add(first, kBlockTokens), tokens), 1, body);
      if (after)
        after(e, block);
    });
  };

  // A copy of z with whole vectors, and its largest number below infinity, or
  // 0. What is scaled by it can neither overflow nor, as only numbers above 0
  // count, make tokens small that were not.
  e.parallel(blocks, [&](Emitter &e, Value block) {
    Value first = e.mul(block, kBlockTokens);
    Value count = e.min(e.sub(tokens, first), e.idx(kBlockTokens));
    Value lowest = splat(e, -infinity);
    auto copy = [&](Emitter &e, Value token, Value column, Value mask,
                    Value best) -> Value {
      SmallVector<Value> at{token, column};
      Value z = mask ? Value(vector::MaskedLoadOp::create(
                           e, type, op.getScores(), at, mask, lowest))
                     : load(e, op.getScores(), at);
      store(e, z, c, at);
      Value above =
          arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, z, best);
      Value finite = arith::CmpFOp::create(e, arith::CmpFPredicate::OLT, z,
                                           splat(e, infinity));
      return e.select(arith::AndIOp::create(e, above, finite), z, best);
    };
    Value best = emitFold(
        e, count, 1, e.zeros(type), [&](Emitter &e, Value i, Value best) {
          Value token = e.add(first, i);
          best = emitFold(e, e.idx(whole), kLanes, best,
                          [&](Emitter &e, Value column, Value best) {
                            return copy(e, token, column, Value(), best);
                          });
          if (whole != width)
            best = copy(e, token, e.idx(whole), tailMask(e), best);
          return best;
        });
    e.store(
        vector::ReductionOp::create(e, vector::CombiningKind::MAXNUMF, best),
        largest, ValueRange{block});
  });
  Value shift = emitFold(e, blocks, 1, e.f32(0.0),
                         [&](Emitter &e, Value block, Value best) -> Value {
                           Value other = e.load(largest, ValueRange{block});
                           return arith::MaxNumFOp::create(e, best, other);
                         });
  Value shifts = e.splat(shift, type);
  // The 1e-8 of d0 is scaled like c: d0 then is scaled by the inverse, and
  // neither d1 nor the plan changes. As a vector, for its own exponential.
  Value scaledEps = vector::ExtractOp::create(
      e,
      Value(arith::MulFOp::create(
          e, splat(e, 1e-8),
          math::ExpOp::create(
              e, arith::SubFOp::create(e, e.zeros(type), shifts)))),
      int64_t(0));
  overTokens([&](Emitter &e, Value token) {
    overColumns(e, [&](Emitter &e, Value column, Value mask) {
      SmallVector<Value> at{token, column};
      Value v = math::ExpOp::create(
          e, arith::SubFOp::create(e, load(e, c, at), shifts));
      if (mask)
        v = e.select(mask, v, e.zeros(type));
      store(e, v, c, at);
    });
  });
  overColumns(e, [&](Emitter &e, Value column, Value mask) {
    Value ones = splat(e, 1.0);
    store(e, mask ? e.select(mask, ones, e.zeros(type)) : ones, d1,
          ValueRange{column});
  });

  Value byToken = arith::DivFOp::create(
      e, e.f32(1.0), arith::UIToFPOp::create(e, f32, e.toI64(tokens)));
  Value limit = e.i32(std::min<int64_t>(op.getIterations(),
                                        std::numeric_limits<int32_t>::max()));
  Value none = e.i32(0);
  auto loop =
      scf::WhileOp::create(e, TypeRange{e.getI32Type()}, ValueRange{none});
  {
    OpBuilder::InsertionGuard guard(e);
    Block *before =
        e.createBlock(&loop.getBefore(), {}, {e.getI32Type()}, {e.getLoc()});
    e.setInsertionPointToStart(before);
    overTokens(
        [&](Emitter &e, Value token) {
          Value block = e.div(token, kBlockTokens);
          Value products =
              emitFold(e, e.idx(width), kLanes, e.zeros(type),
                       [&](Emitter &e, Value column, Value acc) -> Value {
                         return vector::FMAOp::create(
                             e, load(e, c, ValueRange{token, column}),
                             load(e, d1, ValueRange{column}), acc);
                       });
          Value sum =
              arith::AddFOp::create(e, emitLaneSum(e, products), scaledEps);
          Value own = arith::DivFOp::create(e, byToken, sum);
          e.store(own, d0, ValueRange{token});
          Value owns = e.splat(own, type);
          e.loop(e.idx(0), e.idx(width), kLanes, [&](Emitter &e, Value column) {
            SmallVector<Value> at{block, column};
            Value next =
                vector::FMAOp::create(e, load(e, c, ValueRange{token, column}),
                                      owns, load(e, sums, at));
            store(e, next, sums, at);
          });
        },
        [&](Emitter &e, Value block) {
          e.loop(e.idx(0), e.idx(width), kLanes, [&](Emitter &e, Value column) {
            store(e, e.zeros(type), sums, ValueRange{block, column});
          });
        });
    auto update = [&](Emitter &e, Value column, Value mask,
                      Value error) -> Value {
      Value sum =
          emitFold(e, blocks, 1, e.zeros(type),
                   [&](Emitter &e, Value block, Value sum) -> Value {
                     return arith::AddFOp::create(
                         e, sum, load(e, sums, ValueRange{block, column}));
                   });
      sum = arith::AddFOp::create(e, sum, splat(e, 1e-8));
      Value next = arith::DivFOp::create(e, splat(e, 1.0 / experts), sum);
      if (mask)
        next = e.select(mask, next, e.zeros(type));
      Value change = math::AbsFOp::create(
          e, arith::SubFOp::create(e, load(e, d1, ValueRange{column}), next));
      store(e, next, d1, ValueRange{column});
      return arith::AddFOp::create(e, error, change);
    };
    Value errors = emitFold(e, e.idx(whole), kLanes, e.zeros(type),
                            [&](Emitter &e, Value column, Value error) {
                              return update(e, column, Value(), error);
                            });
    if (whole != width)
      errors = update(e, e.idx(whole), tailMask(e), errors);
    Value error = arith::DivFOp::create(e, emitLaneSum(e, errors),
                                        e.f32(static_cast<double>(experts)));
    // A NaN is not above the tolerance.
    Value far =
        arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, error,
                              e.f32(op.getTolerance().convertToDouble()));
    Value done = e.add(before->getArgument(0), e.i32(1));
    Value more = arith::AndIOp::create(
        e, far, e.cmp(arith::CmpIPredicate::slt, done, limit));
    scf::ConditionOp::create(e, more, ValueRange{done});
    Block *after =
        e.createBlock(&loop.getAfter(), {}, {e.getI32Type()}, {e.getLoc()});
    e.setInsertionPointToStart(after);
    scf::YieldOp::create(e, ValueRange{after->getArgument(0)});
  }

  overTokens([&](Emitter &e, Value token) {
    Value own = e.splat(e.load(d0, ValueRange{token}), type);
    overColumns(e, [&](Emitter &e, Value column, Value mask) {
      SmallVector<Value> at{token, column};
      Value v = arith::MulFOp::create(e, load(e, d1, ValueRange{column}),
                                      load(e, c, at));
      v = arith::MulFOp::create(e, v, own);
      if (mask)
        vector::MaskedStoreOp::create(e, plan, at, mask, v);
      else
        store(e, v, plan, at);
    });
  });
  emitTrace(e, "end", "route");
  return success();
}
