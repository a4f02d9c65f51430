//===- Routings.cpp - Routings as two tensors --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "BackOut.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

using IntPredicate = arith::CmpIPredicate;

/// `number` where `used`, else `otherwise`; `used` may be null.
static Value keepUsed(Upstream &up, Value tensor, Value used,
                      double otherwise) {
  if (!used)
    return tensor;
  Location loc = up.getLoc();
  Type element = Upstream::typeOf(tensor).getElementType();
  return up.elementwise(
      {used, tensor}, element, [&](OpBuilder &b, ValueRange v) -> Value {
        return arith::SelectOp::create(
            b, loc, v[0], v[1], Upstream(b, loc).scalar(element, otherwise));
      });
}

//===----------------------------------------------------------------------===//
// Where routings come from
//===----------------------------------------------------------------------===//

FailureOr<RoutingTensors> raise::writeRouter(Upstream &up, RouterOp op) {
  FailureOr<Selection> selection = writeSelection(up, op);
  if (failed(selection))
    return failure();
  Type element = op.getElementType();
  Value values;
  if (selection->values)
    values =
        keepUsed(up, up.cast(selection->values, element), selection->used, 0);
  else if (op.getWeigh())
    values =
        takeExperts(up, op.getWeigh(), selection->indices, selection->used);
  else
    values = keepUsed(
        up, up.fill(up.sizesOf(selection->indices), up.scalar(element, 1)),
        selection->used, 0);
  if (op.getWeighing() || !op.getWeightsRegion().empty()) {
    FailureOr<Value> weights =
        writeWeights(up, op, values, selection->used,
                     [&](OpBuilder &b, Value vector, Value used) {
                       return op.buildWeights(b, op.getLoc(), vector, used);
                     });
    if (failed(weights))
      return failure();
    values = keepUsed(up, *weights, selection->used, 0);
  }
  RoutingTensors routing;
  routing.experts = op.getNumExperts();
  routing.slots = op.getNumSlots();
  routing.indices = keepUsed(up, selection->indices, selection->used, -1);
  routing.weights = values;
  routing.isFull = !selection->used;
  return routing;
}

RoutingTensors raise::writeMake(Upstream &up, RoutingMakeOp op) {
  RoutingType type = op.getRouting().getType();
  RoutingTensors routing;
  routing.experts = type.getExperts();
  routing.slots = type.getSlots();
  routing.indices = op.getIndices();
  routing.weights = op.getWeights();
  // An expert that there is not is nobody: the rest must not read outside of
  // its tensors for it. What is trusted stays as it is.
  if (op.getTrusted())
    return routing;
  Location loc = up.getLoc();
  Type number = up.getBuilder().getI32Type();
  routing.indices = up.elementwise(
      op.getIndices(), number, [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value inside =
            arith::CmpIOp::create(b, loc, IntPredicate::ult, v[0],
                                  scalars.scalar(number, type.getExperts()));
        return arith::SelectOp::create(b, loc, inside, v[0],
                                       scalars.scalar(number, -1));
      });
  return routing;
}

RoutingTensors raise::writeAppend(Upstream &up, RoutingAppendOp op,
                                  const RoutingTensors &routing) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  int64_t added = op.getNumAppended();
  Sizes sizes = up.sizesOf(routing.indices);
  sizes[1] = builder.getIndexAttr(added);
  Type number = builder.getI32Type();
  Value indices =
      up.generate(sizes, number, [&](OpBuilder &b, ValueRange at) -> Value {
        Upstream scalars(b, loc);
        Value first = scalars.scalar(number, routing.experts);
        return arith::AddIOp::create(b, loc, first,
                                     scalars.castScalar(at[1], number));
      });
  Type element = Upstream::typeOf(routing.weights).getElementType();
  Value weights = op.getWeights() ? up.cast(op.getWeights(), element)
                                  : up.fill(sizes, up.scalar(element, 1));
  RoutingTensors result;
  result.experts = routing.experts + added;
  result.slots = routing.slots + added;
  result.isFull = routing.isFull;
  result.indices = up.concat({routing.indices, indices}, 1);
  result.weights = up.concat({routing.weights, weights}, 1);
  return result;
}

