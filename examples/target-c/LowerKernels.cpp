//===- LowerKernels.cpp - Kernels to scalar loops ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The pass, and the kernels that see a whole routing.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "moe/Moe.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

namespace acmec {
#define GEN_PASS_DEF_LOWERKERNELS
#include "Passes.h.inc"
} // namespace acmec

using namespace mlir;
using namespace acmec;

static constexpr int64_t kMost = std::numeric_limits<int32_t>::max();

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

Value Loops::convert(Value v, Type type) {
  unsigned have = v.getType().getIntOrFloatBitWidth();
  unsigned want = type.getIntOrFloatBitWidth();
  if (v.getType() == type)
    return v;
  return have < want ? arith::ExtFOp::create(*this, type, v).getResult()
                     : arith::TruncFOp::create(*this, type, v).getResult();
}

void Loops::store(Value v, Value memref, ValueRange at) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  if (isa<FloatType>(element))
    v = convert(v, element);
  memref::StoreOp::create(*this, v, memref, at);
}

Value Loops::local(ArrayRef<int64_t> shape, Type element) {
  // Where large ones are found that do not fit the stack: in a loop, each round
  // would have its own.
  Block *block = getInsertionBlock();
  while (!isa<scf::ParallelOp, FunctionOpInterface>(block->getParentOp()))
    block = block->getParentOp()->getBlock();
  InsertionGuard guard(*this);
  setInsertionPointToStart(block);
  return memref::AllocaOp::create(*this, MemRefType::get(shape, element));
}

void Loops::loop(Value from, Value to, Body body) {
  auto op = scf::ForOp::create(*this, from, to, idx(1));
  InsertionGuard guard(*this);
  setInsertionPointToStart(op.getBody());
  body(op.getInductionVar());
}

Value Loops::fold(Value from, Value to, Value start, Step step) {
  auto op = scf::ForOp::create(*this, from, to, idx(1), ValueRange{start});
  InsertionGuard guard(*this);
  setInsertionPointToStart(op.getBody());
  Value next = step(op.getInductionVar(), op.getRegionIterArg(0));
  scf::YieldOp::create(*this, next);
  return op.getResult(0);
}

void Loops::parallel(Value items, Body body) {
  auto op = scf::ParallelOp::create(*this, ValueRange{idx(0)},
                                    ValueRange{items}, ValueRange{idx(1)});
  InsertionGuard guard(*this);
  setInsertionPointToStart(op.getBody());
  body(op.getInductionVars()[0]);
}

void Loops::ifThen(Value condition, function_ref<void()> then) {
  auto op = scf::IfOp::create(*this, condition, /*withElseRegion=*/false);
  InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  then();
}

Value Loops::ifElse(Value condition, Value otherwise,
                    function_ref<Value()> then) {
  auto op = scf::IfOp::create(*this, TypeRange{otherwise.getType()}, condition,
                              /*withElseRegion=*/true);
  InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  Value value = then();
  scf::YieldOp::create(*this, value);
  setInsertionPointToStart(op.elseBlock());
  scf::YieldOp::create(*this, otherwise);
  return op.getResult(0);
}

Value Loops::loadRow(Value from, ValueRange at, int64_t size) {
  Type element = cast<MemRefType>(from.getType()).getElementType();
  return vector::LoadOp::create(*this, VectorType::get({size}, element), from,
                                at);
}

Value Loops::keep(Value vector) {
  auto type = cast<VectorType>(vector.getType());
  Value row = local(type.getShape(), type.getElementType());
  vector::StoreOp::create(*this, vector, row, ValueRange{idx(0)});
  return row;
}

void Loops::trace(StringRef kind, StringRef phase, ValueRange routing) {
  SmallVector<Value> buffers;
  for (Value buffer : routing) {
    auto type = cast<MemRefType>(buffer.getType());
    buffers.push_back(buffer);
    if (type.getLayout().isIdentity())
      continue;
    // Part of the rows of a larger one.
    int64_t columns = type.getDimSize(1);
    Value rows = dim(buffer, 0);
    Value copy = this->buffer({ShapedType::kDynamic, columns},
                              type.getElementType(), rows);
    loop(rows, [&](Value row) {
      loop(columns, [&](Value column) {
        store(load(buffer, {row, column}), copy, {row, column});
      });
    });
    buffers.back() = copy;
  }
  moert::TraceOp::create(*this, getStringAttr(kind), getStringAttr(phase),
                         buffers);
}

