//===- Router.cpp - moe.router -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SmallSet.h"

using namespace mlir;
using namespace moe;

LogicalResult
RouterOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc,
                           ValueRange operands, DictionaryAttr attributes,
                           OpaqueProperties properties, RegionRange regions,
                           SmallVectorImpl<Type> &inferred) {
  Adaptor adaptor(operands, attributes, properties, regions);
  Value scores = adaptor.getSelect() ? adaptor.getSelect() : adaptor.getWeigh();
  auto type = scores ? dyn_cast<RankedTensorType>(scores.getType())
                     : RankedTensorType();
  SelectionPolicyAttrInterface policy = adaptor.getPolicy();
  if (!type || type.getRank() != 2 || type.isDynamicDim(1) || !policy)
    return failInference(loc, "moe.router expects a policy and scores of a "
                              "static number of experts");
  int64_t experts = type.getDimSize(1);
  auto emitError = [&]() -> InFlightDiagnostic {
    return loc ? mlir::emitError(*loc) : InFlightDiagnostic();
  };
  int64_t slots = policy.getNumSlots(experts);
  auto routing = RoutingType::getChecked(emitError, context, experts, slots);
  if (!routing)
    return failure();
  inferred.push_back(routing);
  return success();
}

void RouterOp::build(OpBuilder &builder, OperationState &state,
                     SelectionPolicyAttrInterface policy, Value select,
                     Value weigh, ArrayRef<Attribute> weighing,
                     ValueRange operands) {
  Value scores = select ? select : weigh;
  int64_t experts = cast<RankedTensorType>(scores.getType()).getDimSize(1);
  auto type = RoutingType::get(builder.getContext(), experts,
                               policy.getNumSlots(experts));
  build(builder, state, type, policy, select, weigh, operands,
        weighing.empty() ? ArrayAttr() : builder.getArrayAttr(weighing));
}

FloatType RouterOp::getElementType() {
  if (Value scores = getScores())
    return cast<FloatType>(
        cast<RankedTensorType>(scores.getType()).getElementType());
  return Float32Type::get(getContext());
}

TypedValue<RankedTensorType> RouterOp::getTokensOperand() {
  Value from = getScores();
  for (auto [i, operand] : llvm::enumerate(getPolicyOperands()))
    if (!from && getPolicy().isTokenOperand(i))
      from = operand;
  return cast_or_null<TypedValue<RankedTensorType>>(from);
}

LogicalResult RouterOp::verify() {
  SelectionPolicyAttrInterface policy = getPolicy();
  RoutingType type = getRouting().getType();
  int64_t experts = type.getExperts();
  auto emitError = [&] { return emitOpError(); };
  if (policy.usesScores() && !getSelect())
    return emitOpError() << "expects scores in `select`, by which " << policy
                         << " selects";
  if (!policy.usesScores() && getSelect())
    return emitOpError() << "has scores in `select`, but " << policy
                         << " selects without; scores to weigh by are `weigh`";
  if (policy.providesValues() && getWeigh())
    return emitOpError() << "has scores in `weigh`, but " << policy
                         << " makes the values of the chosen experts itself";
  if (getSelect() && getWeigh() &&
      getSelect().getType() != getWeigh().getType())
    return emitOpError() << "failed to verify that all of {select, weigh} have "
                            "same type";
  if (Value scores = getScores()) {
    auto scoresType = cast<RankedTensorType>(scores.getType());
    if (failed(verifyFeatures(*this, getSelect() ? "select" : "weigh",
                              scoresType, 1, "number of experts")))
      return failure();
    experts = scoresType.getDimSize(1);
  }
  if (failed(policy.verifyPolicy(emitError, experts)) ||
      failed(policy.verifyOperands(emitError, getPolicyOperands().getTypes(),
                                   experts)))
    return failure();
  // Tokens that are counted statically are counted alike.
  int64_t tokens = ShapedType::kDynamic;
  auto checkTokens = [&](Value value) -> LogicalResult {
    int64_t size = cast<RankedTensorType>(value.getType()).getDimSize(0);
    if (!ShapedType::isDynamic(size) && !ShapedType::isDynamic(tokens) &&
        size != tokens)
      return emitOpError() << "expects as many tokens in all operands, but got "
                           << tokens << " and " << size;
    if (!ShapedType::isDynamic(size))
      tokens = size;
    return success();
  };
  if (!getTokensOperand())
    return emitOpError() << "expects an operand that has the number of tokens";
  if (getScores() && failed(checkTokens(getScores())))
    return failure();
  for (auto [i, operand] : llvm::enumerate(getPolicyOperands()))
    if (policy.isTokenOperand(i) && failed(checkTokens(operand)))
      return failure();

  int64_t slots = policy.getNumSlots(experts);
  if (type.getExperts() != experts || type.getSlots() != slots)
    return emitOpError() << "expects a result of type '!moe.routing<" << experts
                         << " x " << slots << ">', as " << policy << " of "
                         << experts << " experts gives, but got " << type;

  SmallVector<DenseElementsAttr> constants(getPolicyOperands().size());
  for (auto [operand, constant] : llvm::zip(getPolicyOperands(), constants))
    matchPattern(operand, m_Constant(&constant));
  if (failed(policy.verifyConstants(
          emitError, getPolicyOperands().getTypes(), constants, experts)))
    return failure();

  if (!getWeighing())
    return success();
  if (!getWeightsRegion().empty())
    return emitOpError() << "expects weights by a list `weighing` or by a "
                            "region `weights`, but has both";
  for (auto [i, step] : llvm::enumerate(*getWeighing())) {
    auto emitStepError = [&, i = i] {
      return emitOpError() << "weighing #" << i << ": ";
    };
    if (failed(cast<WeighingAttrInterface>(step).verifyWeighing(emitStepError)))
      return failure();
  }
  return success();
}

