//===- BuildScan.cpp - Recurrences over the rows of experts -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Step t of a recurrence is of all rows that are the t-th of their sequence, of
// every expert: rows of kernels, in the order that they had. So there are as
// many steps as the longest sequence has rows, and none computes a row of a
// sequence that has ended.
//
//===----------------------------------------------------------------------===//

#include "ExpertBody.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace moe;

namespace {

/// Which rows a step has: the place of each among all rows, that of the state
/// before it, and how many the experts have. Room for all rows.
struct StepRows {
  Value list, from;
  Groups groups;

  SmallVector<Value> get() const {
    return {list, from, groups.offsets, groups.active};
  }
  static StepRows of(ValueRange values) {
    return {values[0], values[1], {values[2], values[3]}};
  }
};

class StepBuilder {
public:
  StepBuilder(KernelBuilder kernels, Location loc, Value sequences)
      : b(kernels.b), kernels(kernels), loc(loc), sequences(sequences),
        experts(cast<RankedTensorType>(kernels.groups.offsets.getType())
                    .getDimSize(0) -
                1) {}

  /// The first row of each sequence. States before them are by row.
  StepRows buildFirst() {
    Type i32 = b.getI32Type();
    auto makeList = [&]() -> Value {
      return tensor::EmptyOp::create(b, loc, {OpFoldResult(kernels.numRows)},
                                     i32);
    };
    Value groups =
        tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{experts + 1}, i32);
    StepRows room{makeList(), makeList(), {groups, groups}};
    return buildLists(room, /*ofFirst=*/true);
  }
  /// The rows behind those of `step` in the same sequence. States before them
  /// are behind those before the first rows.
  StepRows buildNext(StepRows step) {
    return buildLists(step, /*ofFirst=*/false);
  }

  /// As many as the longest sequence has rows.
  Value countSteps() {
    Value zero = index(0), one = index(1);
    auto loop = scf::ForOp::create(b, loc, zero, index(experts), one, zero);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value expert = loop.getInductionVar();
    Value begin = load(kernels.groups.offsets, expert);
    Value end = load(kernels.groups.offsets, add(expert, one));
    auto inner = scf::ForOp::create(b, loc, begin, end, one,
                                    ValueRange{loop.getRegionIterArg(0), zero});
    scf::YieldOp::create(b, loc, inner.getResult(0));
    b.setInsertionPointToStart(inner.getBody());
    Value row = inner.getInductionVar();
    Value length = arith::SelectOp::create(b, loc, isFirst(row, begin), one,
                                           add(inner.getRegionIterArg(1), one));
    Value longest =
        arith::MaxSIOp::create(b, loc, inner.getRegionIterArg(0), length);
    scf::YieldOp::create(b, loc, ValueRange{longest, length});
    return loop.getResult(0);
  }
  Value getNumRows(StepRows step) {
    return load(step.groups.offsets, index(experts));
  }

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value load(Value list, Value at) {
    Value value = tensor::ExtractOp::create(b, loc, list, at);
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
  }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }

private:
  OpBuilder &b;
  KernelBuilder kernels;
  Location loc;
  Value sequences;
  int64_t experts;

  Value store(Value value, Value list, Value at) {
    Value narrow =
        arith::IndexCastOp::create(b, loc, b.getI32Type(), value);
    return tensor::InsertOp::create(b, loc, narrow, list, at);
  }
  Value compare(arith::CmpIPredicate how, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, how, x, y);
  }
  Value getSequence(Value row) {
    return tensor::ExtractOp::create(b, loc, sequences,
                                     ValueRange{row, index(0)});
  }
  /// Whether a sequence begins with `row`, of an expert whose first is `begin`.
  Value isFirst(Value row, Value begin) {
    Value previous = arith::MaxSIOp::create(
        b, loc, arith::SubIOp::create(b, loc, row, index(1)), index(0));
    return arith::OrIOp::create(
        b, loc, compare(arith::CmpIPredicate::eq, row, begin),
        compare(arith::CmpIPredicate::ne, getSequence(row),
                getSequence(previous)));
  }
  Value countIf(Value count, Value condition) {
    Value more = add(count, index(1));
    return arith::SelectOp::create(b, loc, condition, more, count);
  }

  /// Goes through the rows of each expert, or through those that `old` has of
  /// it, and keeps some. A list is overwritten no sooner than it was read.
  StepRows buildLists(StepRows old, bool ofFirst) {
    using Predicate = arith::CmpIPredicate;
    Value zero = index(0), one = index(1), numExperts = index(experts);
    // Where the rows of an expert are that are looked at.
    Value first =
        load(ofFirst ? kernels.groups.offsets : old.groups.offsets, zero);
    old.groups.offsets = store(zero, old.groups.offsets, zero);
    SmallVector<Value> carried = old.get();
    carried.append({/*count=*/zero, /*used=*/zero, first});
    auto loop = scf::ForOp::create(b, loc, zero, numExperts, one, carried);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Value expert = loop.getInductionVar();
      StepRows rows = StepRows::of(loop.getRegionIterArgs());
      Value count = loop.getRegionIterArg(4), used = loop.getRegionIterArg(5),
            begin = loop.getRegionIterArg(6);
      Value next = add(expert, one);
      Value lastRow = load(kernels.groups.offsets, next);
      Value end = ofFirst ? lastRow : load(rows.groups.offsets, next);
      auto inner =
          scf::ForOp::create(b, loc, begin, end, one,
                             ValueRange{rows.list, rows.from, count});
      {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(inner.getBody());
        Value at = inner.getInductionVar();
        Value list = inner.getRegionIterArg(0);
        Value row, before, keep;
        if (ofFirst) {
          row = before = at;
          keep = isFirst(row, begin);
        } else {
          Value previous = load(list, at);
          row = add(previous, one);
          before = add(previous, kernels.numRows);
          // The row may be none of the expert's, or none at all.
          Value known = arith::SelectOp::create(
              b, loc, compare(Predicate::slt, row, lastRow), row, previous);
          keep = arith::AndIOp::create(
              b, loc, compare(Predicate::eq, known, row),
              compare(Predicate::eq, getSequence(known), getSequence(previous)));
        }
        Value kept = inner.getRegionIterArg(2);
        list = store(row, list, kept);
        Value from = store(before, inner.getRegionIterArg(1), kept);
        scf::YieldOp::create(b, loc,
                             ValueRange{list, from, countIf(kept, keep)});
      }
      Value total = inner.getResult(2);
      Value offsets = store(total, rows.groups.offsets, next);
      // An expert without rows is overwritten by the next.
      Value active = store(expert, rows.groups.active, used);
      used = countIf(used, compare(Predicate::ne, total, count));
      scf::YieldOp::create(b, loc,
                           ValueRange{inner.getResult(0), inner.getResult(1),
                                      offsets, active, total, used, end});
    }
    StepRows rows = StepRows::of(loop.getResults().take_front(4));
    rows.groups.active = store(loop.getResult(5), rows.groups.active, numExperts);
    return rows;
  }
};

} // namespace

