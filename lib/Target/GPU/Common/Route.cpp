//===- Route.cpp - Scores, and the choice of experts ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Logits are products in f32, each the sum of 32 lanes' sums, so that their
// bits do not depend on how many tokens there are. Then a team has a token: the
// regions of the router and the policy's selection, which are written on
// vectors of experts, run on its lanes.
//
//===----------------------------------------------------------------------===//

#include "TeamVectors.h"

#include "moe-mlir/Target/GPU/Common/Kernels.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;
using gpu::kTeam;
using gpu::TeamVectors;

LLVM::LLVMFuncOp gpu::buildLogits(ModuleOp module, StringRef name,
                                  int64_t experts, int64_t depth,
                                  int64_t tokensOfTeam, int64_t expertsOfTeam,
                                  int64_t teams) {
  Emitter code(module.getLoc(), module.getContext());
  Type memory = code.pointer(kGlobal);
  LLVM::LLVMFuncOp func = createKernel(
      code, module, name, {memory, memory, memory, code.i32()}, teams * kTeam);
  auto args = func.getArguments();
  Value x = args[0], router = args[1], out = args[2], tokens = args[3];
  Value lane = code.bitAnd(code.thread(), 31);
  Value warp = code.broadcast(code.shr(code.thread(), 5), 0);
  int64_t groups = (experts + expertsOfTeam - 1) / expertsOfTeam;
  Value task = code.add(code.mul(code.block(), teams), warp);
  Value group = code.div(task, code.constant(groups));
  Value firstToken = code.mul(group, tokensOfTeam);
  Value firstExpert =
      code.mul(code.sub(task, code.mul(group, groups)), expertsOfTeam);
  // A lane has neighbouring values, and the team those of all lanes in a step.
  int64_t width = depth % 4 == 0 ? 4 : depth % 2 == 0 ? 2 : 1;
  int64_t ofStep = kTeam * width;
  code.when(code.isLess(firstToken, tokens), [&] {
    auto rows = [&](Value base, Value first, int64_t count, Value end) {
      SmallVector<Value> result;
      for (int64_t i = 0; i < count; ++i) {
        Value row = code.min(code.add(first, i), code.add(end, -1));
        result.push_back(
            code.at(base, code.add(code.mul(code.widen(row), depth * 4),
                                   code.widen(code.mul(lane, width * 4)))));
      }
      return result;
    };
    SmallVector<Value> lefts = rows(x, firstToken, tokensOfTeam, tokens);
    SmallVector<Value> rights =
        rows(router, firstExpert, expertsOfTeam, code.constant(experts));
    Value zero = arith::ConstantOp::create(code, code.getF32FloatAttr(0));
    auto load = [&](Value from) {
      return code.widenFloats(code.loadFloats(code.f32(), from, width));
    };
    // Steps in order, whose loads are in flight together.
    auto multiply = [&](Value from, ValueRange sums, int64_t steps = 1) {
      SmallVector<SmallVector<Value>> a, b;
      for (int64_t step = 0; step < steps; ++step) {
        Value at = code.add(from, step * ofStep * 4);
        for (Value left : lefts)
          a.push_back(load(code.at(left, at)));
        for (Value right : rights)
          b.push_back(load(code.at(right, at)));
      }
      SmallVector<Value> next(sums);
      for (int64_t step = 0; step < steps; ++step)
        for (int64_t t = 0; t < tokensOfTeam; ++t)
          for (int64_t e = 0; e < expertsOfTeam; ++e)
            for (int64_t i = 0; i < width; ++i) {
              Value &sum = next[t * expertsOfTeam + e];
              sum = LLVM::FMAOp::create(code, a[step * tokensOfTeam + t][i],
                                        b[step * expertsOfTeam + e][i], sum);
            }
      return next;
    };
    SmallVector<Value> sums(tokensOfTeam * expertsOfTeam, zero);
    int64_t steps = depth / ofStep, done = 0;
    // Registers for eight steps of a few rows.
    for (int64_t ahead : {tokensOfTeam + expertsOfTeam <= 3 ? 8 : 1, 1}) {
      int64_t groups = (steps - done) / ahead;
      if (groups)
        sums = code.loop(
            code.constant(done / ahead), code.constant(done / ahead + groups),
            code.constant(1), sums, [&](Value group, ValueRange sums) {
              return multiply(code.mul(group, ahead * ofStep * 4), sums, ahead);
            });
      done += groups * ahead;
    }
    if (int64_t rest = depth % ofStep) {
      auto last = scf::IfOp::create(
          code, TypeRange(ValueRange(sums)),
          code.isLess(lane, code.constant(rest / width)), true);
      OpBuilder::InsertionGuard guard(code);
      code.setInsertionPointToStart(last.thenBlock());
      scf::YieldOp::create(code,
                           multiply(code.constant(steps * ofStep * 4), sums));
      code.setInsertionPointToStart(last.elseBlock());
      scf::YieldOp::create(code, sums);
      sums = SmallVector<Value>(last.getResults());
    }
    for (int64_t t = 0; t < tokensOfTeam; ++t)
      for (int64_t e = 0; e < expertsOfTeam; ++e) {
        Value sum = sums[t * expertsOfTeam + e];
        for (int64_t bits = 16; bits; bits /= 2)
          sum = arith::AddFOp::create(code, sum, code.exchange(sum, bits));
        Value token = code.add(firstToken, t);
        Value expert = code.add(firstExpert, e);
        Value stores =
            code.both(code.both(code.isLess(token, tokens),
                                code.isLess(expert, code.constant(experts))),
                      code.isEqual(lane, (t * expertsOfTeam + e) % 32));
        code.storeIf(
            stores, LLVM::BitcastOp::create(code, code.i32(), sum),
            code.at(out, code.mul(code.add(code.mul(code.widen(token), experts),
                                           code.widen(expert)),
                                  4)));
      }
  });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}