//===----------------------------------------------------------------------===//
// Limits and new weights
//===----------------------------------------------------------------------===//

/// C of a group of `tokens`, an index.
static Value writeCapacity(OpBuilder &b, Location loc, RoutingLimitOp op,
                           Value tokens) {
  Upstream up(b, loc);
  Type index = b.getIndexType(), real = b.getF64Type();
  if (op.getCapacity())
    return up.scalar(index, static_cast<double>(*op.getCapacity()));
  RoutingType type = op.getRouting().getType();
  Value slots = up.scalar(index, type.getSlots());
  Value all = up.castScalar(arith::MulIOp::create(b, loc, tokens, slots), real);
  Value exact = arith::MulFOp::create(
      b, loc, all, up.scalar(real, op.getFactor()->convertToDouble()));
  exact =
      arith::DivFOp::create(b, loc, exact, up.scalar(real, type.getExperts()));
  switch (op.getRounding()) {
  case Rounding::Ceil:
    exact = math::CeilOp::create(b, loc, exact);
    break;
  case Rounding::Floor:
    exact = math::FloorOp::create(b, loc, exact);
    break;
  case Rounding::Nearest:
    exact = math::RoundEvenOp::create(b, loc, exact);
    break;
  }
  // More than there can be arrivals is all the same, and may be no i64.
  exact = arith::MinimumFOp::create(b, loc, exact, all);
  Value capacity = up.castScalar(exact, index);
  return arith::MaxSIOp::create(
      b, loc, capacity, up.scalar(index, static_cast<double>(op.getMinimum())));
}

RoutingTensors raise::writeLimit(Upstream &up, RoutingLimitOp op,
                                 const RoutingTensors &routing) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type number = builder.getI32Type(), index = builder.getIndexType();
  Sizes sizes = up.sizesOf(routing.indices);
  AffineMap own = readDims(up, 4, {0, 1}), other = readDims(up, 4, {2, 3});
  SmallVector<Value> inputs = {routing.indices, routing.indices};
  SmallVector<AffineMap> maps = {own, other};
  if (op.getDrop() == Drop::Probability) {
    inputs.append({routing.weights, routing.weights});
    maps.append({own, other});
  } else if (op.getPriority()) {
    Value ranks = ranksAlong(up, op.getPriority(), 0);
    inputs.append({ranks, ranks});
    maps.append({readDims(up, 4, {0}), readDims(up, 4, {2})});
  }
  int64_t groupSize = op.getGroupSize() ? *op.getGroupSize() : 0;
  auto compare = [&](OpBuilder &b, IntPredicate predicate, Value l,
                     Value r) -> Value {
    return arith::CmpIOp::create(b, loc, predicate, l, r);
  };
  auto getGroup = [&](OpBuilder &b, Value token) -> Value {
    return arith::DivUIOp::create(b, loc, token,
                                  Upstream(b, loc).scalar(index, groupSize));
  };
  // How many assignments of an expert arrive before each.
  Value arrivals = sumTerms(
      up, sizes, inputs, maps, number,
      [&](OpBuilder &b, ValueRange v) -> Value {
        Value t = loopIndex(b, loc, 0), s = loopIndex(b, loc, 1);
        Value u = loopIndex(b, loc, 2), r = loopIndex(b, loc, 3);
        Value counts = compare(b, IntPredicate::eq, v[0], v[1]);
        if (groupSize) {
          Value together =
              compare(b, IntPredicate::eq, getGroup(b, t), getGroup(b, u));
          counts = arith::AndIOp::create(b, loc, counts, together);
        }
        // (major, minor) of the other is before that of this one.
        auto isBefore = [&](Value major, Value otherMajor, Value minor,
                            Value otherMinor) -> Value {
          Value less = compare(b, IntPredicate::slt, otherMajor, major);
          Value equal = compare(b, IntPredicate::eq, otherMajor, major);
          Value first = compare(b, IntPredicate::slt, otherMinor, minor);
          Value second = arith::AndIOp::create(b, loc, equal, first);
          return arith::OrIOp::create(b, loc, less, second);
        };
        Value before;
        if (op.getDrop() == Drop::Probability)
          before = comesBefore(b, loc, v[3], v[2], isBefore(t, u, s, r));
        else if (op.getPriority())
          before = isBefore(s, r, v[2], v[3]);
        else
          before = isBefore(s, r, t, u);
        counts = arith::AndIOp::create(b, loc, counts, before);
        return arith::ExtUIOp::create(b, loc, number, counts);
      });
  Value numTokens = getValueOrCreateConstantIndexOp(builder, loc, sizes[0]);
  Value capacity =
      groupSize ? Value() : writeCapacity(builder, loc, op, numTokens);
  Value kept = up.elementwise(
      {routing.indices, arrivals}, builder.getI1Type(),
      [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value room = capacity;
        if (groupSize) {
          Value size = scalars.scalar(index, groupSize);
          Value first = arith::MulIOp::create(
              b, loc, getGroup(b, loopIndex(b, loc, 0)), size);
          Value left = arith::SubIOp::create(b, loc, numTokens, first);
          room = writeCapacity(b, loc, op,
                               arith::MinSIOp::create(b, loc, left, size));
        }
        Value isUsed =
            compare(b, IntPredicate::sge, v[0], scalars.scalar(number, 0));
        Value fits = compare(b, IntPredicate::slt,
                             scalars.castScalar(v[1], index), room);
        return arith::AndIOp::create(b, loc, isUsed, fits);
      });
  RoutingTensors result;
  result.experts = routing.experts;
  result.slots = routing.slots;
  result.indices = keepUsed(up, routing.indices, kept, -1);
  result.weights = keepUsed(up, routing.weights, kept, 0);
  return result;
}