LogicalResult RouterOp::verifyRegions() {
  Region &region = getWeightsRegion();
  if (region.empty())
    return success();
  Type type = VectorType::get(getNumSlots(), getElementType());
  SmallVector<Type> types{type};
  if (region.getNumArguments() == 2)
    types.push_back(
        VectorType::get(getNumSlots(), IntegerType::get(getContext(), 1)));
  if (failed(verifyBodyForm(*this, region, "the region `weights`")) ||
      failed(verifyBodyArguments(
          *this, region, "the region `weights`", types, [](unsigned i) {
            return i == 0 ? "chosen values" : "which slots are used";
          })))
    return failure();
  return verifyBodyYield(*this, region, "the region `weights`", type);
}

void RouterOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getRouting(), "routing");
}

void RouterOp::getAsmBlockArgumentNames(Region &region,
                                        OpAsmSetValueNameFn setName) {
  if (region.empty())
    return;
  if (region.getNumArguments() > 0)
    setName(region.getArgument(0), "values");
  if (region.getNumArguments() > 1)
    setName(region.getArgument(1), "used");
}

Value RouterOp::buildWeights(OpBuilder &builder, Location loc, Value values,
                             Value used) {
  if (!getWeightsRegion().empty()) {
    Block &body = getWeightsRegion().front();
    SmallVector<Value> arguments{values};
    if (body.getNumArguments() == 2) {
      if (!used) {
        auto type = cast<VectorType>(body.getArgument(1).getType());
        used = arith::ConstantOp::create(
            builder, loc,
            SplatElementsAttr::get(type, builder.getBoolAttr(true)));
      }
      arguments.push_back(used);
    }
    return cloneBody(builder, body, arguments);
  }
  if (getWeighing())
    for (auto step : getWeighing()->getAsRange<WeighingAttrInterface>())
      values = step.buildWeights(builder, loc, values, used);
  return values;
}

LogicalResult RouterOp::expandWeighing(RewriterBase &rewriter) {
  if (!getWeighing())
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  SmallVector<Type> types{VectorType::get(getNumSlots(), getElementType())};
  bool full = getPolicy().fillsAllSlots(getNumExperts());
  if (!full)
    types.push_back(VectorType::get(getNumSlots(), rewriter.getI1Type()));
  Block *block =
      rewriter.createBlock(&getWeightsRegion(), {}, types,
                           SmallVector<Location>(types.size(), getLoc()));
  Value values = block->getArgument(0);
  Value used = full ? Value() : Value(block->getArgument(1));
  for (auto step : getWeighing()->getAsRange<WeighingAttrInterface>())
    values = step.buildWeights(rewriter, getLoc(), values, used);
  YieldOp::create(rewriter, getLoc(), values);
  rewriter.modifyOpInPlace(*this, [&] { removeWeighingAttr(); });
  return success();
}
