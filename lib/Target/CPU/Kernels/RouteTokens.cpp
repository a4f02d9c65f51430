//===- RouteTokens.cpp - Routing one token after another -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The default form of moek.route: one token at a time, on a vector of all its
// experts. For policies without a form in lanes, such as those of plugins, and
// for regions that lanes cannot compute.
//
//===----------------------------------------------------------------------===//

#include "Lowerings.h"
#include "PackRouting.h"

using namespace mlir;
using namespace moe;

/// Tokens below which selecting is not worth a second thread.
static constexpr int64_t kSelectTokens = 16;

/// Clones a region of whole-row vectors; returns what it yields.
static SmallVector<Value> inlineBody(Emitter &e, Block &body,
                                     ValueRange arguments) {
  IRMapping map;
  map.map(body.getArguments(), arguments);
  for (Operation &op : body.without_terminator())
    e.clone(op, map);
  SmallVector<Value> yielded;
  for (Value v : body.getTerminator()->getOperands())
    yielded.push_back(map.lookupOrDefault(v));
  return yielded;
}

/// Scores, selects and weighs one token.
static LogicalResult emitToken(Emitter &e, moek::RouteOp op, Value logits,
                               Value scratch, Value token) {
  SelectionPolicyAttrInterface policy = op.getPolicy();
  int64_t experts = op.getExperts(), slots = op.getSelectedSlots();
  VectorType rowType = e.vecF32(experts);
  VectorType valuesType = e.vecF32(slots);
  VectorType indexType = e.vec(slots, e.getI32Type());
  Value c0 = e.idx(0);
  SmallVector<Value> arguments;
  auto load = [&](Value from, ValueRange at) {
    arguments.push_back(vector::LoadOp::create(e, rowType, from, at));
  };
  if (logits)
    load(logits, ValueRange{token, c0});
  for (Value rows : op.getRows())
    load(rows, ValueRange{token, c0});
  for (Value columns : op.getColumns()) {
    e.loop(e.idx(experts), [&](Emitter &e, Value expert) {
      e.store(e.load(columns, ValueRange{expert, token}), scratch,
              ValueRange{expert});
    });
    load(scratch, ValueRange{c0});
  }
  for (Value vector : op.getVectors())
    load(vector, ValueRange{c0});
  for (Value scalars : op.getScalars())
    arguments.push_back(e.load(scalars, ValueRange{token}));
  SmallVector<Value> scores = inlineBody(e, op.getScores().front(), arguments);
  SmallVector<Value> operands;
  for (auto [i, operand] : llvm::enumerate(op.getPolicyOperands()))
    operands.push_back(policy.isTokenOperand(i)
                           ? e.load(operand, ValueRange{token})
                           : operand);
  bool uses = policy.usesScores();
  SelectedExperts chosen =
      policy.buildSelect(e, e.getLoc(), uses ? scores[0] : Value(), operands);
  if (!chosen)
    return op.emitOpError()
           << "cannot be compiled: " << policy
           << " has neither buildSelect nor a lanes form that fits; it needs "
              "one, and regions of constants, elementwise ops, reductions and "
              "broadcasts for the latter";
  Value used =
      e.cmp(arith::CmpIPredicate::sge, chosen.experts, e.zeros(indexType));
  // What `from` holds for the chosen experts, 0 in unused slots.
  auto gather = [&](Value from) -> Value {
    Value gathered = e.zeros(valuesType);
    for (int64_t slot = 0; slot < slots; ++slot) {
      Value expert = vector::ExtractOp::create(e, chosen.experts, slot);
      Value safe = arith::MaxSIOp::create(e, expert, e.i32(0));
      Value value = e.load(from, ValueRange{e.toIndex(safe)});
      gathered = vector::InsertOp::create(e, value, gathered, slot);
    }
    return e.select(used, gathered, e.zeros(valuesType));
  };
  Value values = chosen.values;
  if (!values && scores.size() == (uses ? 1u : 0u)) {
    values = arith::ConstantOp::create(
        e, SplatElementsAttr::get(valuesType, e.getF32FloatAttr(1.0f)));
  } else if (!values) {
    // The values of the chosen, gathered through the first-level cache.
    vector::StoreOp::create(e, scores.back(), scratch, ValueRange{c0});
    values = gather(scratch);
  }
  Block &weigh = op.getWeigh().front();
  SmallVector<Value> weighArguments{values};
  if (!policy.fillsAllSlots(experts))
    weighArguments.push_back(used);
  for (Value table : op.getPerExpert())
    weighArguments.push_back(gather(table));
  Value weights = inlineBody(e, weigh, weighArguments)[0];
  weights = e.select(used, weights, e.zeros(valuesType));
  vector::StoreOp::create(e, chosen.experts, op.getRouting().indices,
                          ValueRange{token, c0});
  vector::StoreOp::create(e, weights, op.getRouting().weights,
                          ValueRange{token, c0});
  emitAlways(e, op, token);
  return success();
}

LogicalResult moe::emitRouteTokens(Emitter &e, moek::RouteOp op, Value logits) {
  LogicalResult result = success();
  Value tokens = e.dim(op.getRouting().indices, 0);
  Value size = emitItemSize(e, tokens, kSelectTokens);
  e.parallel(e.ceilDiv(tokens, size), [&](Emitter &e, Value item) {
    Value scratch = memref::AllocaOp::create(
        e,
        MemRefType::get({static_cast<int64_t>(op.getExperts())},
                        e.getF32Type()),
        e.getI64IntegerAttr(64));
    Value first = e.mul(item, size);
    e.loop(first, e.min(e.add(first, size), tokens), 1,
           [&](Emitter &e, Value token) {
             result = emitToken(e, op, logits, scratch, token);
           });
  });
  if (failed(result))
    return failure();
  moek::RoutingParts out = op.getRouting();
  if (op.getCapacity())
    emitCapacity(e, out, op.getTotalExperts(), op.getSelectedSlots(),
                 std::min<int64_t>(*op.getCapacity(), INT32_MAX));
  emitPackLists(e, out, op.getTotalExperts(), op.getTotalSlots());
  return success();
}
