//===- Routing.cpp - Kernels that make a routing -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace moek;

//===----------------------------------------------------------------------===//
// RouteOp, IndexOp
//===----------------------------------------------------------------------===//

/// Names `results` as `parts`.
static void nameParts(ResultRange results, ArrayRef<RoutingPart> parts,
                      OpAsmSetValueNameFn setName) {
  for (auto [result, part] : llvm::zip(results, parts))
    setName(result, part.name);
}

void RouteOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  nameParts(getResults(), kRoutingParts, setName);
}

int64_t RouteOp::getSelectedSlots() {
  return getPolicy().getNumSlots(getExperts());
}

/// Checks `outputs`, the `parts` of a routing over `experts` and `slots`.
static LogicalResult verifyRoutingOutputs(Operation *op, ValueRange outputs,
                                          ArrayRef<RoutingPart> parts,
                                          int64_t experts, int64_t slots) {
  if (outputs.size() != parts.size())
    return op->emitOpError("expects ")
           << parts.size()
           << " outputs (see the dialect's routing tensors), got "
           << outputs.size();
  for (auto [part, output] : llvm::zip(parts, outputs))
    if (failed(verifyShape(
            op, part.name, output,
            part.getType(op->getContext(), experts, slots).getShape(),
            part.isInteger ? kI32 : kF32)))
      return failure();
  return success();
}

RankedTensorType RouteOp::getLogicalRouterType() {
  auto x = cast<ShapedType>(getX().getType());
  return RankedTensorType::get(
      {1, 1, static_cast<int64_t>(getExperts()), x.getDimSize(1)},
      getElementTypeOrSelf(getRouter().getType()));
}

LogicalResult RouteOp::verify() {
  int64_t experts = getExperts();
  if (experts < 1)
    return emitOpError("needs at least one expert, got ") << experts;
  if (static_cast<int64_t>(getAlways()) < 0)
    return emitOpError("cannot append ") << getAlways() << " experts";
  if (failed(getPolicy().verifyPolicy([&] { return emitOpError(); }, experts)))
    return failure();
  if (!getX() != !getRouter())
    return emitOpError("needs both operands of 'logits' or none");
  SmallVector<Type> scoreArgs;
  Type row = VectorType::get({experts}, Float32Type::get(getContext()));
  if (getX()) {
    if (failed(verifyShape(*this, "x", getX(), {-1, -1}, kF32)))
      return failure();
    int64_t k = cast<ShapedType>(getX().getType()).getDimSize(1);
    if (ShapedType::isDynamic(k))
      return emitOpError("'x' rows must be of static length, got ")
             << getX().getType();
    auto router = cast<ShapedType>(getRouter().getType());
    if (!router.hasStaticShape())
      return emitOpError("'router' must be static, got ") << router;
    // Which layouts there are is the schedule's business.
    if (!getSchedule() && failed(verifyShape(*this, "router", getRouter(),
                                             {1, 1, experts, k}, kF32)))
      return failure();
    scoreArgs.push_back(row);
  }
  for (Value v : getRows()) {
    if (failed(verifyShape(*this, "rows", v, {-1, experts}, kF32)))
      return failure();
    scoreArgs.push_back(row);
  }
  for (Value v : getColumns()) {
    if (failed(verifyShape(*this, "columns", v, {experts, -1}, kF32)))
      return failure();
    scoreArgs.push_back(row);
  }
  for (Value v : getVectors()) {
    if (failed(verifyShape(*this, "vectors", v, {experts}, kF32)))
      return failure();
    scoreArgs.push_back(row);
  }
  for (Value v : getScalars()) {
    if (failed(verifyShape(*this, "scalars", v, {-1}, kF32)))
      return failure();
    scoreArgs.push_back(Float32Type::get(getContext()));
  }
  if (failed(getPolicy().verifyOperands([&] { return emitOpError(); },
                                        getPolicyOperands().getTypes(),
                                        experts)))
    return failure();
  if (getPolicy().seesAllTokens())
    return emitOpError()
           << "cannot select by " << getPolicy()
           << ", which sees all tokens; it is a kernel of its own";
  if (getPolicy().usesScores() && !getX() && getRows().empty() &&
      getColumns().empty())
    return emitOpError("needs 'logits', 'rows' or 'columns' to score");
  Block &scores = getScores().front();
  if (scores.getArgumentTypes() != ArrayRef<Type>(scoreArgs))
    return emitOpError("the scores region must take ")
           << scoreArgs.size() << " arguments of " << row
           << " (f32 for scalars)";
  SmallVector<Type> yields(getPolicy().usesScores() ? 1 : 0, row);
  SmallVector<Type> both(yields);
  if (!getPolicy().providesValues())
    both.push_back(row);
  auto yielded = scores.getTerminator()->getOperandTypes();
  if (yielded != ArrayRef<Type>(yields) && yielded != ArrayRef<Type>(both))
    return emitOpError("the scores region must yield the values to select by "
                       "if the policy uses scores, and the values to weigh by "
                       "unless it provides them or they are 1, each ")
           << row;
  Type slots =
      VectorType::get({getSelectedSlots()}, Float32Type::get(getContext()));
  Block &weigh = getWeigh().front();
  SmallVector<Type> weighArgs{slots};
  if (!getPolicy().fillsAllSlots(experts))
    weighArgs.push_back(VectorType::get({getSelectedSlots()},
                                        IntegerType::get(getContext(), 1)));
  bool partial = weighArgs.size() == 2;
  for (Value v : getPerExpert()) {
    if (failed(verifyShape(*this, "per_expert", v, {experts}, kF32)))
      return failure();
    weighArgs.push_back(slots);
  }
  if (weigh.getArgumentTypes() != ArrayRef<Type>(weighArgs) ||
      weigh.getTerminator()->getOperandTypes() != ArrayRef<Type>{slots})
    return emitOpError("the weigh region must take and yield ")
           << slots << (partial ? ", take which slots are used" : "")
           << (getPerExpert().empty() ? ""
                                      : ", and take one more of it per "
                                        "'per_expert'");
  if (getAlwaysWeights() &&
      failed(verifyShape(*this, "always_weights", getAlwaysWeights(),
                         {-1, static_cast<int64_t>(getAlways())}, kF32)))
    return failure();
  if (getCapacity() && static_cast<int64_t>(*getCapacity()) < 1)
    return emitOpError("capacity must be positive");
  if (failed(verifyRoutingOutputs(*this, getOutputs(), kRoutingParts,
                                  getTotalExperts(), getTotalSlots())))
    return failure();
  if (getSchedule() && failed(getSchedule()->verifySchedule(*this)))
    return failure();
  return verifyResults(*this);
}

void IndexOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  nameParts(getResults(), getRoutingLists(), setName);
}

void IndexOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  detail::getDestinationEffects(*this, effects);
  // Like moe_rt.trace.
  if (getTraced()) {
    effects.emplace_back(MemoryEffects::Read::get());
    effects.emplace_back(MemoryEffects::Write::get());
  }
}

LogicalResult IndexOp::verify() {
  if (static_cast<int64_t>(getExperts()) < 1)
    return emitOpError("needs at least one expert, got ") << getExperts();
  auto type = cast<ShapedType>(getIndices().getType());
  if (failed(verifyShape(*this, "indices", getIndices(), {-1, -1}, kI32)) ||
      failed(verifyCount(*this, "slots", getIndices())))
    return failure();
  int64_t slots = type.getDimSize(1);
  if (failed(verifyShape(*this, "weights", getWeights(), {-1, slots}, kF32)) ||
      failed(verifyRoutingOutputs(*this, getOutputs(), getRoutingLists(),
                                  getExperts(), slots)))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// ExpertChoiceOp
//===----------------------------------------------------------------------===//

/// Checks that an op makes one output of the shape of its scores `[T, E]`, called
/// `output`.
template <typename OpTy>
static LogicalResult verifyOfScores(OpTy op, StringRef output,
                                    const Elements &elements) {
  if (failed(verifyShape(op, "scores", op.getScores(), {-1, -1}, kF32)) ||
      failed(verifyCount(op, "experts", op.getScores())))
    return failure();
  int64_t experts = cast<ShapedType>(op.getScores().getType()).getDimSize(1);
  if (op.getOutputs().size() != 1)
    return op.emitOpError("expects 1 output, the ")
           << output << ", got " << op.getOutputs().size();
  if (failed(verifyShape(op, output, op.getOutputs()[0], {-1, experts},
                         elements)))
    return failure();
  return verifyResults(op);
}

void ExpertChoiceOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  nameParts(getResults(), kRoutingParts, setName);
}

LogicalResult ExpertChoiceOp::verify() {
  return verifyOfScores(*this, "indices", kI32);
}

//===----------------------------------------------------------------------===//
// LimitOp, SinkhornOp
//===----------------------------------------------------------------------===//

void LimitOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  nameParts(getResults(), kRoutingParts, setName);
}

