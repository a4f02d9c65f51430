//===- Layers.cpp - Layers without sorting -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// No size depends on data: either each expert gets all tokens, or each
// assignment the weights of its expert. Both are the same body, batched.
//
//===----------------------------------------------------------------------===//

#include "BackOut.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

using IntPredicate = arith::CmpIPredicate;

namespace {
/// One group of experts of a layer.
class GroupWriter {
public:
  GroupWriter(Upstream &up, ExpertOp op, const RoutingTensors &routing,
              unsigned group, bool isGathered)
      : up(up), b(up.getBuilder()), op(op), routing(routing), group(group),
        isGathered(isGathered) {
    Sizes sizes = up.sizesOf(routing.indices);
    numTokens = sizes[0];
    numAssignments = up.multiply(sizes[0], sizes[1]);
  }

  /// [experts of the group, T, H'], or [T, K, H'] if gathered.
  FailureOr<Value> writeResults();
  /// The sums of a token's rows of this group, [T, H'].
  Value sum(Value results, bool isWeighted);

private:
  /// Whether a slot holds an expert of the group, given its number.
  Value isInside(OpBuilder &nested, Value expert);
  /// The number of an expert in the group; of another group, one of this.
  Value getOwn(OpBuilder &nested, Value expert);
  /// The rows that a dispatch gives to the experts.
  std::pair<Value, bool> writeRows(DispatchOp dispatch);
  Value gatherWeight(Value weight);

  Upstream &up;
  OpBuilder &b;
  ExpertOp op;
  const RoutingTensors &routing;
  unsigned group;
  bool isGathered;
  OpFoldResult numTokens, numAssignments;
};
} // namespace

Value GroupWriter::isInside(OpBuilder &nested, Value expert) {
  Location loc = up.getLoc();
  Upstream scalars(nested, loc);
  Type type = expert.getType();
  Value low =
      arith::CmpIOp::create(nested, loc, IntPredicate::sge, expert,
                            scalars.scalar(type, op.getGroupBegin(group)));
  Value high =
      arith::CmpIOp::create(nested, loc, IntPredicate::slt, expert,
                            scalars.scalar(type, op.getGroupEnd(group)));
  return arith::AndIOp::create(nested, loc, low, high);
}

Value GroupWriter::getOwn(OpBuilder &nested, Value expert) {
  Location loc = up.getLoc();
  Upstream scalars(nested, loc);
  Type type = expert.getType();
  Value own = arith::SubIOp::create(
      nested, loc, expert, scalars.scalar(type, op.getGroupBegin(group)));
  own = arith::MaxSIOp::create(nested, loc, own, scalars.scalar(type, 0));
  own = arith::MinSIOp::create(
      nested, loc, own, scalars.scalar(type, op.getGroupSize(group) - 1));
  return scalars.castScalar(own, nested.getIndexType());
}

std::pair<Value, bool> GroupWriter::writeRows(DispatchOp dispatch) {
  Location loc = up.getLoc();
  Value x = dispatch.getX();
  Type element = Upstream::typeOf(x).getElementType();
  OpFoldResult hidden = up.sizesOf(x)[1];
  auto weigh = [&](OpBuilder &nested, Value weight, Value value) {
    Upstream scalars(nested, loc);
    return scalars.castScalar(weighElement(scalars, weight, value), element);
  };
  if (isGathered) {
    Sizes sizes = {numTokens, b.getIndexAttr(routing.slots), hidden};
    SmallVector<Value> inputs = {x};
    SmallVector<AffineMap> maps = {readDims(up, 3, {0, 2})};
    if (dispatch.getWeighted()) {
      inputs.push_back(routing.weights);
      maps.push_back(readDims(up, 3, {0, 1}));
    }
    Value rows = up.map(
        inputs, maps, sizes, element, [&](OpBuilder &nested, ValueRange v) {
          return v.size() > 1 ? weigh(nested, v[1], v[0]) : v[0];
        });
    rows = up.reshape(rows, {numAssignments, hidden});
    return {up.reshape(rows, {numAssignments, b.getIndexAttr(1), hidden}),
            true};
  }
  if (!dispatch.getWeighted())
    return {x, false};
  // The weight of each expert of the group for each token.
  int64_t experts = op.getGroupSize(group);
  Type weightType = Upstream::typeOf(routing.weights).getElementType();
  AffineMap slot = readDims(up, 3, {1, 2});
  Value weights = sumTerms(
      up, {b.getIndexAttr(experts), numTokens},
      {routing.indices, routing.weights}, {slot, slot}, weightType,
      [&](OpBuilder &nested, ValueRange v) -> Value {
        Upstream scalars(nested, loc);
        Value expert =
            scalars.castScalar(loopIndex(nested, loc, 0), v[0].getType());
        expert = arith::AddIOp::create(
            nested, loc, expert,
            scalars.scalar(v[0].getType(), op.getGroupBegin(group)));
        Value isHere =
            arith::CmpIOp::create(nested, loc, IntPredicate::eq, v[0], expert);
        return arith::SelectOp::create(nested, loc, isHere, v[1],
                                       scalars.scalar(weightType, 0));
      });
  Value rows =
      up.map({x, weights}, {readDims(up, 3, {1, 2}), readDims(up, 3, {0, 1})},
             {b.getIndexAttr(experts), numTokens, hidden}, element,
             [&](OpBuilder &nested, ValueRange v) {
               return weigh(nested, v[1], v[0]);
             });
  return {rows, true};
}

