//===- MoeOps.cpp - The moe dialect in the interpreter ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Routing, dispatch, experts and combine, one assignment after another as the
// definitions say. Only rows that are routed to an expert are evaluated by it.
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

/// Emits the error for an attribute without a reference model.
static LogicalResult emitNoModel(Operation *op, Attribute attribute,
                                 StringRef interface) {
  return op->emitOpError("cannot be interpreted: ")
         << attribute << " has no reference model; its dialect has to "
         << "implement or attach moe::reference::" << interface;
}

/// What is known of the errors of a formula that an attribute stands for: those
/// of its arguments, and so many units in its result.
static constexpr double kFormulaUnits = 4.0;

static Routing makeRouting(int64_t tokens, RoutingType type) {
  Routing routing;
  routing.tokens = tokens;
  routing.experts = type.getExperts();
  routing.slots = type.getSlots();
  routing.expertOf.assign(tokens * routing.slots, -1);
  routing.weightOf.assign(tokens * routing.slots, 0.0);
  return routing;
}

static void setRouting(Machine &machine, Value value, Routing routing) {
  routing.finish();
  machine.set(value, RoutingPtr(std::make_shared<Routing>(std::move(routing))));
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
  setRouting(machine, op.getResult(), std::move(routing));
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
      if (!seen.insert(expert).second)
        return op.emitOpError("sends token ")
               << t << " to expert " << expert << " twice";
      routing.expertOf[i] = expert;
      routing.weightOf[i] = loadElement(*weights, i).f;
    }
  }
  setRouting(machine, op.getResult(), std::move(routing));
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
  setRouting(machine, op.getResult(), std::move(routing));
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

//===----------------------------------------------------------------------===//
// Dispatch, experts, combine
//===----------------------------------------------------------------------===//

static LogicalResult executeDispatch(Machine &machine, DispatchOp op) {
  ArrayPtr x = machine.getArray(op.getX());
  RoutingPtr routing = machine.getRouting(op.getRouting());
  if (x->shape[0] != routing->tokens)
    return op.emitOpError("has ")
           << x->shape[0] << " rows in x; the routing has " << routing->tokens
           << " tokens";
  int64_t hidden = x->shape[1];
  int64_t count = routing->numAssignments();
  if (failed(checkShape(op, op.getRows().getType(), {count, hidden},
                        "the result")))
    return failure();
  FailureOr<MutableArrayPtr> rows =
      machine.allocate(op, op.getRows().getType(), {count, hidden});
  if (failed(rows))
    return failure();
  double *out = (*rows)->dataAs<double>();
  NumberFormat format = NumberFormat::get(op.getRows().getType());
  for (int64_t a = 0; a < count; ++a, out += hidden) {
    int64_t assignment = routing->assignmentAt[a];
    loadFloats(*x, assignment / routing->slots * hidden, hidden, out);
    if (op.getWeighted())
      for (int64_t h = 0; h < hidden; ++h)
        out[h] = machine.rounding.round(out[h] * routing->weightOf[assignment],
                                        format);
  }
  machine.set(op.getRows(), *rows);
  return success();
}

static LogicalResult executeExpert(Machine &machine, ExpertOp op) {
  ArrayPtr rows = machine.getArray(op.getRows());
  RoutingPtr routing = machine.getRouting(op.getRouting());
  if (rows->shape[0] != routing->numAssignments())
    return op.emitOpError("has ")
           << rows->shape[0] << " rows; the routing has "
           << routing->numAssignments() << " assignments";
  auto type = cast<RankedTensorType>(op.getResult().getType());
  int64_t hidden = rows->shape[1];
  MutableArrayPtr out;
  auto makeOut = [&](int64_t outHidden) -> LogicalResult {
    FailureOr<MutableArrayPtr> array =
        machine.allocate(op, type, {rows->shape[0], outHidden});
    if (succeeded(array))
      out = *array;
    return array;
  };

  for (unsigned g = 0; g < op.getNumGroups(); ++g) {
    for (int64_t e = op.getGroupBegin(g); e < op.getGroupEnd(g); ++e) {
      int64_t begin = routing->offsets[e];
      int64_t count = routing->offsets[e + 1] - begin;
      if (count == 0) {
        machine.finishExpert();
        continue;
      }
      SmallVector<Datum> arguments;
      arguments.push_back(viewOf(*rows, begin * hidden, {count, hidden}));
      for (Value weight : op.getGroupWeights(g)) {
        ArrayPtr all = machine.getArray(weight);
        ArrayRef<int64_t> slice = ArrayRef(all->shape).drop_front();
        arguments.push_back(
            viewOf(*all, (e - op.getGroupBegin(g)) * productOf(slice), slice));
      }
      llvm::SaveAndRestore current(machine.expert, std::optional<int64_t>(
                                                       e - op.getGroupBegin(g)));
      FailureOr<SmallVector<Datum>> results =
          machine.run(op.getGroups()[g], arguments);
      if (failed(results))
        return failure();
      const HostTensor &result = *results->front().array;
      if (result.shape.size() != 2 || result.shape[0] != count ||
          (out && result.shape[1] != out->shape[1]))
        return op.emitOpError("body of expert ")
               << e << " yields shape " << formatShape(result.shape) << " for "
               << count << " rows";
      if (!out && failed(makeOut(result.shape[1])))
        return failure();
      loadFloats(result, 0, result.numElements(),
                 out->dataAs<double>() + begin * result.shape[1]);
      machine.finishExpert();
    }
  }
  if (!out && failed(makeOut(type.isDynamicDim(1) ? 0 : type.getDimSize(1))))
    return failure();
  machine.set(op.getResult(), out);
  return checkShape(op, type, out->shape, "the result");
}

