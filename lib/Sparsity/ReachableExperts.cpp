//===- ReachableExperts.cpp - Which experts a routing may have --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A score of -infinity comes after every other number, and NaN after it. An
// expert whose score is always one of the two is chosen only where a token has
// too few others. There must be enough experts that are not so: those are
// assumed to have numbers above -infinity, unless the caller is strict.
//
//===----------------------------------------------------------------------===//

#include "ReachableExperts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;
using llvm::BitVector;

static constexpr llvm::StringLiteral kNoScores = "their scores are -infinity";
static constexpr llvm::StringLiteral kNotStrict =
    "experts whose scores are -infinity would be chosen by a token whose other "
    "scores are NaN; without `strict` they go";

//===----------------------------------------------------------------------===//
// Indices
//===----------------------------------------------------------------------===//

static void collectIndices(Value value, bool strict, ReachableExperts &to,
                           unsigned depth = 0);

/// Marks the elements of a constant that are experts.
static void collectConstant(DenseElementsAttr constant, BitVector &experts) {
  for (const APInt &index : constant.getValues<APInt>())
    if (!index.isNegative() && index.getSExtValue() < int64_t(experts.size()))
      experts.set(index.getSExtValue());
}

/// Marks what an integer of an elementwise body may be.
static void collectScalar(linalg::GenericOp op, Value value, bool strict,
                          ReachableExperts &to, unsigned depth) {
  if (depth > 32)
    return void(to.experts.set());
  if (auto argument = dyn_cast<BlockArgument>(value);
      argument && argument.getOwner() == op.getBlock())
    return collectIndices(op->getOperand(argument.getArgNumber()), strict, to,
                          depth + 1);
  Operation *def = value.getDefiningOp();
  if (IntegerAttr number; matchPattern(value, m_Constant(&number))) {
    int64_t index = number.getValue().getSExtValue();
    if (index >= 0 && index < int64_t(to.experts.size()))
      to.experts.set(index);
    return;
  }
  if (auto select = dyn_cast_or_null<arith::SelectOp>(def)) {
    collectScalar(op, select.getTrueValue(), strict, to, depth + 1);
    return collectScalar(op, select.getFalseValue(), strict, to, depth + 1);
  }
  if (auto extract = dyn_cast_or_null<tensor::ExtractOp>(def))
    return collectIndices(extract.getTensor(), strict, to, depth + 1);
  to.experts.set();
}

/// Marks the experts among the elements of `value`.
static void collectIndices(Value value, bool strict, ReachableExperts &to,
                           unsigned depth) {
  DenseElementsAttr constant;
  if (depth > 32)
    return void(to.experts.set());
  if (matchPattern(value, m_Constant(&constant))) {
    collectConstant(constant, to.experts);
    if (to.why.empty())
      to.why = "no index is theirs";
    return;
  }
  if (auto indices = value.getDefiningOp<RoutingIndicesOp>()) {
    // As experts of the other routing, which may have more of them.
    ReachableExperts of = ReachableExperts::get(indices.getRouting(), strict);
    for (unsigned e : of.experts.set_bits())
      if (e < to.experts.size())
        to.experts.set(e);
    to.why = of.why;
    to.whyNot = of.whyNot;
    return;
  }
  if (auto cast = value.getDefiningOp<tensor::CastOp>())
    return collectIndices(cast.getSource(), strict, to, depth + 1);
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || !generic.hasPureTensorSemantics() ||
      generic->getNumResults() != 1 ||
      generic.getNumLoops() != generic.getNumParallelLoops())
    return void(to.experts.set());
  collectScalar(generic, generic.getBlock()->getTerminator()->getOperand(0),
                strict, to, depth + 1);
}

//===----------------------------------------------------------------------===//
// Routers
//===----------------------------------------------------------------------===//

/// Of E experts `low` have no scores; marks those that a token may still have,
/// K of which it takes in the order of their scores.
static void markByOrder(const BitVector &low, int64_t slots,
                        ReachableExperts &to) {
  to.experts = low;
  to.experts.flip();
  int64_t missing = slots - static_cast<int64_t>(to.experts.count());
  // Of equal scores the lower expert comes first.
  for (unsigned e : low.set_bits())
    if (missing-- > 0)
      to.experts.set(e);
}

