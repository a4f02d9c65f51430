//===- MoeOps.cpp - Routings in the interpreter -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Routers and what is made of routings, one assignment after another as the
// definitions say.
//
//===----------------------------------------------------------------------===//

#include "Products.h"
#include "RowRounding.h"
#include "Scalars.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

static Routing makeRouting(int64_t tokens, RoutingType type) {
  Routing routing;
  routing.tokens = tokens;
  routing.experts = type.getExperts();
  routing.slots = type.getSlots();
  routing.expertOf.assign(tokens * routing.slots, -1);
  routing.weightOf.assign(tokens * routing.slots, 0.0);
  return routing;
}

/// Kernels select and weigh in f32 at most.
static NumberFormat getRouterFormat(RouterOp op) {
  NumberFormat format = NumberFormat::get(op.getElementType());
  return format.digits > 24 ? NumberFormat::f32() : format;
}

/// A score as a kernel reads it. Whatever made it has rounded it to its type.
static double roundScore(Machine &machine, RouterOp op, double score) {
  NumberFormat format = NumberFormat::get(op.getElementType());
  return format.digits > 24 ? machine.rounding.round(score, getRouterFormat(op))
                            : score;
}

/// Turns the values of a token's chosen experts into weights. Named steps see
/// the values of used slots only; a region sees all of them and which are used.
static LogicalResult weigh(Machine &machine, RouterOp op,
                           ArrayRef<int32_t> chosen,
                           MutableArrayRef<double> values) {
  if (ArrayAttr list = op.getWeighing().value_or(nullptr)) {
    NumberFormat format = getRouterFormat(op);
    SmallVector<double> used;
    for (auto [expert, value] : zip_equal(chosen, values))
      if (expert >= 0)
        used.push_back(value);
    for (Attribute step : list) {
      auto model = dyn_cast<ReferenceWeighingAttrInterface>(step);
      if (!model)
        return emitNoModel(op, step, "ReferenceWeighingAttrInterface");
      for (double &value : used)
        value += machine.rounding.error(value, format, 1.0);
      model.weigh(used);
    }
    auto next = used.begin();
    for (auto [expert, value] : zip_equal(chosen, values))
      if (expert >= 0)
        value = machine.rounding.round(*next++, format, kFormulaUnits);
    return success();
  }
  Region &region = op.getWeightsRegion();
  if (region.empty())
    return success();
  SmallVector<Datum> arguments;
  for (BlockArgument argument : region.getArguments()) {
    FailureOr<MutableArrayPtr> array = machine.allocate(
        op, argument.getType(), {static_cast<int64_t>(values.size())});
    if (failed(array))
      return failure();
    for (auto [i, value] : enumerate(values))
      storeElement(**array, i,
                   argument.getArgNumber() == 0 ? makeFloat(value)
                                                : makeInt(chosen[i] >= 0));
    arguments.push_back(*array);
  }
  FailureOr<SmallVector<Datum>> results = machine.run(region, arguments);
  if (failed(results))
    return failure();
  const HostTensor &weights = *results->front().array;
  loadFloats(weights, 0, values.size(), values.data());
  return success();
}

/// Lets the policy choose, and weighs what it chose by `weights`, which may be
/// null.
static FailureOr<Decision> decideRouting(Machine &machine, RouterOp op,
                                         ReferencePolicyAttrInterface policy,
                                         const PolicyInputs &inputs,
                                         const ArrayPtr &weights) {
  PolicyChoice choice;
  choice.experts.assign(inputs.tokens * inputs.slots, -1);
  bool provides = op.getPolicy().providesValues();
  if (provides)
    choice.values.assign(inputs.tokens * inputs.slots, 0.0);
  if (failed(policy.selectAll(inputs, choice)))
    return op.emitOpError(choice.error.empty() ? "selection failed"
                                               : choice.error);
  NumberFormat format = getRouterFormat(op);
  for (double &value : choice.values)
    if (value != 0.0)
      value = machine.rounding.round(value, format, kFormulaUnits);
  Decision decision;
  decision.tokens = inputs.tokens;
  decision.experts = inputs.experts;
  decision.slots = inputs.slots;
  for (int64_t t = 0; t < inputs.tokens; ++t) {
    ArrayRef<int32_t> chosen =
        ArrayRef(choice.experts).slice(t * inputs.slots, inputs.slots);
    SmallVector<double> values(inputs.slots, 0.0);
    for (int64_t s = 0; s < inputs.slots; ++s) {
      if (chosen[s] < -1 || chosen[s] >= inputs.experts)
        return op.emitOpError("policy chose expert ")
               << chosen[s] << " of " << inputs.experts << " for token " << t;
      if (chosen[s] < 0)
        continue;
      values[s] =
          provides ? choice.values[t * inputs.slots + s]
          : weights
              ? roundScore(
                    machine, op,
                    loadElement(*weights, t * inputs.experts + chosen[s]).f)
              : 1.0;
    }
    if (failed(weigh(machine, op, chosen, values)))
      return failure();
    for (int64_t s = 0; s < inputs.slots; ++s)
      decision.weightOf.push_back(chosen[s] < 0 ? 0.0 : values[s]);
  }
  decision.expertOf = std::move(choice.experts);
  return decision;
}