static LogicalResult executeCombine(Machine &machine, CombineOp op) {
  ArrayPtr rows = machine.getArray(op.getRows());
  RoutingPtr routing = machine.getRouting(op.getRouting());
  if (rows->shape[0] != routing->numAssignments())
    return op.emitOpError("has ")
           << rows->shape[0] << " rows; the routing has "
           << routing->numAssignments() << " assignments";
  int64_t hidden = rows->shape[1];
  SmallVector<int64_t> shape{routing->tokens, hidden};
  if (failed(checkShape(op, op.getResult().getType(), shape, "the result")))
    return failure();
  FailureOr<MutableArrayPtr> result =
      machine.allocate(op, op.getResult().getType(), shape);
  if (failed(result))
    return failure();
  double *y = (*result)->dataAs<double>();
  // Sums are kept in f32 and rounded once to a narrower type.
  NumberFormat format = NumberFormat::get(op.getResult().getType()).working();
  auto round = [&](double value) {
    return machine.rounding.round(value, format);
  };
  std::vector<double> row(hidden);
  for (auto [r, i] : llvm::enumerate(routing->assignmentAt)) {
    loadFloats(*rows, r * hidden, hidden, row.data());
    double weight = op.getUnweighted() ? 1.0 : routing->weightOf[i];
    double *sums = y + i / routing->slots * hidden;
    for (int64_t h = 0; h < hidden; ++h)
      sums[h] = round(sums[h] + round(weight * row[h]));
  }
  if (op.getInit()) {
    ArrayPtr init = machine.getArray(op.getInit());
    if (ArrayRef(init->shape) != ArrayRef(shape))
      return op.emitOpError("has an init of shape ")
             << formatShape(init->shape) << "; the result has "
             << formatShape(shape);
    for (int64_t i = 0, e = init->numElements(); i < e; ++i)
      y[i] = round(y[i] + loadElement(*init, i).f);
  }
  machine.round(**result, op.getResult().getType());
  machine.set(op.getResult(), *result);
  return success();
}

//===----------------------------------------------------------------------===//
// FFN
//===----------------------------------------------------------------------===//

/// x W^T + b, in f32 at least.
static FailureOr<MutableArrayPtr> project(Machine &machine, FFNOp op,
                                          const double *x, int64_t rows,
                                          int64_t depth, Value weights,
                                          Value bias) {
  ArrayPtr w = machine.getArray(weights);
  int64_t columns = w->shape[0];
  if (w->shape[1] != depth)
    return op.emitOpError("has weights of shape ")
           << formatShape(w->shape) << " for rows of " << depth << " values";
  FailureOr<MutableArrayPtr> out =
      machine.allocate(op, op.getX().getType(), {rows, columns});
  if (failed(out))
    return failure();
  machine.showProduct(weights, x, rows, depth);
  double *data = (*out)->dataAs<double>();
  NumberFormat format = NumberFormat::get(op.getX().getType()).working();
  std::vector<double> narrow;
  if (machine.rounding.narrowsRows() &&
      getElementTypeOrSelf(weights.getType()).isBF16()) {
    for (double value : ArrayRef(x, rows * depth))
      narrow.push_back(machine.rounding.round(value, NumberFormat::bf16()));
    x = narrow.data();
  }
  RowFormat rounded = getRowFormat(machine.rounding, weights, depth);
  if (rounded) {
    narrow = roundRows(machine.rounding, x, rows, depth, rounded);
    x = narrow.data();
  }
  addProductTransposed(
      x, rows, *w, columns, depth, data, machine.options.numThreads,
      ProductErrors(machine.rounding, format, rounded.narrowsWeights()));
  if (!bias)
    return out;
  ArrayPtr b = machine.getArray(bias);
  if (b->shape.size() != 1 || b->shape[0] != columns)
    return op.emitOpError("has a bias of shape ")
           << formatShape(b->shape) << " for " << columns << " columns";
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      data[r * columns + c] = machine.rounding.round(
          data[r * columns + c] + loadElement(*b, c).f, format);
  return out;
}