Value GroupWriter::gatherWeight(Value weight) {
  Location loc = up.getLoc();
  Sizes sizes = up.sizesOf(weight);
  sizes[0] = numAssignments;
  Value experts = up.reshape(routing.indices, {numAssignments});
  int64_t rank = sizes.size();
  return up.map(experts, readDims(up, rank, {0}), sizes,
                Upstream::typeOf(weight).getElementType(),
                [&](OpBuilder &nested, ValueRange v) -> Value {
                  SmallVector<Value> at = {getOwn(nested, v[0])};
                  for (int64_t d = 1; d < rank; ++d)
                    at.push_back(loopIndex(nested, loc, d));
                  return tensor::ExtractOp::create(nested, loc, weight, at);
                });
}

FailureOr<Value> GroupWriter::writeResults() {
  SmallVector<Value> arguments;
  SmallVector<bool> isBatched;
  auto addRows = [&](Value rows) -> LogicalResult {
    auto dispatch = rows.getDefiningOp<DispatchOp>();
    if (!dispatch || dispatch.getRouting() != op.getRouting())
      return op.emitOpError("has rows that no moe.dispatch by its routing "
                            "gives; form=sorted writes it");
    auto [tensor, isOfAll] = writeRows(dispatch);
    arguments.push_back(tensor);
    isBatched.push_back(isOfAll);
    return success();
  };
  if (failed(addRows(op.getRows())))
    return failure();
  for (Value weight : op.getGroupWeights(group)) {
    arguments.push_back(isGathered ? gatherWeight(weight) : weight);
    isBatched.push_back(true);
  }
  for (Value other : op.getOthers())
    if (failed(addRows(other)))
      return failure();
  OpFoldResult count =
      isGathered ? numAssignments
                 : OpFoldResult(b.getIndexAttr(op.getGroupSize(group)));
  FailureOr<Value> results =
      writeBatched(up, op.getGroupBody(group), count, arguments, isBatched);
  if (failed(results) || !isGathered)
    return results;
  OpFoldResult width = up.sizesOf(*results)[2];
  Value flat = up.reshape(*results, {numAssignments, width});
  return up.reshape(flat, {numTokens, b.getIndexAttr(routing.slots), width});
}

Value GroupWriter::sum(Value results, bool isWeighted) {
  Location loc = up.getLoc();
  RankedTensorType type = Upstream::typeOf(results);
  Type sumType = getSumType(type.getElementType());
  SmallVector<Value> inputs = {routing.indices};
  SmallVector<AffineMap> maps = {readDims(up, 3, {0, 2})};
  if (isWeighted) {
    inputs.push_back(routing.weights);
    maps.push_back(readDims(up, 3, {0, 2}));
  }
  if (isGathered) {
    inputs.push_back(results);
    maps.push_back(readDims(up, 3, {0, 2, 1}));
  }
  bool isOnly = op.getNumGroups() == 1 && routing.isFull;
  return sumTerms(
      up, {numTokens, up.sizesOf(results)[2]}, inputs, maps, sumType,
      [&](OpBuilder &nested, ValueRange v) -> Value {
        Upstream scalars(nested, loc);
        Value row = v.back();
        if (!isGathered)
          row = tensor::ExtractOp::create(
              nested, loc, results,
              ValueRange{isOnly
                             ? scalars.castScalar(v[0], nested.getIndexType())
                             : getOwn(nested, v[0]),
                         loopIndex(nested, loc, 0), loopIndex(nested, loc, 1)});
        Value term = weighElement(scalars, isWeighted ? v[1] : Value(), row);
        if (isOnly)
          return term;
        return arith::SelectOp::create(nested, loc, isInside(nested, v[0]),
                                       term, scalars.scalar(sumType, 0));
      });
}

FailureOr<Value> raise::writeLayer(Upstream &up, CombineOp op,
                                   const RoutingTensors &routing,
                                   bool isGathered) {
  Location loc = up.getLoc();
  auto expert = op.getRows().getDefiningOp<ExpertOp>();
  if (!expert || expert.getRouting() != op.getRouting())
    return op.emitOpError("sums rows that no moe.expert by its routing gives; "
                          "form=sorted writes it");
  Value sums;
  for (unsigned g = 0; g < expert.getNumGroups(); ++g) {
    GroupWriter writer(up, expert, routing, g, isGathered);
    FailureOr<Value> results = writer.writeResults();
    if (failed(results))
      return failure();
    Value own = writer.sum(*results, !op.getUnweighted());
    Type element = Upstream::typeOf(own).getElementType();
    if (sums)
      own = up.elementwise({sums, own}, element,
                           [&](OpBuilder &b, ValueRange v) -> Value {
                             if (isa<FloatType>(element))
                               return arith::AddFOp::create(b, loc, v[0], v[1]);
                             return arith::AddIOp::create(b, loc, v[0], v[1]);
                           });
    sums = own;
  }
  return finishCombine(up, op, sums);
}