static LogicalResult executeRouter(Machine &machine, RouterOp op) {
  auto policy =
      dyn_cast<ReferencePolicyAttrInterface>(Attribute(op.getPolicy()));
  if (!policy)
    return emitNoModel(op, op.getPolicy(), "ReferencePolicyAttrInterface");
  ArrayPtr select = op.getSelect() ? machine.getArray(op.getSelect()) : nullptr;
  ArrayPtr weights = op.getWeigh() ? machine.getArray(op.getWeigh()) : nullptr;
  if (select && weights && select->shape != weights->shape)
    return op.emitOpError("selects by scores of shape ")
           << formatShape(select->shape) << " and weighs by scores of shape "
           << formatShape(weights->shape) << "; they have to be alike";
  PolicyInputs inputs;
  inputs.tokens = machine.getArray(op.getTokensOperand())->shape[0];
  inputs.experts = op.getNumExperts();
  inputs.slots = op.getNumSlots();
  if (select) {
    inputs.scores.resize(inputs.tokens * inputs.experts);
    loadFloats(*select, 0, inputs.scores.size(), inputs.scores.data());
    for (double &score : inputs.scores)
      score = roundScore(machine, op, score);
  }
  for (auto [i, value] : enumerate(op.getPolicyOperands())) {
    ArrayPtr array = machine.getArray(value);
    PolicyOperand operand;
    operand.shape.assign(array->shape.begin(), array->shape.end());
    bool isFloat =
        isFloatLike(cast<RankedTensorType>(value.getType()).getElementType());
    for (int64_t j = 0, e = array->numElements(); j < e; ++j) {
      Scalar element = loadElement(*array, j);
      operand.data.push_back(isFloat ? element.f
                                     : static_cast<double>(element.i));
    }
    if (op.getPolicy().isTokenOperand(i) && operand.shape[0] != inputs.tokens)
      return op.emitOpError("has a policy operand of ")
             << operand.shape[0] << " tokens; the other operands have "
             << inputs.tokens;
    inputs.operands.push_back(std::move(operand));
  }
  auto decide = [&](const PolicyInputs &inputs) {
    return decideRouting(machine, op, policy, inputs, weights);
  };
  FailureOr<Decision> decision = decide(inputs);
  if (failed(decision))
    return failure();
  if (RouterHook *hook = machine.options.routerHook) {
    auto decideBy = [&](ArrayRef<double> scores) {
      PolicyInputs other = inputs;
      other.scores.assign(scores.begin(), scores.end());
      return decide(other);
    };
    if (failed(hook->onDecision(op, inputs.scores, decideBy, *decision)))
      return failure();
  }
  Routing routing = makeRouting(inputs.tokens, op.getRouting().getType());
  routing.expertOf = std::move(decision->expertOf);
  routing.weightOf = std::move(decision->weightOf);
  machine.setRouting(op.getResult(), std::move(routing));
  return success();
}