/// Applies the activation to (gate, up) or (up), element by element; the
/// result is left in `up`.
static LogicalResult activate(Machine &machine, FFNOp op,
                              const HostTensor *gate, HostTensor &up) {
  int64_t count = up.numElements();
  double *upData = up.dataAs<double>();
  const double *gateData = gate ? gate->dataAs<double>() : nullptr;
  if (gate && gate->shape != up.shape)
    return op.emitOpError("has a gate of shape ")
           << formatShape(gate->shape) << " and an up of shape "
           << formatShape(up.shape);

  if (Attribute activation = op.getActivationAttr()) {
    auto model = dyn_cast<ReferenceActivationAttrInterface>(activation);
    if (!model)
      return emitNoModel(op, activation, "ReferenceActivationAttrInterface");
    NumberFormat format = NumberFormat::get(op.getX().getType()).working();
    for (int64_t i = 0; i < count; ++i) {
      SmallVector<double, 2> args;
      if (gate)
        args.push_back(gateData[i]);
      args.push_back(upData[i]);
      for (double &arg : args)
        arg += machine.rounding.error(arg, format, 1.0);
      upData[i] =
          model.activate(args) +
          machine.rounding.error(model.magnitude(args), format, kFormulaUnits);
    }
    return success();
  }

  Region &body = op.getBody();
  std::optional<ScalarProgram> program =
      ScalarProgram::build(machine, body.front());
  SmallVector<Scalar> results;
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Scalar> arguments;
    if (gate)
      arguments.push_back(makeFloat(gateData[i]));
    arguments.push_back(makeFloat(upData[i]));
    if (program) {
      if (failed(program->run(arguments, {}, results)))
        return failure();
      upData[i] = results[0].f;
      continue;
    }
    SmallVector<Datum> data(arguments.begin(), arguments.end());
    FailureOr<SmallVector<Datum>> yielded = machine.run(body, data);
    if (failed(yielded))
      return failure();
    upData[i] = yielded->front().scalar.f;
  }
  return success();
}

static LogicalResult executeFFN(Machine &machine, FFNOp op) {
  ArrayPtr x = machine.getArray(op.getX());
  int64_t rows = x->shape[0], hidden = x->shape[1];
  std::vector<double> input(rows * hidden);
  loadFloats(*x, 0, rows * hidden, input.data());

  MutableArrayPtr gate;
  if (op.getGate()) {
    auto projected = project(machine, op, input.data(), rows, hidden,
                             op.getGate(), op.getGateBias());
    if (failed(projected))
      return failure();
    gate = *projected;
  }
  auto up = project(machine, op, input.data(), rows, hidden, op.getUp(),
                    op.getUpBias());
  if (failed(up) || failed(activate(machine, op, gate.get(), **up)))
    return failure();
  machine.round(**up, op.getX().getType());
  auto down = project(machine, op, (*up)->dataAs<double>(), rows,
                      (*up)->shape[1], op.getDown(), op.getDownBias());
  if (failed(down))
    return failure();
  machine.round(**down, op.getResult().getType());
  machine.set(op.getResult(), *down);
  return checkShape(op, op.getResult().getType(), (*down)->shape, "the result");
}

void addMoeOps(HandlerTable &table) {
  table.add<RouterOp>(executeRouter);
  table.add<RoutingMakeOp>(executeMake);
  table.add<RoutingAppendOp>(executeAppend);
  addRoutingViews(table);
  table.add<DispatchOp>(executeDispatch);
  table.add<ExpertOp>(executeExpert);
  table.add<CombineOp>(executeCombine);
  table.add<FFNOp>(executeFFN);
}

} // namespace moe::reference