FailureOr<RoutingTensors> raise::writeReweigh(Upstream &up, RoutingReweighOp op,
                                              const RoutingTensors &routing) {
  Location loc = up.getLoc();
  Value used = isUsed(up, routing.indices);
  Value weights = routing.weights;
  Type element = Upstream::typeOf(weights).getElementType();
  if (op.getScales())
    weights = up.elementwise(
        {routing.indices, used, weights}, element,
        [&](OpBuilder &b, ValueRange v) -> Value {
          Upstream scalars(b, loc);
          Value expert = arith::MaxSIOp::create(
              b, loc, v[0], scalars.scalar(v[0].getType(), 0));
          expert = scalars.castScalar(expert, b.getIndexType());
          Value scale =
              tensor::ExtractOp::create(b, loc, op.getScales(), expert);
          Value product = arith::MulFOp::create(
              b, loc, v[2], scalars.castScalar(scale, element));
          return arith::SelectOp::create(b, loc, v[1], product,
                                         scalars.scalar(element, 0));
        });
  if (op.getWeighing()) {
    FailureOr<Value> written = writeWeights(
        up, op, weights, used, [&](OpBuilder &b, Value vector, Value mask) {
          for (auto step :
               op.getWeighing()->getAsRange<WeighingAttrInterface>())
            vector = step.buildWeights(b, op.getLoc(), vector, mask);
          return vector;
        });
    if (failed(written))
      return failure();
    weights = keepUsed(up, *written, used, 0);
  }
  RoutingTensors result;
  result.experts = routing.experts;
  result.slots = routing.slots;
  result.isFull = routing.isFull;
  result.indices = routing.indices;
  result.weights = weights;
  return result;
}

//===----------------------------------------------------------------------===//
// Canonical order
//===----------------------------------------------------------------------===//