LogicalResult LimitOp::verify() {
  if (static_cast<int64_t>(getExperts()) < 1)
    return emitOpError("needs at least one expert, got ") << getExperts();
  if (!getCapacity() == !getFactor())
    return emitOpError("needs a capacity or a factor, got ")
           << (getFactor() ? "both" : "none");
  if ((getCapacity() && static_cast<int64_t>(*getCapacity()) < 1) ||
      (getFactor() && !(getFactor()->convertToDouble() > 0.0)) ||
      static_cast<int64_t>(getMinimum()) < 1 ||
      (getGroupSize() && static_cast<int64_t>(*getGroupSize()) < 1))
    return emitOpError("capacity, factor, minimum and group size must be "
                       "positive");
  auto type = cast<ShapedType>(getIndices().getType());
  if (failed(verifyShape(*this, "indices", getIndices(), {-1, -1}, kI32)))
    return failure();
  if (failed(verifyCount(*this, "slots", getIndices())))
    return failure();
  int64_t slots = type.getDimSize(1);
  if (getOutputs().size() != 2)
    return emitOpError("expects 2 outputs, indices and weights, got ")
           << getOutputs().size();
  if (failed(verifyShape(*this, "weights", getWeights(), {-1, slots}, kF32)) ||
      failed(
          verifyShape(*this, "indices", getOutputs()[0], {-1, slots}, kI32)) ||
      failed(verifyShape(*this, "weights", getOutputs()[1], {-1, slots}, kF32)))
    return failure();
  bool byPriority = getDrop() == moe::Drop::BatchPriority;
  if (byPriority != bool(getPriority()))
    return emitOpError() << (byPriority ? "needs 'priority' to drop by "
                                        : "has a 'priority' but drops by ")
                         << moe::stringifyDrop(getDrop());
  if (getPriority() &&
      failed(verifyShape(*this, "priority", getPriority(), {-1}, kF32)))
    return failure();
  return verifyResults(*this);
}

void SinkhornOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  for (Value result : getResults())
    setName(result, "plan");
}

LogicalResult SinkhornOp::verify() {
  if (static_cast<int64_t>(getIterations()) < 1)
    return emitOpError("needs at least one iteration, got ") << getIterations();
  if (!(getTolerance().convertToDouble() >= 0.0))
    return emitOpError("needs a tolerance of at least 0");
  return verifyOfScores(*this, "plan", kF32);
}

//===----------------------------------------------------------------------===//
// WindowOp
//===----------------------------------------------------------------------===//

void WindowOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  static constexpr StringLiteral names[] = {"offsets", "active", "tokens",
                                            "row_weights"};
  for (auto [result, name] : llvm::zip(getResults(), names))
    setName(result, name);
}

LogicalResult WindowOp::verify() {
  if (failed(verifyShape(*this, "offsets", getOffsets(), {-1}, kI32)))
    return failure();
  auto offsets = cast<ShapedType>(getOffsets().getType());
  int64_t length = offsets.getDimSize(0);
  if (offsets.isDynamicDim(0) || length < 2)
    return emitOpError("'offsets' must be one more than the experts, static, "
                       "got ")
           << offsets;
  if (failed(verifyShape(*this, "active", getActive(), {length}, kI32)) ||
      failed(verifyShape(*this, "tokens", getTokens(), {-1}, kI32)) ||
      (getRowWeights() &&
       failed(verifyShape(*this, "row_weights", getRowWeights(), {-1}, kF32))))
    return failure();
  unsigned parts = getRowWeights() ? 4 : 3;
  if (getOutputs().size() != parts)
    return emitOpError("expects an output for each of its ")
           << parts << " inputs, got " << getOutputs().size();
  if (failed(verifyShape(*this, "outs", getOutputs()[0], {length}, kI32)) ||
      failed(verifyShape(*this, "outs", getOutputs()[1], {length}, kI32)) ||
      failed(verifyShape(*this, "outs", getOutputs()[2], {-1}, kI32)) ||
      (getRowWeights() &&
       failed(verifyShape(*this, "outs", getOutputs()[3], {-1}, kF32))))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// VerifyRoutingOp
//===----------------------------------------------------------------------===//

void VerifyRoutingOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  if (isa<MemRefType>(getIndices().getType()))
    effects.emplace_back(MemoryEffects::Read::get(), &getIndicesMutable(),
                         SideEffects::DefaultResource::get());
}

LogicalResult VerifyRoutingOp::verify() {
  if (failed(verifyShape(*this, "indices", getIndices(), {-1, -1}, kI32)))
    return failure();
  if (failed(verifyCount(*this, "slots", getIndices())))
    return failure();
  if (static_cast<int64_t>(getExperts()) < 1)
    return emitOpError("needs at least one expert, got ") << getExperts();
  return success();
}