/// As above, for the best experts of the best groups.
static void markByGroups(GroupTopKAttr policy, const BitVector &low,
                         ReachableExperts &to) {
  int64_t size = low.size() / policy.getGroups();
  int64_t needed = policy.getReduce() == GroupReduce::Top2 ? 2 : 1;
  SmallVector<int64_t> counts;
  BitVector reachable(low.size());
  for (int64_t g = 0; g < policy.getGroups(); ++g) {
    int64_t count = 0;
    for (int64_t e = g * size; e < (g + 1) * size; ++e)
      count += !low.test(e);
    // The score of other groups is -infinity.
    if (count < needed)
      continue;
    counts.push_back(count);
    for (int64_t e = g * size; e < (g + 1) * size; ++e)
      if (!low.test(e))
        reachable.set(e);
  }
  to.experts.set();
  if (static_cast<int64_t>(counts.size()) < policy.getKeep()) {
    to.whyNot = "fewer groups than are kept have experts with scores";
    return;
  }
  llvm::sort(counts);
  int64_t fewest = 0;
  for (int64_t i = 0; i < policy.getKeep(); ++i)
    fewest += counts[i];
  if (fewest < policy.getK()) {
    to.whyNot = "the groups kept may have fewer experts with scores than a "
                "token takes";
    return;
  }
  to.experts = reachable;
}

static ReachableExperts getOfRouter(RouterOp op, bool strict) {
  int64_t experts = op.getNumExperts();
  ReachableExperts result{BitVector(experts), "", ""};
  Attribute policy = op.getPolicy();
  OperandRange operands = op.getPolicyOperands();
  if (auto hash = dyn_cast<HashAttr>(policy)) {
    DenseElementsAttr constant;
    bool isTable = hash.getKind() == HashKind::Table;
    if (!matchPattern(operands[isTable ? 1 : 0], m_Constant(&constant))) {
      result.experts.set();
      return result;
    }
    if (isTable)
      collectConstant(constant, result.experts);
    else
      for (const APInt &id : constant.getValues<APInt>())
        if (!id.isNegative())
          result.experts.set(id.getSExtValue() % experts);
    result.why =
        isTable ? "the table does not name them" : "no token id is theirs";
    return result;
  }
  result.experts.set();
  if (!op.getSelect())
    return result;
  BitVector low(experts), never(experts);
  for (int64_t e = 0; e < experts; ++e) {
    if (isNeverANumber(op.getSelect(), e))
      low.set(e);
    // Nothing is above a threshold of +infinity or NaN.
    if (isa<TopAnyAttr>(policy))
      if (auto number =
              dyn_cast_or_null<FloatAttr>(getKnownColumn(operands.front(), e)))
        if (number.getValue().isNaN() ||
            (number.getValue().isInfinity() && !number.getValue().isNegative()))
          never.set(e);
  }
  bool exact = false;
  if (isa<TopKAttr, NearestCentroidAttr, TokenKAttr, GShardAttr>(policy)) {
    markByOrder(low, op.getNumSlots(), result);
  } else if (auto groups = dyn_cast<GroupTopKAttr>(policy)) {
    markByGroups(groups, low, result);
  } else if (isa<ThresholdAttr, TopAnyAttr>(policy)) {
    // The best expert stands in for none at all; it may be any with a score.
    exact = !op.getPolicy().fallsBackToBest();
    never = exact ? (never |= low) : low;
    if (never.count() < low.size() || exact)
      result.experts = never.flip();
  } else if (isa<MinPAttr>(policy) && low.count() < low.size()) {
    result.experts = BitVector(low).flip();
  }
  if (result.experts.all())
    return result;
  if (strict && !exact) {
    result.experts.set();
    result.whyNot = kNotStrict;
    return result;
  }
  result.why =
      low.none() ? "no score is above their threshold" : std::string(kNoScores);
  return result;
}

ReachableExperts ReachableExperts::get(Value routing, bool strict) {
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  Operation *def = routing.getDefiningOp();
  if (auto router = dyn_cast_or_null<RouterOp>(def))
    return getOfRouter(router, strict);
  if (isa_and_present<RoutingLimitOp, RoutingReweighOp>(def))
    return get(def->getOperand(0), strict);
  if (auto append = dyn_cast_or_null<RoutingAppendOp>(def)) {
    ReachableExperts result = get(append.getRouting(), strict);
    result.experts.resize(experts, true);
    return result;
  }
  ReachableExperts result{BitVector(experts), "", ""};
  if (auto make = dyn_cast_or_null<RoutingMakeOp>(def))
    collectIndices(make.getIndices(), strict, result);
  else
    result.experts.set();
  if (result.experts.all())
    result.why.clear();
  return result;
}
