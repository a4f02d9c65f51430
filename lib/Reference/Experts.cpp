//===- Experts.cpp - Experts in the interpreter -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Dispatch, experts and combine, one assignment after another as the definitions
// say. Only rows that are routed to an expert are evaluated by it.
//
//===----------------------------------------------------------------------===//

#include "Products.h"
#include "RowRounding.h"
#include "Scalars.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

//===----------------------------------------------------------------------===//
// Dispatch, experts, combine
//===----------------------------------------------------------------------===//

static void copyElements(const HostTensor &from, int64_t begin, int64_t count,
                         HostTensor &to, int64_t at) {
  for (int64_t i = 0; i < count; ++i)
    storeElement(to, at + i, loadElement(from, begin + i));
}

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
  NumberFormat format = NumberFormat::get(op.getRows().getType());
  for (int64_t a = 0; a < count; ++a) {
    int64_t assignment = routing->assignmentAt[a];
    copyElements(*x, assignment / routing->slots * hidden, hidden, **rows,
                 a * hidden);
    if (op.getWeighted())
      for (double &value : MutableArrayRef(
               (*rows)->dataAs<double>() + a * hidden, hidden))
        value = machine.rounding.round(value * routing->weightOf[assignment],
                                       format);
  }
  machine.set(op.getRows(), *rows);
  return success();
}

/// One row for each assignment.
static LogicalResult checkRows(Operation *op, const HostTensor &rows,
                               const Routing &routing) {
  if (rows.shape[0] == routing.numAssignments())
    return success();
  return op->emitOpError("has ") << rows.shape[0] << " rows; the routing has "
                                 << routing.numAssignments() << " assignments";
}

static LogicalResult executeExpert(Machine &machine, ExpertOp op) {
  ArrayPtr rows = machine.getArray(op.getRows());
  RoutingPtr routing = machine.getRouting(op.getRouting());
  if (failed(checkRows(op, *rows, *routing)))
    return failure();
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
      for (Value other : op.getOthers()) {
        ArrayPtr all = machine.getArray(other);
        if (all->shape[0] != rows->shape[0])
          return op.emitOpError("has ")
                 << all->shape[0] << " rows in `with` beside its "
                 << rows->shape[0];
        int64_t columns = all->shape[1];
        arguments.push_back(viewOf(*all, begin * columns, {count, columns}));
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
      copyElements(result, 0, result.numElements(), *out,
                   begin * result.shape[1]);
      machine.finishExpert();
    }
  }
  if (!out && failed(makeOut(type.isDynamicDim(1) ? 0 : type.getDimSize(1))))
    return failure();
  machine.set(op.getResult(), out);
  return checkShape(op, type, out->shape, "the result");
}

static LogicalResult checkInit(CombineOp op, const HostTensor &init,
                               ArrayRef<int64_t> shape) {
  if (ArrayRef(init.shape) == shape)
    return success();
  return op.emitOpError("has an init of shape ")
         << formatShape(init.shape) << "; the result has "
         << formatShape(shape);
}

/// The sum of each token's rows, without weights, in `sums` of zeros.
static LogicalResult addIntegers(Machine &machine, CombineOp op,
                                 const HostTensor &rows, const Routing &routing,
                                 MutableArrayPtr sums) {
  int64_t hidden = rows.shape[1];
  unsigned width = op.getResult().getType().getElementTypeBitWidth();
  auto add = [&](const HostTensor &from, int64_t i, int64_t to) {
    uint64_t sum = static_cast<uint64_t>(loadElement(*sums, to).i) +
                   static_cast<uint64_t>(loadElement(from, i).i);
    storeElement(*sums, to,
                 makeInt(wrapInteger(static_cast<int64_t>(sum), width)));
  };
  for (auto [r, i] : llvm::enumerate(routing.assignmentAt))
    for (int64_t h = 0; h < hidden; ++h)
      add(rows, r * hidden + h, i / routing.slots * hidden + h);
  if (op.getInit()) {
    ArrayPtr init = machine.getArray(op.getInit());
    if (failed(checkInit(op, *init, sums->shape)))
      return failure();
    for (int64_t i = 0, e = init->numElements(); i < e; ++i)
      add(*init, i, i);
  }
  machine.set(op.getResult(), sums);
  return success();
}

static LogicalResult executeCombine(Machine &machine, CombineOp op) {
  ArrayPtr rows = machine.getArray(op.getRows());
  RoutingPtr routing = machine.getRouting(op.getRouting());
  if (failed(checkRows(op, *rows, *routing)))
    return failure();
  int64_t hidden = rows->shape[1];
  SmallVector<int64_t> shape{routing->tokens, hidden};
  if (failed(checkShape(op, op.getResult().getType(), shape, "the result")))
    return failure();
  FailureOr<MutableArrayPtr> result =
      machine.allocate(op, op.getResult().getType(), shape);
  if (failed(result))
    return failure();
  if (!isa<FloatType>(op.getResult().getType().getElementType()))
    return addIntegers(machine, op, *rows, *routing, *result);
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
    if (failed(checkInit(op, *init, shape)))
      return failure();
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

//===----------------------------------------------------------------------===//
// Scan
//===----------------------------------------------------------------------===//

/// Row after row.
static LogicalResult executeScan(Machine &machine, ScanOp op) {
  ArrayPtr rows = machine.getArray(op.getRows());
  ArrayPtr sequences = machine.getArray(op.getSequences());
  int64_t count = rows->shape[0], hidden = rows->shape[1];
  int64_t size = op.getStates().getType().getDimSize(1);
  if (sequences->shape[0] != count)
    return op.emitOpError("has ")
           << sequences->shape[0] << " numbers of sequences for " << count
           << " rows";
  ArrayPtr init = op.getInit() ? machine.getArray(op.getInit()) : ArrayPtr();
  if (init && init->shape[0] != count)
    return op.emitOpError("has ") << init->shape[0] << " rows in its init, and "
                                  << count << " rows";
  auto makeRows = [&](int64_t number) {
    return machine.allocate(op, op.getStates().getType(), {number, size});
  };
  FailureOr<MutableArrayPtr> states = makeRows(count);
  FailureOr<MutableArrayPtr> zeros = makeRows(1);
  if (failed(states) || failed(zeros))
    return failure();
  for (int64_t a = 0; a < count; ++a) {
    bool goesOn = a > 0 && loadElement(*sequences, a).i ==
                               loadElement(*sequences, a - 1).i;
    ArrayPtr before = goesOn ? viewOf(**states, (a - 1) * size, {1, size})
                      : init ? viewOf(*init, a * size, {1, size})
                             : ArrayPtr(*zeros);
    FailureOr<SmallVector<Datum>> next = machine.run(
        op.getBody(), {viewOf(*rows, a * hidden, {1, hidden}), before});
    if (failed(next))
      return failure();
    const HostTensor &state = *next->front().array;
    if (ArrayRef(state.shape) != ArrayRef<int64_t>({1, size}))
      return op.emitOpError("yields shape ")
             << formatShape(state.shape) << " for one row of " << size;
    copyElements(state, 0, size, **states, a * size);
  }
  machine.set(op.getStates(), *states);
  return success();
}

void addExpertOps(HandlerTable &table) {
  table.add<DispatchOp>(executeDispatch);
  table.add<ExpertOp>(executeExpert);
  table.add<CombineOp>(executeCombine);
  table.add<FFNOp>(executeFFN);
  table.add<ScanOp>(executeScan);
}

} // namespace moe::reference