Value raise::writeOffsets(Upstream &up, const RoutingTensors &routing) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type number = builder.getI32Type();
  return sumTerms(
      up, {builder.getIndexAttr(routing.experts + 1)}, routing.indices,
      readDims(up, 3, {1, 2}), number,
      [&](OpBuilder &b, ValueRange v) -> Value {
        Upstream scalars(b, loc);
        Value expert = scalars.castScalar(loopIndex(b, loc, 0), number);
        Value isUsed = arith::CmpIOp::create(b, loc, IntPredicate::sge, v[0],
                                             scalars.scalar(number, 0));
        Value isBefore =
            arith::CmpIOp::create(b, loc, IntPredicate::slt, v[0], expert);
        Value counts = arith::AndIOp::create(b, loc, isUsed, isBefore);
        return arith::ExtUIOp::create(b, loc, number, counts);
      });
}

void raise::writeOrder(Upstream &up, RoutingTensors &routing) {
  Location loc = up.getLoc();
  OpBuilder &builder = up.getBuilder();
  Type number = builder.getI32Type(), index = builder.getIndexType();
  Type element = Upstream::typeOf(routing.weights).getElementType();
  routing.offsets = writeOffsets(up, routing);
  Value last = tensor::ExtractOp::create(builder, loc, routing.offsets,
                                         up.scalar(index, routing.experts));
  routing.numRows = up.castScalar(last, index);
  Sizes sizes = up.sizesOf(routing.indices);
  Value zero = up.scalar(index, 0), one = up.scalar(index, 1);
  Value next = up.slice(routing.offsets, {builder.getIndexAttr(0)},
                        {builder.getIndexAttr(routing.experts)}, {1});
  Value positions = up.fill(sizes, up.scalar(number, -1));
  Value tokens = up.empty({routing.numRows}, number);
  Value weights = up.empty({routing.numRows}, element);
  Value numTokens = getValueOrCreateConstantIndexOp(builder, loc, sizes[0]);
  Value numSlots = getValueOrCreateConstantIndexOp(builder, loc, sizes[1]);
  // Each assignment takes the next row of its expert.
  auto place = [&](OpBuilder &b, Value t, Value s, ValueRange carried) {
    SmallVector<Value> slot = {t, s};
    Value expert = tensor::ExtractOp::create(b, loc, routing.indices, slot);
    Upstream scalars(b, loc);
    Value isUsed = arith::CmpIOp::create(b, loc, IntPredicate::sge, expert,
                                         scalars.scalar(number, 0));
    auto choice = scf::IfOp::create(
        b, loc, isUsed,
        [&](OpBuilder &inner, Location) {
          Upstream scalars(inner, loc);
          Value e = scalars.castScalar(expert, index);
          Value row = tensor::ExtractOp::create(inner, loc, carried[0], e);
          Value after =
              arith::AddIOp::create(inner, loc, row, scalars.scalar(number, 1));
          Value rowIndex = scalars.castScalar(row, index);
          Value weight =
              tensor::ExtractOp::create(inner, loc, routing.weights, slot);
          auto insert = [&](Value scalar, Value into, ValueRange where) {
            return Value(
                tensor::InsertOp::create(inner, loc, scalar, into, where));
          };
          scf::YieldOp::create(
              inner, loc,
              ValueRange{
                  insert(after, carried[0], e), insert(row, carried[1], slot),
                  insert(scalars.castScalar(t, number), carried[2], rowIndex),
                  insert(weight, carried[3], rowIndex)});
        },
        [&](OpBuilder &inner, Location) {
          scf::YieldOp::create(inner, loc, carried);
        });
    return choice.getResults();
  };
  auto loop = scf::ForOp::create(
      builder, loc, zero, numTokens, one,
      ValueRange{next, positions, tokens, weights},
      [&](OpBuilder &b, Location, Value t, ValueRange outer) {
        auto slots = scf::ForOp::create(
            b, loc, zero, numSlots, one, outer,
            [&](OpBuilder &inner, Location, Value s, ValueRange carried) {
              scf::YieldOp::create(inner, loc, place(inner, t, s, carried));
            });
        scf::YieldOp::create(b, loc, slots.getResults());
      });
  routing.positions = loop.getResult(1);
  routing.tokens = loop.getResult(2);
  routing.rowWeights = loop.getResult(3);
}