bool gpu::canSelect(moek::RouteOp op) {
  if (!op.getColumns().empty() || !op.getScalars().empty() ||
      !op.getPolicyOperands().empty() || op.getAlwaysWeights())
    return false;
  // Tried, in a module that nobody sees.
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(op.getLoc());
  ImplicitLocOpBuilder b(op.getLoc(), op.getContext());
  b.setInsertionPointToEnd(scratch->getBody());
  auto type = VectorType::get({int64_t(op.getExperts())}, b.getF32Type());
  Value scores = arith::ConstantOp::create(b, b.getZeroAttr(type));
  moe::SelectionPolicyAttrInterface policy = op.getPolicy();
  return bool(policy.buildSelect(
      b, op.getLoc(), policy.usesScores() ? scores : Value(), ValueRange()));
}

/// The choice for one token as a function of vectors: of what `op` reads of it,
/// in order, to the experts and their weights.
static func::FuncOp buildChoice(OpBuilder &top, moek::RouteOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), top);
  int64_t experts = op.getExperts(), slots = op.getSelectedSlots();
  auto policy = op.getPolicy();
  auto floats = VectorType::get({slots}, b.getF32Type());
  auto integers = VectorType::get({slots}, b.getI32Type());
  int64_t inputs = bool(op.getX()) + op.getRows().size() +
                   op.getVectors().size() + op.getPerExpert().size();
  SmallVector<Type> types(inputs, VectorType::get({experts}, b.getF32Type()));
  auto func = func::FuncOp::create(
      b, "choice", b.getFunctionType(types, {integers, floats}));
  b.setInsertionPointToStart(func.addEntryBlock());
  ValueRange all = func.getArguments();
  auto inlined = [&](Region &region, ValueRange arguments) {
    IRMapping map;
    map.map(region.getArguments(), arguments);
    for (Operation &inner : region.front().without_terminator())
      b.clone(inner, map);
    SmallVector<Value> results;
    for (Value value : region.front().getTerminator()->getOperands())
      results.push_back(map.lookupOrDefault(value));
    return results;
  };
  int64_t scored = inputs - op.getPerExpert().size();
  SmallVector<Value> yielded = inlined(op.getScores(), all.take_front(scored));
  bool uses = policy.usesScores();
  moe::SelectedExperts chosen = policy.buildSelect(
      b, op.getLoc(), uses ? yielded[0] : Value(), ValueRange());
  assert(chosen && "canSelect looks whether the policy has such a form");
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(integers));
  Value used =
      arith::CmpIOp::create(b, arith::CmpIPredicate::sge, chosen.experts, none);
  bool full = policy.fillsAllSlots(experts);
  Value zeros = arith::ConstantOp::create(b, b.getZeroAttr(floats));
  auto ifUsed = [&](Value value) -> Value {
    return full ? value : Value(arith::SelectOp::create(b, used, value, zeros));
  };
  // What `table` has for the experts.
  auto lookUp = [&](Value table) {
    Value result = zeros;
    for (int64_t slot = 0; slot < slots; ++slot) {
      Value expert = vector::ExtractOp::create(b, chosen.experts, slot);
      Value safe = arith::MaxSIOp::create(
          b, expert, arith::ConstantIntOp::create(b, b.getI32Type(), 0));
      Value at = arith::IndexCastOp::create(b, b.getIndexType(), safe);
      Value value = vector::ExtractOp::create(b, table, OpFoldResult(at));
      result = vector::InsertOp::create(b, value, result, slot);
    }
    return ifUsed(result);
  };
  SmallVector<Value> arguments;
  if (policy.providesValues())
    arguments.push_back(ifUsed(chosen.values));
  else if (yielded.size() > (uses ? 1 : 0))
    arguments.push_back(lookUp(yielded.back()));
  else
    arguments.push_back(ifUsed(arith::ConstantOp::create(
        b, DenseElementsAttr::get(floats, b.getF32FloatAttr(1)))));
  if (!full)
    arguments.push_back(used);
  for (Value table : all.drop_front(scored))
    arguments.push_back(lookUp(table));
  Value weights = inlined(op.getWeigh(), arguments).front();
  func::ReturnOp::create(b, ValueRange{chosen.experts, ifUsed(weights)});
  return func;
}