SmallVector<Value> Loops::inlineBody(Block &body, ValueRange arguments) {
  IRMapping mapping;
  mapping.map(body.getArguments(), arguments);
  for (Operation &op : body.without_terminator())
    clone(op, mapping);
  SmallVector<Value> yielded;
  for (Value value : body.getTerminator()->getOperands())
    yielded.push_back(mapping.lookupOrDefault(value));
  return yielded;
}

//===----------------------------------------------------------------------===//
// What kernels share
//===----------------------------------------------------------------------===//

Value acmec::emitKey(Loops &b, Value score) {
  // -0 + 0 is +0. Negative floats ascend with their bits flipped.
  Value sum = b.addf(score, b.f32(0.0));
  Value bits = arith::BitcastOp::create(b, b.getI32Type(), sum);
  Value sign = b.op<arith::ShRSIOp>(bits, b.i32(31));
  Value key = b.op<arith::XOrIOp>(bits, b.op<arith::ShRUIOp>(sign, b.i32(1)));
  Value isNaN = b.cmp(Loops::FloatPredicate::UNO, sum, sum);
  return b.select(isNaN, b.i32(std::numeric_limits<int32_t>::min()), key);
}

void acmec::emitRanks(Loops &b, Value count, function_ref<Value(Value)> key,
                      function_ref<void(Value, Value)> place) {
  b.loop(count, [&](Value i) {
    Value own = key(i);
    Value rank = b.fold(count, b.i32(0), [&](Value j, Value rank) {
      Value other = key(j);
      Value before = b.either(b.cmp(Loops::Predicate::sgt, other, own),
                              b.both(b.cmp(Loops::Predicate::eq, other, own),
                                     b.cmp(Loops::Predicate::ult, j, i)));
      return b.add(rank, arith::ExtUIOp::create(b, b.getI32Type(), before));
    });
    place(i, rank);
  });
}

void acmec::emitLists(Loops &b, const moek::RoutingParts &routing,
                      int64_t experts, int64_t slots) {
  Value tokens = b.dim(routing.indices, 0);
  // Calls `body` for what is used, in token order.
  auto overUsed = [&](function_ref<void(ValueRange at, Value expert)> body,
                      bool mark) {
    b.loop(tokens, [&](Value token) {
      b.loop(slots, [&](Value slot) {
        Value at[] = {token, slot};
        if (mark)
          b.store(b.i32(-1), routing.positions, at);
        Value expert = b.load(routing.indices, at);
        // As unsigned, -1 is large.
        Value used = b.cmp(Loops::Predicate::ult, expert, b.i32(experts));
        auto branch = scf::IfOp::create(b, used, /*withElse=*/false);
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(branch.thenBlock());
        body(at, b.toIndex(expert));
      });
    });
  };
  // The next row of each expert.
  Value cursors = b.buffer({experts}, b.getI32Type());
  b.loop(experts, [&](Value e) { b.store(b.i32(0), cursors, e); });
  auto next = [&](Value expert) {
    Value old = b.load(cursors, expert);
    b.store(b.add(old, b.i32(1)), cursors, expert);
    return old;
  };
  overUsed([&](ValueRange, Value expert) { next(expert); }, /*mark=*/false);
  Value end = b.idx(experts);
  b.store(b.i32(0), routing.active, end);
  Value rows = b.fold(end, b.i32(0), [&](Value e, Value offset) {
    Value count = b.load(cursors, e);
    b.store(offset, routing.offsets, e);
    b.store(offset, cursors, e);
    // Written always, kept only if the expert has rows.
    Value active = b.load(routing.active, end);
    b.store(b.toI32(e), routing.active, b.toIndex(active));
    Value some = b.cmp(Loops::Predicate::sgt, count, b.i32(0));
    Value one = arith::ExtUIOp::create(b, b.getI32Type(), some);
    b.store(b.add(active, one), routing.active, end);
    return b.add(offset, count);
  });
  b.store(rows, routing.offsets, end);
  overUsed(
      [&](ValueRange at, Value expert) {
        Value row = next(expert);
        b.store(row, routing.positions, at);
        b.store(b.toI32(at[0]), routing.tokens, b.toIndex(row));
        b.store(b.load(routing.weights, at), routing.rowWeights,
                b.toIndex(row));
      },
      /*mark=*/true);
}

static void lowerIndex(Loops &b, moek::IndexOp op) {
  moek::RoutingParts routing = op.getRouting();
  b.trace("begin", "route");
  emitLists(b, routing, op.getExperts(),
            cast<MemRefType>(op.getIndices().getType()).getDimSize(1));
  b.trace("end", "route");
  if (op.getTraced())
    b.trace("routing", "route",
            {routing.offsets, routing.indices, routing.weights});
}

