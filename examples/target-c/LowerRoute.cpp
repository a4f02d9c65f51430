//===- LowerRoute.cpp - moek.route, one token after another -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The regions of the op compute on vectors of all experts or slots of a token,
// and policies select for vectors of tokens, here of one. ScalarizeVectors.cpp
// makes loops and scalars of both.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "moe/Lanes.h"

#include <limits>

using namespace mlir;
using namespace acmec;

namespace {
/// The kernel.
class Route {
public:
  Route(Loops &b, moek::RouteOp op)
      : b(b), op(op), policy(op.getPolicy()), routing(op.getRouting()),
        experts(op.getExperts()), slots(op.getSelectedSlots()) {}

  LogicalResult emit() {
    Value tokens = b.dim(routing.indices, 0);
    Value logits;
    if (op.getX())
      logits = emitLogits(tokens);
    LogicalResult result = success();
    b.parallel(tokens, [&](Value token) { result = emitToken(token, logits); });
    if (failed(result))
      return failure();
    if (op.getCapacity())
      emitCapacity(tokens);
    emitLists(b, routing, op.getTotalExperts(), op.getTotalSlots());
    return success();
  }

private:
  Value emitLogits(Value tokens) {
    int64_t k = cast<MemRefType>(op.getX().getType()).getDimSize(1);
    Value logits =
        b.buffer({ShapedType::kDynamic, experts}, b.getF32Type(), tokens);
    b.parallel(tokens, [&](Value token) {
      b.loop(experts, [&](Value expert) {
        Value c0 = b.idx(0);
        Value sum = b.fold(b.idx(k), b.f32(0.0), [&](Value i, Value sum) {
          return b.addf(sum,
                        b.mulf(b.load(op.getX(), {token, i}),
                               b.load(op.getRouter(), {c0, c0, expert, i})));
        });
        b.store(sum, logits, {token, expert});
      });
    });
    return logits;
  }

  /// The scores region of a token.
  SmallVector<Value> emitScores(Value token, Value logits) {
    SmallVector<Value> arguments;
    if (logits)
      arguments.push_back(b.loadRow(logits, {token, b.idx(0)}, experts));
    for (Value rows : op.getRows())
      arguments.push_back(b.loadRow(rows, {token, b.idx(0)}, experts));
    for (Value columns : op.getColumns()) {
      Value row = b.local({experts}, b.getF32Type());
      b.loop(experts, [&](Value e) {
        b.store(b.load(columns, {e, token}), row, e);
      });
      arguments.push_back(b.loadRow(row, b.idx(0), experts));
    }
    for (Value vector : op.getVectors())
      arguments.push_back(b.loadRow(vector, b.idx(0), experts));
    for (Value scalars : op.getScalars())
      arguments.push_back(b.load(scalars, token));
    return b.inlineBody(op.getScores().front(), arguments);
  }

  Value toLane(Value scalar) {
    return vector::BroadcastOp::create(
        b, VectorType::get({1}, scalar.getType()), scalar);
  }
  Value fromLane(Value lane) {
    return vector::ExtractOp::create(b, lane, int64_t(0));
  }

