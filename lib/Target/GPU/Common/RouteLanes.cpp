//===- RouteLanes.cpp - The choice of experts, a thread a token -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What routers compute is written for vectors of tokens, one expert after
// another: here with one lane, which is a thread. No branch depends on a score.
// This has every policy, and whatever scores are made of; where a team can
// share a token's experts (Route.cpp), that is quicker.
//
//===----------------------------------------------------------------------===//

#include "ThreadCode.h"

#include "moe-mlir/Target/GPU/Common/Kernels.h"
#include "moe-mlir/Target/Lanes/LaneRegion.h"
#include "moe-mlir/Target/Lanes/LaneWeights.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include "llvm/ADT/SetVector.h"

#include <limits>

using namespace mlir;
using namespace moe;

static constexpr int64_t kThreads = 32;

namespace {
/// The code for one token. It reads and writes what `op` does.
class Choice {
public:
  /// `logits` may be null.
  Choice(Emitter &e, moek::RouteOp op, Value logits, Value token)
      : e(e), op(op), policy(op.getPolicy()), experts(op.getExperts()),
        slots(op.getSelectedSlots()), logits(logits),
        token(token), l{{ImplicitLocOpBuilder(e), experts, slots, /*lanes=*/1},
                        {},
                        {},
                        {},
                        {}} {}

  void emit() {
    for (auto [i, operand] : llvm::enumerate(op.getPolicyOperands()))
      l.operands.push_back(policy.isTokenOperand(i) ? splatOf(operand, token)
                                                    : operand);
    emitScores();
    at();
    l.indices = l.scratch(slots, e.getI32Type());
    l.values = l.scratch(slots, e.getF32Type());
    if (policy.selectsByMask())
      emitMask();
    else
      emitList();
    Value weights = emitLaneWeights(e, op, l);
    moek::RoutingParts to = op.getRouting();
    e.loop(e.idx(slots), [&](Emitter &e, Value slot) {
      SmallVector<Value> from{slot, e.idx(0)}, place{token, slot};
      e.store(e.load(l.indices, from), to.indices, place);
      e.store(e.load(weights, from), to.weights, place);
    });
    for (int64_t i = 0; i < int64_t(op.getAlways()); ++i) {
      SmallVector<Value> place{token, e.idx(slots + i)};
      e.store(e.i32(experts + i), to.indices, place);
      Value weight = e.f32(1.0);
      if (Value given = op.getAlwaysWeights())
        weight = e.load(given, ValueRange{token, e.idx(i)});
      e.store(weight, to.weights, place);
    }
  }

private:
  /// Policies go on where the emitter is.
  void at() { l.b.restoreInsertionPoint(e.saveInsertionPoint()); }

  Value splatOf(Value memref, ValueRange place) {
    Value value = e.load(memref, place);
    return e.splat(value, e.vec(1, value.getType()));
  }

  Value load(Emitter &e, Value buffer, Value row, VectorType type) {
    return vector::LoadOp::create(e, type, buffer, ValueRange{row, e.idx(0)});
  }
  void store(Emitter &e, Value value, Value buffer, Value row) {
    vector::StoreOp::create(e, value, buffer, ValueRange{row, e.idx(0)});
  }

  void emitScores() {
    SmallVector<LaneLoader> loaders;
    auto add = [&](ValueRange memrefs, auto getPlace) {
      for (Value memref : memrefs)
        loaders.push_back([this, memref, getPlace](Emitter &e, Value row) {
          Value value = e.load(memref, getPlace(row));
          return Value(e.splat(value, l.f32Type()));
        });
    };
    using Place = SmallVector<Value>;
    auto ofToken = [this](Value row) { return Place{token, row}; };
    if (logits)
      add(logits, ofToken);
    add(op.getRows(), ofToken);
    add(op.getColumns(), [this](Value row) { return Place{row, token}; });
    add(op.getVectors(), [](Value row) { return Place{row}; });
    add(op.getScalars(), [this](Value) { return Place{token}; });
    Block &body = op.getScores().front();
    SmallVector<Value> results;
    at();
    for (size_t i = 0; i < body.getTerminator()->getNumOperands(); ++i)
      results.push_back(l.scratch(experts, e.getF32Type()));
    if (!results.empty())
      emitRegionInLanes(e, body, experts, /*lanes=*/1, loaders,
                        [&](Emitter &e, unsigned i, Value row, Value value) {
                          store(e, value, results[i], row);
                        });
    bool uses = policy.usesScores();
    if (uses)
      l.scores = results[0];
    if (results.size() > (uses ? 1 : 0))
      weigh = results.back();
  }

  void emitList() {
    at();
    policy.buildSelectLanes(l);
    if (policy.providesValues())
      return;
    e.loop(e.idx(slots), [&](Emitter &e, Value slot) {
      Value value = e.f32(1.0);
      if (weigh) {
        Value expert = e.load(l.indices, ValueRange{slot, e.idx(0)});
        Value safe = arith::MaxSIOp::create(e, expert, e.i32(0));
        value = e.load(weigh, ValueRange{e.toIndex(safe), e.idx(0)});
      }
      e.store(value, l.values, ValueRange{slot, e.idx(0)});
    });
  }