//===----------------------------------------------------------------------===//
// moek.limit
//===----------------------------------------------------------------------===//

/// What an expert keeps of a group of `tokens`, an i32.
static Value emitCapacity(Loops &b, moek::LimitOp op, Value tokens,
                          int64_t slots) {
  if (op.getCapacity())
    return b.i32(std::min<int64_t>(*op.getCapacity(), kMost));
  Type f64 = b.getF64Type();
  auto number = [&](double v) -> Value {
    return arith::ConstantOp::create(b, b.getF64FloatAttr(v));
  };
  Value places = arith::UIToFPOp::create(
      b, f64, b.indexCast(b.mul(tokens, slots), b.getI64Type()));
  Value exact =
      b.divf(b.mulf(places, number(op.getFactor()->convertToDouble())),
             number(static_cast<double>(op.getExperts())));
  switch (op.getRounding()) {
  case moe::Rounding::Ceil:
    exact = math::CeilOp::create(b, exact);
    break;
  case moe::Rounding::Floor:
    exact = math::FloorOp::create(b, exact);
    break;
  case moe::Rounding::Nearest:
    exact = math::RoundEvenOp::create(b, exact);
    break;
  }
  // More than can arrive is all the same.
  exact = b.op<arith::MinNumFOp>(exact, number(kMost));
  return b.op<arith::MaxSIOp>(arith::FPToSIOp::create(b, b.getI32Type(), exact),
                              b.i32(std::min<int64_t>(op.getMinimum(), kMost)));
}

static void lowerLimit(Loops &b, moek::LimitOp op) {
  int64_t slots = cast<MemRefType>(op.getIndices().getType()).getDimSize(1);
  int64_t experts = op.getExperts();
  moe::Drop drop = op.getDrop();
  Value tokens = b.dim(op.getIndices(), 0);
  Value size = tokens, groups = b.least(tokens, b.idx(1));
  if (op.getGroupSize()) {
    int64_t fixed = *op.getGroupSize();
    size = b.idx(fixed);
    groups = b.div(b.add(tokens, fixed - 1), fixed);
  }
  auto perGroup = {ShapedType::kDynamic, experts};
  Value arrivals = b.buffer(perGroup, b.getI32Type(), groups);
  // Which token, or place of a token, comes next.
  bool byPlace = drop == moe::Drop::Probability;
  Value order = b.buffer({ShapedType::kDynamic}, b.getI32Type(),
                         byPlace ? b.mul(tokens, slots) : tokens);
  b.trace("begin", "route");
  b.parallel(groups, [&](Value group) {
    Value first = b.op<arith::MulIOp>(group, size);
    Value count = b.least(b.sub(tokens, first), size);
    Value capacity = emitCapacity(b, op, count, slots);
    b.loop(experts, [&](Value e) { b.store(b.i32(0), arrivals, {group, e}); });
    auto arrive = [&](Value token, Value slot) {
      Value at[] = {token, slot};
      Value expert = b.load(op.getIndices(), at);
      Value used = b.cmp(Loops::Predicate::ult, expert, b.i32(experts));
      Value counter[] = {group, b.toIndex(b.select(used, expert, b.i32(0)))};
      Value before = b.load(arrivals, counter);
      Value keep = b.both(used, b.cmp(Loops::Predicate::slt, before, capacity));
      Value one = arith::ExtUIOp::create(b, b.getI32Type(), keep);
      b.store(b.add(before, one), arrivals, counter);
      Value weight = b.load(op.getWeights(), at);
      b.store(b.select(keep, expert, b.i32(-1)), op.getOutputs()[0], at);
      b.store(b.select(keep, weight, b.f32(0.0)), op.getOutputs()[1], at);
    };
    if (byPlace) {
      Value base = b.mul(first, slots), places = b.mul(count, slots);
      emitRanks(
          b, places,
          [&](Value i) {
            Value place = b.add(base, i);
            return emitKey(b, b.load(op.getWeights(), {b.div(place, slots),
                                                       b.rem(place, slots)}));
          },
          [&](Value i, Value rank) {
            b.store(b.toI32(b.add(base, i)), order,
                    b.add(base, b.toIndex(rank)));
          });
      b.loop(places, [&](Value i) {
        Value place = b.loadIndex(order, b.add(base, i));
        arrive(b.div(place, slots), b.rem(place, slots));
      });
      return;
    }
    if (drop == moe::Drop::BatchPriority)
      emitRanks(
          b, count,
          [&](Value i) {
            return emitKey(b, b.load(op.getPriority(), b.add(first, i)));
          },
          [&](Value i, Value rank) {
            b.store(b.toI32(b.add(first, i)), order,
                    b.add(first, b.toIndex(rank)));
          });
    b.loop(slots, [&](Value slot) {
      b.loop(count, [&](Value i) {
        Value token = b.add(first, i);
        if (drop == moe::Drop::BatchPriority)
          token = b.loadIndex(order, token);
        arrive(token, slot);
      });
    });
  });
  b.trace("end", "route");
}