  LogicalResult emitToken(Value token, Value logits) {
    SmallVector<Value> scores = emitScores(token, logits);
    bool usesScores = policy.usesScores();
    Value values;
    if (scores.size() > (usesScores ? 1 : 0))
      values = b.keep(scores.back());
    auto value = [&](Value expert) {
      return values ? b.load(values, expert) : b.f32(1.0);
    };
    SmallVector<Value> operands;
    for (auto [i, operand] : llvm::enumerate(op.getPolicyOperands()))
      operands.push_back(policy.isTokenOperand(i) ? b.load(operand, token)
                                                  : operand);
    if (!policy.supportsLanes()) {
      moe::SelectedExperts chosen = policy.buildSelect(
          b, b.getLoc(), usesScores ? scores[0] : Value(), operands);
      if (!chosen)
        return op.emitOpError() << "cannot be compiled: " << policy
                                << " has neither buildSelect nor a form in "
                                   "lanes";
      Value indices = b.keep(chosen.experts);
      emitWeights(token, indices,
                  chosen.values ? b.keep(chosen.values)
                                : gatherValues(indices, value));
      return success();
    }
    moe::LaneSelection l{ImplicitLocOpBuilder(b), experts, slots, 1};
    for (auto [i, operand] : llvm::enumerate(operands))
      l.operands.push_back(policy.isTokenOperand(i) ? toLane(operand)
                                                    : operand);
    if (usesScores) {
      Value row = b.keep(scores[0]);
      l.scores = b.local({experts, 1}, b.getF32Type());
      b.loop(experts, [&](Value e) {
        b.store(b.load(row, e), l.scores, {e, b.idx(0)});
      });
    }
    if (policy.selectsByMask()) {
      emitMask(l, token, value);
      return success();
    }
    l.indices = b.local({slots, 1}, b.getI32Type());
    l.values = b.local({slots, 1}, b.getF32Type());
    policy.buildSelectLanes(here(l));
    Value indices = fromLanes(l.indices);
    emitWeights(token, indices,
                policy.providesValues() ? fromLanes(l.values)
                                        : gatherValues(indices, value));
    return success();
  }

  /// The column of a memref<K x 1>.
  Value fromLanes(Value lanes) {
    Value row =
        b.local({slots}, cast<MemRefType>(lanes.getType()).getElementType());
    b.loop(slots, [&](Value slot) {
      b.store(b.load(lanes, {slot, b.idx(0)}), row, slot);
    });
    return row;
  }

  /// The values of the chosen.
  Value gatherValues(Value indices, function_ref<Value(Value)> value) {
    Value row = b.local({slots}, b.getF32Type());
    b.loop(slots, [&](Value slot) {
      Value safe = b.op<arith::MaxSIOp>(b.load(indices, slot), b.i32(0));
      b.store(value(b.toIndex(safe)), row, slot);
    });
    return row;
  }

  /// Lanes build where this builder is.
  moe::LaneSelection &here(moe::LaneSelection &l) {
    l.b.restoreInsertionPoint(b.saveInsertionPoint());
    return l;
  }

  void emitMask(moe::LaneSelection &l, Value token,
                function_ref<Value(Value)> value) {
    Value c0 = b.idx(0);
    Value chosen = b.local({experts}, b.getI1Type());
    // What is carried from expert to expert: the best score, its expert, and
    // how many are chosen.
    Value best = b.local({1}, b.getF32Type());
    Value bestExpert = b.local({1}, b.getI32Type());
    Value count = b.local({1}, b.getI32Type());
    b.store(b.f32(std::numeric_limits<double>::quiet_NaN()), best, c0);
    b.store(b.i32(0), bestExpert, c0);
    b.store(b.i32(0), count, c0);
    SmallVector<Value> state = policy.buildMaskState(here(l));
    b.loop(experts, [&](Value e) {
      Value score = l.scores ? b.load(l.scores, {e, c0}) : b.f32(0.0);
      Value is =
          fromLane(policy.buildMaskLanes(here(l), state, e, toLane(score)));
      b.store(is, chosen, e);
      Value one = arith::ExtUIOp::create(b, b.getI32Type(), is);
      b.store(b.add(b.load(count, c0), one), count, c0);
      // Any number is better than none.
      Value old = b.load(best, c0);
      Value better = b.both(b.cmp(Loops::FloatPredicate::ORD, score, score),
                            b.cmp(Loops::FloatPredicate::UGT, score, old));
      b.store(b.select(better, score, old), best, c0);
      b.store(b.select(better, b.toI32(e), b.load(bestExpert, c0)), bestExpert,
              c0);
    });
    Value number = b.load(count, c0);
    Value fell = b.bit(false);
    if (policy.fallsBackToBest()) {
      fell = b.cmp(Loops::Predicate::eq, number, b.i32(0));
      Value at = b.loadIndex(bestExpert, c0);
      b.store(b.either(b.load(chosen, at), fell), chosen, at);
    }
    Value share;
    if (policy.providesValues()) {
      Value some = b.op<arith::MaxSIOp>(number, b.i32(1));
      Value lanes[] = {toLane(some), toLane(fell), toLane(b.load(best, c0))};
      share = fromLane(
          policy.buildMaskValue(here(l), lanes[0], lanes[1], lanes[2]));
    }
    Value indices = b.local({experts}, b.getI32Type());
    Value values = b.local({experts}, b.getF32Type());
    b.loop(experts, [&](Value e) {
      Value is = b.load(chosen, e);
      b.store(b.select(is, b.toI32(e), b.i32(-1)), indices, e);
      b.store(share ? share : value(e), values, e);
    });
    emitWeights(token, indices, values);
  }