/// The rows of `x` that `list` names.
static Value gather(KernelBuilder &kernels, Location loc, Value x, Value list,
                    Value offsets) {
  auto type = cast<RankedTensorType>(x.getType());
  Value out = kernels.buildRows(loc, type.getDimSize(1), type.getElementType());
  return moek::GatherOp::create(kernels.b, loc, TypeRange{out.getType()}, x,
                                list, offsets, /*row_weights=*/Value(),
                                ValueRange{out})
      .getResult(0);
}

Value moe::buildSteps(
    KernelBuilder kernels, Location loc, Value rows, Value sequences,
    Value init, int64_t size,
    function_ref<Value(KernelBuilder, Value, Value)> buildStep) {
  OpBuilder &b = kernels.b;
  StepBuilder steps(kernels, loc, sequences);
  Value zero = steps.index(0), one = steps.index(1);
  OpFoldResult zeroAttr = b.getIndexAttr(0), oneAttr = b.getIndexAttr(1),
               sizeAttr = b.getIndexAttr(size);
  SmallVector<OpFoldResult> strides{oneAttr, oneAttr};
  SmallVector<OpFoldResult> all{OpFoldResult(kernels.numRows), sizeAttr};
  // States before the first rows, by row, and behind them those that are made.
  Type f32 = b.getF32Type();
  Value number = steps.add(kernels.numRows, kernels.numRows);
  Value states = buildEmptyRows(b, loc, number, size, f32);
  if (init) {
    SmallVector<OpFoldResult> front{zeroAttr, zeroAttr};
    states = tensor::InsertSliceOp::create(b, loc, init, states, front, all,
                                           strides);
  } else {
    Value none = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0));
    states = linalg::FillOp::create(b, loc, none, states).getResult(0);
  }

  SmallVector<Value> carried = steps.buildFirst().get();
  carried.push_back(states);
  auto loop =
      scf::ForOp::create(b, loc, zero, steps.countSteps(), one, carried);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange values = loop.getRegionIterArgs();
    StepRows step = StepRows::of(values);
    KernelBuilder own{b, step.groups, kernels.numRows, /*others=*/Value()};
    Value now = gather(own, loc, rows, step.list, step.groups.offsets);
    Value before = gather(own, loc, values[4], step.from, step.groups.offsets);
    Value next = buildStep(own, now, before);
    if (!next)
      return Value();
    auto scatter = scf::ForOp::create(b, loc, zero, steps.getNumRows(step), one,
                                      values[4]);
    {
      OpBuilder::InsertionGuard inScatter(b);
      b.setInsertionPointToStart(scatter.getBody());
      Value at = scatter.getInductionVar();
      SmallVector<OpFoldResult> row{oneAttr, sizeAttr};
      SmallVector<OpFoldResult> source{at, zeroAttr};
      Value state =
          tensor::ExtractSliceOp::create(b, loc, next, source, row, strides);
      SmallVector<OpFoldResult> place{
          steps.add(steps.load(step.list, at), kernels.numRows), zeroAttr};
      Value written = tensor::InsertSliceOp::create(
          b, loc, state, scatter.getRegionIterArg(0), place, row, strides);
      scf::YieldOp::create(b, loc, written);
    }
    SmallVector<Value> yielded = steps.buildNext(step).get();
    yielded.push_back(scatter.getResult(0));
    scf::YieldOp::create(b, loc, yielded);
  }
  SmallVector<OpFoldResult> back{OpFoldResult(kernels.numRows), zeroAttr};
  return tensor::ExtractSliceOp::create(b, loc, loop.getResult(4), back, all,
                                        strides);
}