//===----------------------------------------------------------------------===//
// moek.expert_choice, moek.sinkhorn, moek.verify_routing
//===----------------------------------------------------------------------===//

static void lowerExpertChoice(Loops &b, moek::ExpertChoiceOp op) {
  int64_t experts = cast<MemRefType>(op.getScores().getType()).getDimSize(1);
  Value tokens = b.dim(op.getScores(), 0);
  Value capacity = b.toI32(b.least(op.getCapacity(), tokens));
  b.trace("begin", "route");
  b.parallel(b.idx(experts), [&](Value expert) {
    emitRanks(
        b, tokens,
        [&](Value token) {
          return emitKey(b, b.load(op.getScores(), {token, expert}));
        },
        [&](Value token, Value rank) {
          Value chosen = b.cmp(Loops::Predicate::slt, rank, capacity);
          b.store(b.select(chosen, b.toI32(expert), b.i32(-1)),
                  op.getOutputs()[0], {token, expert});
        });
  });
  b.trace("end", "route");
}

static void lowerSinkhorn(Loops &b, moek::SinkhornOp op) {
  Type f32 = b.getF32Type();
  int64_t experts = cast<MemRefType>(op.getScores().getType()).getDimSize(1);
  Value tokens = b.dim(op.getScores(), 0), columns = b.idx(experts);
  Value plan = op.getOutputs()[0];
  b.trace("begin", "route");
  Value c = b.buffer({ShapedType::kDynamic, experts}, f32, tokens);
  Value d0 = b.buffer({ShapedType::kDynamic}, f32, tokens);
  Value d1 = b.buffer({experts}, f32);
  auto overAll = [&](function_ref<void(ValueRange)> body) {
    b.loop(tokens, [&](Value token) {
      b.loop(columns, [&](Value e) { body({token, e}); });
    });
  };
  // The largest number below infinity, or 0: what is scaled by it cannot
  // overflow.
  Value shift = b.fold(tokens, b.f32(0.0), [&](Value token, Value best) {
    return b.fold(columns, best, [&](Value e, Value best) {
      Value z = b.load(op.getScores(), {token, e});
      Value infinity = b.f32(std::numeric_limits<double>::infinity());
      Value above = b.both(b.cmp(Loops::FloatPredicate::OGT, z, best),
                           b.cmp(Loops::FloatPredicate::OLT, z, infinity));
      return b.select(above, z, best);
    });
  });
  auto exp = [&](Value v) -> Value { return math::ExpOp::create(b, v); };
  auto minus = [&](Value x, Value y) { return b.op<arith::SubFOp>(x, y); };
  Value eps = b.mulf(b.f32(1e-8), exp(minus(b.f32(0.0), shift)));
  overAll([&](ValueRange at) {
    b.store(exp(minus(b.load(op.getScores(), at), shift)), c, at);
  });
  b.loop(columns, [&](Value e) { b.store(b.f32(1.0), d1, e); });

  Value byToken = b.divf(
      b.f32(1.0),
      arith::UIToFPOp::create(b, f32, b.indexCast(tokens, b.getI64Type())));
  Value limit = b.i32(std::min<int64_t>(op.getIterations(), kMost));
  auto loop =
      scf::WhileOp::create(b, TypeRange{b.getI32Type()}, ValueRange{b.i32(0)});
  {
    OpBuilder::InsertionGuard guard(b);
    Block *before =
        b.createBlock(&loop.getBefore(), {}, {b.getI32Type()}, {b.getLoc()});
    b.loop(tokens, [&](Value token) {
      Value sum = b.fold(columns, b.f32(0.0), [&](Value e, Value sum) {
        return b.addf(sum, b.mulf(b.load(c, {token, e}), b.load(d1, e)));
      });
      b.store(b.divf(byToken, b.addf(sum, eps)), d0, token);
    });
    Value error = b.fold(columns, b.f32(0.0), [&](Value e, Value error) {
      Value sum = b.fold(tokens, b.f32(0.0), [&](Value token, Value sum) {
        return b.addf(sum, b.mulf(b.load(c, {token, e}), b.load(d0, token)));
      });
      Value next = b.divf(b.f32(1.0 / experts), b.addf(sum, b.f32(1e-8)));
      Value change = math::AbsFOp::create(b, minus(b.load(d1, e), next));
      b.store(next, d1, e);
      return b.addf(error, change);
    });
    error = b.divf(error, b.f32(static_cast<double>(experts)));
    // A NaN is not above the tolerance.
    Value far = b.cmp(Loops::FloatPredicate::OGT, error,
                      b.f32(op.getTolerance().convertToDouble()));
    Value done = b.add(before->getArgument(0), b.i32(1));
    Value more = b.both(far, b.cmp(Loops::Predicate::slt, done, limit));
    scf::ConditionOp::create(b, more, ValueRange{done});
    Block *after =
        b.createBlock(&loop.getAfter(), {}, {b.getI32Type()}, {b.getLoc()});
    scf::YieldOp::create(b, ValueRange{after->getArgument(0)});
  }
  overAll([&](ValueRange at) {
    Value scaled = b.mulf(b.load(d1, at[1]), b.load(c, at));
    b.store(b.mulf(scaled, b.load(d0, at[0])), plan, at);
  });
  b.trace("end", "route");
}