  /// Slot e is that of expert e.
  void emitMask() {
    VectorType floats = l.f32Type(), integers = l.i32Type();
    at();
    SmallVector<Value> state = policy.buildMaskState(l);
    Value none = l.i32(-1), zero = l.i32(0), one = l.i32(1);
    // How many are chosen, and the best: NaN is below all numbers, and expert 0
    // is the best of nothing.
    Value nan = l.f32(std::numeric_limits<double>::quiet_NaN());
    auto loop = scf::ForOp::create(e, e.idx(0), e.idx(experts), e.idx(1),
                                   ValueRange{zero, nan, zero});
    {
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      Value expert = loop.getInductionVar();
      ValueRange last = loop.getRegionIterArgs();
      at();
      Value score = l.scores ? load(e, l.scores, expert, floats) : l.f32(0.0);
      Value chosen = policy.buildMaskLanes(l, state, expert, score);
      Value number = l.splatIndex(expert);
      store(e, e.select(chosen, number, none), l.indices, expert);
      Value count = e.add(last[0], e.select(chosen, one, zero));
      Value above =
          arith::CmpFOp::create(e, arith::CmpFPredicate::UGT, score, last[1]);
      Value isNumber =
          arith::CmpFOp::create(e, arith::CmpFPredicate::ORD, score, score);
      Value better = arith::AndIOp::create(e, isNumber, above);
      scf::YieldOp::create(e,
                           ValueRange{count, e.select(better, score, last[1]),
                                      e.select(better, number, last[2])});
    }
    Value count = loop.getResult(0);
    Value fell = arith::ConstantOp::create(e, e.getZeroAttr(l.maskType()));
    if (policy.fallsBackToBest()) {
      fell = e.eq(count, zero);
      Value best = vector::ExtractOp::create(e, loop.getResult(2), 0);
      Value place = e.toIndex(best);
      Value own = load(e, l.indices, place, integers);
      store(e, e.select(fell, loop.getResult(2), own), l.indices, place);
    }
    at();
    Value share = l.f32(1.0);
    if (policy.providesValues()) {
      Value best = policy.fallsBackToBest() ? loop.getResult(1) : l.f32(0.0);
      Value least = arith::MaxSIOp::create(e, count, one);
      at();
      share = policy.buildMaskValue(l, least, fell, best);
    }
    e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
      Value used = e.cmp(arith::CmpIPredicate::sge,
                         load(e, l.indices, expert, integers), zero);
      Value value = weigh ? load(e, weigh, expert, floats) : share;
      store(e, e.select(used, value, e.zeros(floats)), l.values, expert);
    });
  }

  Emitter &e;
  moek::RouteOp op;
  SelectionPolicyAttrInterface policy;
  int64_t experts, slots;
  Value logits, token;
  LaneSelection l;
  /// The values to weigh by, or null.
  Value weigh;
};
} // namespace

bool gpu::canRouteInLanes(moek::RouteOp op) {
  return op.getPolicy().supportsLanes() &&
         canEmitInLanes(op.getScores().front()) &&
         canEmitInLanes(op.getWeigh().front());
}

FailureOr<LLVM::LLVMFuncOp>
gpu::buildRouteLanes(ModuleOp module, StringRef name, moek::RouteOp op,
                     Value logits, SmallVectorImpl<Value> &arguments) {
  // What the choice reads and writes.
  llvm::SetVector<Value> memrefs;
  if (logits)
    memrefs.insert(logits);
  for (ValueRange values :
       {ValueRange(op.getRows()), ValueRange(op.getColumns()),
        ValueRange(op.getVectors()), ValueRange(op.getScalars()),
        ValueRange(op.getPolicyOperands()), ValueRange(op.getPerExpert())})
    memrefs.insert(values.begin(), values.end());
  if (Value weights = op.getAlwaysWeights())
    memrefs.insert(weights);
  moek::RoutingParts routing = op.getRouting();
  memrefs.insert(routing.indices);
  memrefs.insert(routing.weights);

  // The operations it takes, on values around; they are never part of a module.
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(op.getLoc());
  OpBuilder top = OpBuilder::atBlockEnd(scratch->getBody());
  auto choice = func::FuncOp::create(
      top, op.getLoc(), "choice", top.getFunctionType(top.getIndexType(), {}));
  moe::Emitter e(op.getLoc(), top);
  e.setInsertionPointToStart(choice.addEntryBlock());
  Choice(e, op, logits, choice.getArgument(0)).emit();
  func::ReturnOp::create(e);

  gpu::Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types(memrefs.size(), code.pointer(kGlobal));
  types.push_back(code.i32());
  LLVM::LLVMFuncOp kernel = createKernel(code, module, name, types, kThreads);
  Value tokens = kernel.getArguments().back();
  Value token = code.add(code.mul(code.block(), kThreads), code.thread());
  LogicalResult result = success();
  code.when(code.isLess(token, tokens), [&] {
    ThreadCode thread(code);
    Value size = code.widen(tokens);
    for (auto [memref, base] : llvm::zip(memrefs, kernel.getArguments()))
      thread.setMemory(memref, base, size);
    thread.set(choice.getArgument(0),
               arith::IndexCastOp::create(code, code.getIndexType(), token));
    result = thread.emit(choice.getBody().front());
  });
  LLVM::ReturnOp::create(code, ValueRange());
  if (failed(result))
    return failure();
  llvm::append_range(arguments, memrefs);
  return kernel;
}
