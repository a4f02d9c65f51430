//===- Routing.cpp - moe.routing.* -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SmallSet.h"

#include <cmath>

using namespace mlir;
using namespace moe;

LogicalResult RoutingMakeOp::verify() {
  RankedTensorType indices = getIndices().getType();
  RoutingType routing = getRouting().getType();
  if (failed(verifyStaticDim(*this, "indices", indices, 1, "number of slots")))
    return failure();
  if (failed(verifyCompatibleShape(indices, getWeights().getType())) ||
      getWeights().getType().isDynamicDim(1))
    return emitOpError() << "expects weights of the shape of indices, "
                         << indices << ", but got " << getWeights().getType();
  if (indices.getDimSize(1) != routing.getSlots())
    return emitOpError() << "expects indices of " << routing.getSlots()
                         << " slots for a result of type " << routing
                         << ", but got " << indices;

  DenseIntElementsAttr values;
  if (!matchPattern(getIndices(), m_Constant(&values)))
    return success();
  int64_t slots = routing.getSlots();
  llvm::SmallSet<int64_t, 16> seen;
  for (auto [i, value] : llvm::enumerate(values.getValues<APInt>())) {
    int64_t expert = value.getSExtValue();
    int64_t token = i / slots, slot = i % slots;
    if (slot == 0)
      seen.clear();
    if (expert < -1 || expert >= routing.getExperts())
      return emitOpError() << "expects experts from 0 to "
                           << routing.getExperts() - 1
                           << ", or -1 for an unused slot, but indices["
                           << token << ", " << slot << "] is " << expert;
    if (expert != -1 && !seen.insert(expert).second)
      return emitOpError() << "expects each expert once in a token, but "
                              "indices["
                           << token << ", " << slot << "] repeats " << expert;
  }
  return success();
}

void RoutingMakeOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getRouting(), "routing");
}

static LogicalResult inferView(std::optional<Location> loc, StringRef name,
                               ValueRange operands,
                               function_ref<Type(RoutingType)> infer,
                               SmallVectorImpl<Type> &inferred) {
  auto routing = operands.empty()
                     ? RoutingType()
                     : dyn_cast<RoutingType>(operands[0].getType());
  if (!routing)
    return failInference(loc, (name + " expects a routing").str());
  inferred.push_back(infer(routing));
  return success();
}

static Type getIndicesType(RoutingType routing) {
  return RankedTensorType::get({ShapedType::kDynamic, routing.getSlots()},
                               IntegerType::get(routing.getContext(), 32));
}
static Type getOffsetsType(RoutingType routing) {
  return RankedTensorType::get({routing.getExperts() + 1},
                               IntegerType::get(routing.getContext(), 32));
}
static Type getTokensType(RoutingType routing) {
  return RankedTensorType::get({ShapedType::kDynamic},
                               IntegerType::get(routing.getContext(), 32));
}

// Each view has one result, whose type and dynamic size follow from the
// routing.
#define MOE_ROUTING_VIEW(CLASS, NAME, TYPE, EXPECTED, SIZE)                    \
  LogicalResult CLASS::inferReturnTypes(                                       \
      MLIRContext *, std::optional<Location> loc, ValueRange operands,         \
      DictionaryAttr, OpaqueProperties, RegionRange,                           \
      SmallVectorImpl<Type> &inferred) {                                       \
    return inferView(loc, CLASS::getOperationName(), operands, TYPE,           \
                     inferred);                                                \
  }                                                                            \
  LogicalResult CLASS::verify() {                                              \
    return verifyView(*this, getResult().getType(),                            \
                      TYPE(getRouting().getType()), EXPECTED);                 \
  }                                                                            \
  void CLASS::getAsmResultNames(OpAsmSetValueNameFn setName) {                 \
    setName(getResult(), NAME);                                                \
  }                                                                            \
  LogicalResult CLASS::reifyResultShapes(                                      \
      OpBuilder &b, ReifiedRankedShapedTypeDims &shapes) {                     \
    return reifyView(b, getResult(), getRouting(), SIZE, shapes);              \
  }

/// A view's first dimension is what `size` builds, the others are static.
static LogicalResult
reifyView(OpBuilder &b, Value result, Value routing,
          function_ref<Value(OpBuilder &, Location, Value)> size,
          ReifiedRankedShapedTypeDims &shapes) {
  auto type = cast<RankedTensorType>(result.getType());
  SmallVector<OpFoldResult> dims{reifyDim(
      b, result, 0, [&] { return size(b, result.getLoc(), routing); })};
  for (int64_t dim : type.getShape().drop_front()) {
    if (ShapedType::isDynamic(dim))
      return failure();
    dims.push_back(b.getIndexAttr(dim));
  }
  shapes.push_back(dims);
  return success();
}

MOE_ROUTING_VIEW(RoutingIndicesOp, "indices", getIndicesType,
                 ", one row of slots for each token", buildNumTokens)
MOE_ROUTING_VIEW(RoutingOffsetsOp, "offsets", getOffsetsType,
                 ", one for each expert and the total", buildNumAssignments)
MOE_ROUTING_VIEW(RoutingTokensOp, "tokens", getTokensType,
                 ", one for each assignment", buildNumAssignments)

#undef MOE_ROUTING_VIEW

LogicalResult RoutingWeightsOp::verify() {
  RankedTensorType type = getResult().getType();
  auto expected = RankedTensorType::get(
      {ShapedType::kDynamic, getRouting().getType().getSlots()},
      type.getElementType());
  return verifyView(*this, type, expected, ", one row of slots for each token");
}

void RoutingWeightsOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "weights");
}

LogicalResult
RoutingWeightsOp::reifyResultShapes(OpBuilder &b,
                                    ReifiedRankedShapedTypeDims &shapes) {
  return reifyView(b, getResult(), getRouting(), buildNumTokens, shapes);
}

void RoutingNumTokensOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "num_tokens");
}

LogicalResult RoutingAppendOp::verify() {
  RoutingType in = getRouting().getType(), out = getResult().getType();
  int64_t experts = out.getExperts() - in.getExperts();
  int64_t slots = out.getSlots() - in.getSlots();
  if (experts < 0 || experts != slots)
    return emitOpError() << "expects a result with as many more experts as "
                            "more slots than "
                         << in << ", but got " << out;
  if (!getWeights())
    return success();
  if (failed(verifyStaticDim(*this, "weights", getWeights().getType(), 1,
                             "number of appended experts")))
    return failure();
  auto expected = RankedTensorType::get(
      {ShapedType::kDynamic, experts}, getWeights().getType().getElementType());
  return verifyType(*this, "weights", getWeights().getType(), expected,
                    ", one for each token and appended expert");
}

void RoutingAppendOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "routing");
}

/// T K F / E from left to right.
static double scaleCapacity(int64_t tokens, int64_t slots, double factor,
                            int64_t experts) {
  return static_cast<double>(tokens * slots) * factor /
         static_cast<double>(experts);
}

int64_t RoutingLimitOp::getCapacityOf(int64_t tokens) {
  if (getCapacity())
    return static_cast<int64_t>(*getCapacity());
  RoutingType type = getRouting().getType();
  double exact =
      scaleCapacity(tokens, type.getSlots(), getFactor()->convertToDouble(),
                    type.getExperts());
  // More than there can be arrivals is all the same.
  exact = std::min(exact, 2147483647.0);
  double rounded = getRounding() == Rounding::Ceil    ? std::ceil(exact)
                   : getRounding() == Rounding::Floor ? std::floor(exact)
                                                      : std::nearbyint(exact);
  return std::max<int64_t>(getMinimum(), rounded);
}

LogicalResult RoutingLimitOp::verify() {
  auto expectPositive = [&](std::optional<int64_t> value,
                            StringRef what) -> LogicalResult {
    if (!value || *value >= 1)
      return success();
    return emitOpError() << "expects " << what << " of at least 1, but got "
                         << *value
                         << "; a layer that drops nothing needs no limit";
  };
  auto toInt = [](std::optional<uint64_t> value) -> std::optional<int64_t> {
    return value ? std::optional<int64_t>(*value) : std::nullopt;
  };
  if (!getCapacity() == !getFactor())
    return emitOpError() << "expects a `capacity` or a `factor`, but has "
                         << (getFactor() ? "both" : "none");
  if (failed(expectPositive(toInt(getCapacity()), "a capacity")) ||
      failed(expectPositive(toInt(getGroupSize()), "a group size")) ||
      failed(expectPositive(getMinimum(), "a minimum")))
    return failure();
  if (getFactor()) {
    double factor = getFactor()->convertToDouble();
    if (!(factor > 0.0) || std::isinf(factor))
      return emitOpError() << "expects a finite capacity factor above 0, but "
                              "got "
                           << getFactorAttr()
                           << "; a layer that drops nothing needs no limit";
  } else if (getMinimum() != 1 || getRounding() != Rounding::Ceil) {
    return emitOpError() << "has a `"
                         << (getMinimum() != 1 ? "minimum" : "rounding")
                         << "`, which means nothing with `capacity`; it is "
                            "for `factor`";
  }
  bool byPriority = getDrop() == Drop::BatchPriority;
  if (byPriority && !getPriority())
    return emitOpError() << "expects the priority of each token with "
                            "batch_priority, (%p : tensor<?xf32>)";
  if (!byPriority && getPriority())
    return emitOpError() << "has priorities of tokens, which mean nothing with "
                         << stringifyDrop(getDrop())
                         << "; they are for batch_priority";
  if (!getPriority())
    return success();
  int64_t given = getPriority().getType().getDimSize(0);
  std::optional<int64_t> tokens = getStaticNumTokens(getRouting());
  if (tokens && !ShapedType::isDynamic(given) && given != *tokens)
    return emitOpError() << "expects priorities of the " << *tokens
                         << " tokens of the routing, but got "
                         << getPriority().getType();
  return success();
}

void RoutingLimitOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "routing");
}

LogicalResult RoutingReweighOp::verify() {
  if (!getScales() && !getWeighing())
    return emitOpError() << "expects `scales`, a list `weighing` or both";
  if (getScales()) {
    RankedTensorType scales = getScales().getType();
    auto expected = RankedTensorType::get({getRouting().getType().getExperts()},
                                          scales.getElementType());
    if (scales != expected)
      return emitOpError() << "expects scales of type " << expected
                           << ", one for each expert, but got " << scales;
  }
  if (!getWeighing())
    return success();
  for (auto [i, step] : llvm::enumerate(*getWeighing())) {
    auto emitStepError = [&, i = i] {
      return emitOpError() << "weighing #" << i << ": ";
    };
    if (failed(cast<WeighingAttrInterface>(step).verifyWeighing(emitStepError)))
      return failure();
  }
  return success();
}

void RoutingReweighOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "routing");
}