static void lowerVerifyRouting(Loops &b, moek::VerifyRoutingOp op) {
  int64_t slots = cast<MemRefType>(op.getIndices().getType()).getDimSize(1);
  b.trace("begin", "check");
  Value ok = b.fold(
      b.dim(op.getIndices(), 0), b.bit(true), [&](Value token, Value ok) {
        return b.fold(b.idx(slots), ok, [&](Value slot, Value ok) {
          Value expert = b.load(op.getIndices(), {token, slot});
          // From -1 on.
          Value inside = b.cmp(Loops::Predicate::ule, b.add(expert, b.i32(1)),
                               b.i32(op.getExperts()));
          Value unused = b.cmp(Loops::Predicate::slt, expert, b.i32(0));
          ok = b.both(ok, inside);
          return b.fold(slot, ok, [&](Value earlier, Value ok) {
            Value other = b.load(op.getIndices(), {token, earlier});
            Value differs = b.cmp(Loops::Predicate::ne, other, expert);
            return b.both(ok, b.either(unused, differs));
          });
        });
      });
  b.trace("end", "check");
  op.getOk().replaceAllUsesWith(ok);
}

namespace {
struct LowerKernels : acmec::impl::LowerKernelsBase<LowerKernels> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<moek::MoekDialect>(op->getDialect()) && !isa<moek::YieldOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      Loops b(op->getLoc(), op);
      LogicalResult result =
          llvm::TypeSwitch<Operation *, LogicalResult>(op)
              .Case([&](moek::RouteOp op) { return lowerRoute(b, op); })
              .Case<moek::GroupedMatmulOp>([&](auto op) {
                lowerGroupedMatmul(b, op);
                return success();
              })
              .Case<moek::GatherOp>([&](auto op) {
                lowerGather(b, op);
                return success();
              })
              .Case<moek::CombineOp>([&](auto op) {
                lowerCombine(b, op);
                return success();
              })
              .Case<moek::RowMapOp>([&](auto op) {
                lowerRowMap(b, op);
                return success();
              })
              .Case<moek::WindowOp>([&](auto op) {
                lowerWindow(b, op);
                return success();
              })
              .Case<moek::IndexOp>([&](auto op) {
                lowerIndex(b, op);
                return success();
              })
              .Case<moek::LimitOp>([&](auto op) {
                lowerLimit(b, op);
                return success();
              })
              .Case<moek::ExpertChoiceOp>([&](auto op) {
                lowerExpertChoice(b, op);
                return success();
              })
              .Case<moek::SinkhornOp>([&](auto op) {
                lowerSinkhorn(b, op);
                return success();
              })
              .Case<moek::VerifyRoutingOp>([&](auto op) {
                lowerVerifyRouting(b, op);
                return success();
              })
              .Default([](Operation *op) {
                return op->emitOpError("has no form in C yet");
              });
      if (failed(result))
        return signalPassFailure();
      op->erase();
    }
  }
};
} // namespace