  void emitWeights(Value token, Value indices, Value values) {
    Value used = b.local({slots}, b.getI1Type());
    b.loop(slots, [&](Value slot) {
      Value is = b.cmp(Loops::Predicate::sge, b.load(indices, slot), b.i32(0));
      b.store(is, used, slot);
      b.store(b.select(is, b.load(values, slot), b.f32(0.0)), values, slot);
    });
    Block &body = op.getWeigh().front();
    SmallVector<Value> arguments{b.loadRow(values, b.idx(0), slots)};
    if (!op.getPolicy().fillsAllSlots(op.getExperts()))
      arguments.push_back(b.loadRow(used, b.idx(0), slots));
    for (Value table : op.getPerExpert()) {
      Value own = b.local({slots}, b.getF32Type());
      b.loop(slots, [&](Value slot) {
        Value is = b.load(used, slot);
        Value expert = b.select(is, b.load(indices, slot), b.i32(0));
        b.store(b.select(is, b.load(table, b.toIndex(expert)), b.f32(0.0)), own,
                slot);
      });
      arguments.push_back(b.loadRow(own, b.idx(0), slots));
    }
    Value weights = b.keep(b.inlineBody(body, arguments)[0]);
    b.loop(slots, [&](Value slot) {
      b.store(b.load(indices, slot), routing.indices, {token, slot});
      b.store(b.select(b.load(used, slot), b.load(weights, slot), b.f32(0.0)),
              routing.weights, {token, slot});
    });
    for (int64_t j = 0, n = op.getAlways(); j < n; ++j) {
      Value slot = b.idx(slots + j);
      b.store(b.i32(experts + j), routing.indices, {token, slot});
      b.store(op.getAlwaysWeights()
                  ? b.load(op.getAlwaysWeights(), {token, b.idx(j)})
                  : b.f32(1.0),
              routing.weights, {token, slot});
    }
  }

  /// All first slots in token order, then all second ones.
  void emitCapacity(Value tokens) {
    Value arrivals = b.buffer({experts}, b.getI32Type());
    Value capacity = b.i32(
        std::min<int64_t>(*op.getCapacity(), std::numeric_limits<int>::max()));
    b.loop(experts, [&](Value e) { b.store(b.i32(0), arrivals, e); });
    b.loop(slots, [&](Value slot) {
      b.loop(tokens, [&](Value token) {
        Value expert = b.load(routing.indices, {token, slot});
        Value used = b.cmp(Loops::Predicate::sge, expert, b.i32(0));
        Value at = b.toIndex(b.select(used, expert, b.i32(0)));
        Value before = b.load(arrivals, at);
        Value keep =
            b.both(used, b.cmp(Loops::Predicate::slt, before, capacity));
        Value one = arith::ExtUIOp::create(b, b.getI32Type(), keep);
        b.store(b.add(before, one), arrivals, at);
        b.store(b.select(keep, expert, b.i32(-1)), routing.indices,
                {token, slot});
        Value weight = b.load(routing.weights, {token, slot});
        b.store(b.select(keep, weight, b.f32(0.0)), routing.weights,
                {token, slot});
      });
    });
  }

  Loops &b;
  moek::RouteOp op;
  moe::SelectionPolicyAttrInterface policy;
  moek::RoutingParts routing;
  int64_t experts, slots;
};
} // namespace

LogicalResult acmec::lowerRoute(Loops &b, moek::RouteOp op) {
  b.trace("begin", "route");
  if (failed(Route(b, op).emit()))
    return failure();
  b.trace("end", "route");
  moek::RoutingParts routing = op.getRouting();
  b.trace("routing", "route",
          {routing.offsets, routing.indices, routing.weights});
  return success();
}