static LogicalResult executeMake(Machine &machine, RoutingMakeOp op) {
  ArrayPtr indices = machine.getArray(op.getIndices());
  ArrayPtr weights = machine.getArray(op.getWeights());
  if (indices->shape != weights->shape)
    return op.emitOpError("has indices of shape ")
           << formatShape(indices->shape) << " and weights of shape "
           << formatShape(weights->shape) << "; they have to be alike";
  Routing routing = makeRouting(indices->shape[0], op.getRouting().getType());
  for (int64_t t = 0; t < routing.tokens; ++t) {
    SmallDenseSet<int64_t> seen;
    for (int64_t s = 0; s < routing.slots; ++s) {
      int64_t i = t * routing.slots + s;
      int64_t expert = loadElement(*indices, i).i;
      if (expert < -1 || expert >= routing.experts)
        return op.emitOpError("sends token ")
               << t << " to expert " << expert << " in slot " << s
               << "; experts are 0 to " << routing.experts - 1
               << ", and -1 marks an unused slot";
      if (expert < 0)
        continue;
      // Whoever is trusted may name an expert in several slots.
      if (!seen.insert(expert).second && !op.getTrusted())
        return op.emitOpError("sends token ")
               << t << " to expert " << expert << " twice";
      routing.expertOf[i] = expert;
      routing.weightOf[i] = loadElement(*weights, i).f;
    }
  }
  machine.setRouting(op.getResult(), std::move(routing));
  return success();
}

static LogicalResult executeAppend(Machine &machine, RoutingAppendOp op) {
  RoutingPtr old = machine.getRouting(op.getRouting());
  Routing routing =
      makeRouting(old->tokens, cast<RoutingType>(op.getResult().getType()));
  int64_t added = routing.experts - old->experts;
  ArrayPtr weights =
      op.getWeights() ? machine.getArray(op.getWeights()) : nullptr;
  if (weights && weights->shape[0] != old->tokens)
    return op.emitOpError("has weights for ")
           << weights->shape[0] << " tokens; the routing has " << old->tokens;
  for (int64_t t = 0; t < old->tokens; ++t) {
    int64_t to = t * routing.slots;
    for (int64_t s = 0; s < old->slots; ++s) {
      routing.expertOf[to + s] = old->expertOf[t * old->slots + s];
      routing.weightOf[to + s] = old->weightOf[t * old->slots + s];
    }
    for (int64_t i = 0; i < added; ++i) {
      routing.expertOf[to + old->slots + i] = old->experts + i;
      routing.weightOf[to + old->slots + i] =
          weights ? loadElement(*weights, t * added + i).f : 1.0;
    }
  }
  machine.setRouting(op.getResult(), std::move(routing));
  return success();
}

/// Sets the result to an array whose element i is `element(i)`.
template <typename Fn>
static LogicalResult setView(Machine &machine, Operation *op,
                             ArrayRef<int64_t> shape, Fn element) {
  Value result = op->getResult(0);
  if (failed(checkShape(op, result.getType(), shape, "the result")))
    return failure();
  FailureOr<MutableArrayPtr> array =
      machine.allocate(op, result.getType(), shape);
  if (failed(array))
    return failure();
  for (int64_t i = 0, e = (*array)->numElements(); i < e; ++i)
    storeElement(**array, i, element(i));
  machine.set(result, *array);
  return success();
}

static void addRoutingViews(HandlerTable &table) {
  table.add<RoutingIndicesOp>([](Machine &machine, RoutingIndicesOp op) {
    RoutingPtr r = machine.getRouting(op.getRouting());
    return setView(machine, op, {r->tokens, r->slots},
                   [&](int64_t i) { return makeInt(r->expertOf[i]); });
  });
  table.add<RoutingWeightsOp>([](Machine &machine, RoutingWeightsOp op) {
    RoutingPtr r = machine.getRouting(op.getRouting());
    return setView(machine, op, {r->tokens, r->slots},
                   [&](int64_t i) { return makeFloat(r->weightOf[i]); });
  });
  table.add<RoutingOffsetsOp>([](Machine &machine, RoutingOffsetsOp op) {
    RoutingPtr r = machine.getRouting(op.getRouting());
    return setView(machine, op, {r->experts + 1},
                   [&](int64_t i) { return makeInt(r->offsets[i]); });
  });
  table.add<RoutingTokensOp>([](Machine &machine, RoutingTokensOp op) {
    RoutingPtr r = machine.getRouting(op.getRouting());
    return setView(machine, op, {r->numAssignments()}, [&](int64_t i) {
      return makeInt(r->assignmentAt[i] / r->slots);
    });
  });
  table.add<RoutingNumTokensOp>([](Machine &machine, RoutingNumTokensOp op) {
    machine.set(op.getResult(),
                makeInt(machine.getRouting(op.getRouting())->tokens));
    return success();
  });
}

void addMoeOps(HandlerTable &table) {
  table.add<RouterOp>(executeRouter);
  table.add<RoutingMakeOp>(executeMake);
  table.add<RoutingAppendOp>(executeAppend);
  addRoutingViews(table);
}

} // namespace moe::reference
