//===- ControlFlow.cpp - func, scf and affine interpreted -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Calls, control flow and affine expressions.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "moe/Moe.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/SymbolTable.h"

using namespace llvm;
using namespace mlir;

namespace moe::reference {

static void setResults(Machine &machine, Operation *op,
                       ArrayRef<Datum> results) {
  for (auto [value, datum] : zip_equal(op->getResults(), results))
    machine.set(value, datum);
}

static SmallVector<Datum> getAll(Machine &machine, ValueRange values) {
  return map_to_vector(values,
                       [&](Value value) { return Datum(machine.get(value)); });
}

static LogicalResult executeCall(Machine &machine, func::CallOp op) {
  auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
      op, op.getCalleeAttr());
  if (!callee)
    return op.emitOpError("calls @")
           << op.getCallee() << ", which is no function of this module";
  if (getExternal(callee))
    return executeExternal(machine, op, callee);
  FailureOr<SmallVector<Datum>> results =
      machine.call(callee, getAll(machine, op.getOperands()), op.getLoc());
  if (failed(results))
    return failure();
  setResults(machine, op, *results);
  return success();
}

/// Runs a region without arguments for the results of `op`.
static LogicalResult runFor(Machine &machine, Operation *op, Region &region) {
  if (region.empty())
    return success();
  FailureOr<SmallVector<Datum>> results = machine.run(region, {});
  if (failed(results))
    return failure();
  setResults(machine, op, *results);
  return success();
}

static LogicalResult executeIf(Machine &machine, scf::IfOp op) {
  return runFor(machine, op,
                machine.getInt(op.getCondition()) ? op.getThenRegion()
                                                  : op.getElseRegion());
}

static LogicalResult executeIndexSwitch(Machine &machine,
                                        scf::IndexSwitchOp op) {
  int64_t argument = machine.getInt(op.getArg());
  for (auto [value, region] : zip_equal(op.getCases(), op.getCaseRegions()))
    if (value == argument)
      return runFor(machine, op, region);
  return runFor(machine, op, op.getDefaultRegion());
}

static LogicalResult executeFor(Machine &machine, scf::ForOp op) {
  int64_t lower = machine.getInt(op.getLowerBound());
  int64_t upper = machine.getInt(op.getUpperBound());
  int64_t step = machine.getInt(op.getStep());
  if (step <= 0)
    return op.emitOpError("has step ") << step << "; it has to be positive";
  SmallVector<Datum> carried = getAll(machine, op.getInitArgs());
  for (int64_t i = lower; i < upper; i += step) {
    SmallVector<Datum> arguments{Datum(makeInt(i))};
    append_range(arguments, carried);
    FailureOr<SmallVector<Datum>> next = machine.run(op.getRegion(), arguments);
    if (failed(next))
      return failure();
    carried = std::move(*next);
  }
  setResults(machine, op, carried);
  return success();
}

static LogicalResult executeWhile(Machine &machine, scf::WhileOp op) {
  SmallVector<Datum> carried = getAll(machine, op.getInits());
  while (true) {
    FailureOr<SmallVector<Datum>> before = machine.run(op.getBefore(), carried);
    if (failed(before))
      return failure();
    // scf.condition: the condition, then what goes on.
    bool goOn = before->front().scalar.i;
    SmallVector<Datum> passed(drop_begin(*before));
    if (!goOn) {
      setResults(machine, op, passed);
      return success();
    }
    FailureOr<SmallVector<Datum>> after = machine.run(op.getAfter(), passed);
    if (failed(after))
      return failure();
    carried = std::move(*after);
  }
}

/// Values of the results of an affine map.
static FailureOr<SmallVector<int64_t>> evaluateMap(Machine &machine,
                                                   Operation *op, AffineMap map,
                                                   ValueRange operands) {
  SmallVector<Attribute> constants;
  for (Value operand : operands)
    constants.push_back(IntegerAttr::get(IndexType::get(op->getContext()),
                                         machine.getInt(operand)));
  SmallVector<Attribute> results;
  if (failed(map.constantFold(constants, results)))
    return op->emitOpError("has no value: it divides by zero");
  return map_to_vector(results, [](Attribute attribute) {
    return cast<IntegerAttr>(attribute).getInt();
  });
}

void addControlFlow(HandlerTable &table) {
  table.add<cf::AssertOp>(
      [](Machine &machine, cf::AssertOp op) -> LogicalResult {
        if (machine.getInt(op.getArg()))
          return success();
        return op.emitOpError("does not hold: ") << op.getMsg();
      });
  table.add<func::CallOp>(executeCall);
  table.add<scf::IfOp>(executeIf);
  table.add<scf::IndexSwitchOp>(executeIndexSwitch);
  table.add<scf::ForOp>(executeFor);
  table.add<scf::WhileOp>(executeWhile);
  table.add<scf::ExecuteRegionOp>(
      [](Machine &machine, scf::ExecuteRegionOp op) {
        return runFor(machine, op, op.getRegion());
      });
  table.add<affine::AffineApplyOp>(
      [](Machine &machine, affine::AffineApplyOp op) -> LogicalResult {
        auto values =
            evaluateMap(machine, op, op.getAffineMap(), op.getMapOperands());
        if (failed(values))
          return failure();
        machine.set(op.getResult(), makeInt(values->front()));
        return success();
      });
  table.add<affine::AffineMinOp>(
      [](Machine &machine, affine::AffineMinOp op) -> LogicalResult {
        auto values = evaluateMap(machine, op, op.getMap(), op.getOperands());
        if (failed(values))
          return failure();
        machine.set(op.getResult(), makeInt(*min_element(*values)));
        return success();
      });
  table.add<affine::AffineMaxOp>(
      [](Machine &machine, affine::AffineMaxOp op) -> LogicalResult {
        auto values = evaluateMap(machine, op, op.getMap(), op.getOperands());
        if (failed(values))
          return failure();
        machine.set(op.getResult(), makeInt(*max_element(*values)));
        return success();
      });
}

} // namespace moe::reference