FailureOr<LLVM::LLVMFuncOp> gpu::buildSelect(ModuleOp module, StringRef name,
                                             moek::RouteOp op, int64_t teams) {
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(op.getLoc());
  OpBuilder top = OpBuilder::atBlockEnd(scratch->getBody());
  func::FuncOp choice = buildChoice(top, op);

  Emitter code(module.getLoc(), module.getContext());
  Block &body = choice.getBody().front();
  int64_t inputs = body.getNumArguments();
  SmallVector<Type> types(inputs + 2, code.pointer(kGlobal));
  types.push_back(code.i32());
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, types, teams * kTeam);
  auto args = func.getArguments();
  Value lane = code.bitAnd(code.thread(), 31);
  Value warp = code.broadcast(code.shr(code.thread(), 5), 0);
  Value token = code.add(code.mul(code.block(), teams), warp);
  int64_t experts = op.getExperts(), slots = op.getSelectedSlots();
  int64_t ofTokens = bool(op.getX()) + op.getRows().size();
  LogicalResult result = success();
  code.when(code.isLess(token, args.back()), [&] {
    TeamVectors vectors(code, lane);
    for (auto [i, argument] : llvm::enumerate(body.getArguments())) {
      Value row = int64_t(i) < ofTokens ? token : code.constant(0);
      vectors.set(argument, vectors.load(args[i], code.f32(), row, experts));
    }
    result = vectors.emit(body);
    if (failed(result))
      return;
    auto getPlace = [&](Value slot) {
      Value row = code.mul(code.widen(token), op.getTotalSlots());
      return code.mul(code.add(row, code.widen(slot)), 4);
    };
    // Experts that every token takes are in the last slots, with weight 1.
    for (int64_t i = 0; i < int64_t(op.getAlways()); ++i) {
      Value own = code.isEqual(lane, i % 32);
      Value at = getPlace(code.constant(slots + i));
      code.storeIf(own, code.constant(experts + i), code.at(args[inputs], at));
      code.storeIf(own, code.constant(0x3f800000),
                   code.at(args[inputs + 1], at));
    }
    for (auto [to, value] :
         llvm::zip(args.slice(inputs, 2), body.getTerminator()->getOperands()))
      vectors.store(vectors.get(value), to, token, slots, op.getTotalSlots());
  });
  LLVM::ReturnOp::create(code, ValueRange());
  if (failed(result))
    return failure();
  return func;
}
