//===- Expert.cpp - moe.dispatch, moe.expert, moe.combine and moe.yield -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace moe;

//===----------------------------------------------------------------------===//
// DispatchOp
//===----------------------------------------------------------------------===//

LogicalResult DispatchOp::inferReturnTypes(MLIRContext *,
                                           std::optional<Location> loc,
                                           ValueRange operands, DictionaryAttr,
                                           OpaqueProperties, RegionRange,
                                           SmallVectorImpl<Type> &inferred) {
  auto type = operands.empty()
                  ? RankedTensorType()
                  : dyn_cast<RankedTensorType>(operands[0].getType());
  if (!type || type.getRank() != 2)
    return failInference(loc, "moe.dispatch expects x of two dimensions");
  inferred.push_back(RankedTensorType::get(
      {ShapedType::kDynamic, type.getDimSize(1)}, type.getElementType()));
  return success();
}

LogicalResult DispatchOp::verify() {
  RankedTensorType type = getX().getType();
  if (failed(verifyStaticDim(*this, "x", type, 1, "hidden size")))
    return failure();
  auto expected = RankedTensorType::get(
      {ShapedType::kDynamic, type.getDimSize(1)}, type.getElementType());
  if (failed(verifyStaticDim(*this, "the result", getRows().getType(), 1,
                             "hidden size")) ||
      failed(verifyType(*this, "a result", getRows().getType(), expected,
                        ", rows like those of x")))
    return failure();
  if (getWeighted() && !isa<FloatType>(type.getElementType()))
    return emitOpError() << "multiplies floats by weights, but got " << type;
  int64_t tokens = type.getDimSize(0), rows = getRows().getType().getDimSize(0);
  int64_t slots = getRouting().getType().getSlots();
  if (!ShapedType::isDynamic(tokens) && !ShapedType::isDynamic(rows) &&
      static_cast<int64_t>(llvm::divideCeil(rows, slots)) > tokens)
    return emitOpError() << "expects at most " << tokens * slots
                         << " rows, for " << tokens << " tokens in " << slots
                         << " slots each, but got " << getRows().getType();
  return success();
}

void DispatchOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getRows(), "rows");
}

LogicalResult
DispatchOp::reifyResultShapes(OpBuilder &b,
                              ReifiedRankedShapedTypeDims &shapes) {
  OpFoldResult rows = reifyDim(b, getRows(), 0, [&] {
    return buildNumAssignments(b, getLoc(), getRouting());
  });
  shapes.push_back({rows, b.getIndexAttr(getRows().getType().getDimSize(1))});
  return success();
}

//===----------------------------------------------------------------------===//
// ExpertOp
//===----------------------------------------------------------------------===//

void ExpertOp::build(
    OpBuilder &builder, OperationState &state, Type result, Value rows,
    Value routing, ValueRange weights,
    function_ref<void(OpBuilder &, Location, ValueRange)> body) {
  OpBuilder::InsertionGuard guard(builder);
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  build(builder, state, result, rows, routing, weights, /*others=*/{},
        {0, experts}, {static_cast<int64_t>(weights.size())});

  auto rowsType = cast<RankedTensorType>(rows.getType());
  SmallVector<Type> types{
      RankedTensorType::get({ShapedType::kDynamic, rowsType.getDimSize(1)},
                            rowsType.getElementType())};
  for (Value weight : weights) {
    auto type = cast<RankedTensorType>(weight.getType());
    types.push_back(RankedTensorType::get(type.getShape().drop_front(),
                                          type.getElementType(),
                                          type.getEncoding()));
  }
  Block *block =
      builder.createBlock(state.regions.front().get(), {}, types,
                          SmallVector<Location>(types.size(), state.location));
  body(builder, state.location, block->getArguments());
}

void ExpertOp::build(OpBuilder &builder, OperationState &state, Type result,
                     Value rows, Value routing, ValueRange weights,
                     ValueRange others, ArrayRef<int64_t> bounds,
                     ArrayRef<int64_t> weightCounts) {
  state.addOperands({rows, routing});
  state.addOperands(weights);
  state.addOperands(others);
  state.addTypes(result);
  Properties &properties = state.getOrAddProperties<Properties>();
  properties.operandSegmentSizes = {1, 1, static_cast<int32_t>(weights.size()),
                                    static_cast<int32_t>(others.size())};
  properties.bounds = builder.getDenseI64ArrayAttr(bounds);
  properties.weight_counts = builder.getDenseI64ArrayAttr(weightCounts);
  for (size_t i = 0; i < weightCounts.size(); ++i)
    state.addRegion();
}

OperandRange ExpertOp::getGroupWeights(unsigned i) {
  ArrayRef<int64_t> counts = getWeightCounts();
  int64_t begin = 0;
  for (int64_t count : counts.take_front(i))
    begin += count;
  return getWeights().slice(begin, counts[i]);
}

ValueRange ExpertOp::getWeightArguments(unsigned i) {
  return getGroupBody(i).getArguments().slice(1, getWeightCounts()[i]);
}

ValueRange ExpertOp::getOtherArguments(unsigned i) {
  return getGroupBody(i).getArguments().drop_front(1 + getWeightCounts()[i]);
}

ParseResult ExpertOp::parse(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::UnresolvedOperand rows, routing;
  FunctionType type;
  SMLoc operandsLoc = parser.getCurrentLocation();
  SmallVector<OpAsmParser::UnresolvedOperand> others;
  SmallVector<Type> otherTypes;
  SMLoc othersLoc;
  if (parser.parseOperand(rows) || parser.parseKeyword("by") ||
      parser.parseOperand(routing))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("with"))) {
    othersLoc = parser.getCurrentLocation();
    if (parser.parseLParen() || parser.parseOperandList(others) ||
        parser.parseColonTypeList(otherTypes) || parser.parseRParen())
      return failure();
  }
  if (parser.parseOptionalAttrDict(result.attributes))
    return failure();
  SMLoc typeLoc = parser.getCurrentLocation();
  if (parser.parseColonType(type))
    return failure();
  if (type.getNumInputs() != 2 || type.getNumResults() != 1)
    return parser.emitError(typeLoc)
           << "expected a type (rows, routing) -> result, but got " << type;
  result.addTypes(type.getResults());
  if (parser.resolveOperands({rows, routing}, type.getInputs(), operandsLoc,
                             result.operands))
    return failure();

  SmallVector<int64_t> bounds{0}, counts;
  if (parser.parseKeyword("experts"))
    return failure();
  do {
    SMLoc beginLoc = parser.getCurrentLocation();
    int64_t begin, end;
    if (parser.parseInteger(begin) || parser.parseKeyword("to") ||
        parser.parseInteger(end))
      return failure();
    if (begin != bounds.back())
      return parser.emitError(beginLoc)
             << "expected a group that begins with expert " << bounds.back()
             << ", where the one before it ends, but got " << begin;
    bounds.push_back(end);

    SmallVector<OpAsmParser::UnresolvedOperand> weights;
    SmallVector<Type> types;
    SMLoc weightsLoc = parser.getCurrentLocation();
    if (succeeded(parser.parseOptionalKeyword("weights"))) {
      if (parser.parseLParen() || parser.parseOperandList(weights) ||
          parser.parseColonTypeList(types) || parser.parseRParen())
        return failure();
    }
    if (parser.resolveOperands(weights, types, weightsLoc, result.operands))
      return failure();
    counts.push_back(weights.size());
    if (parser.parseRegion(*result.addRegion()))
      return failure();
  } while (succeeded(parser.parseOptionalKeyword("experts")));

  size_t numWeights = result.operands.size() - 2;
  if (parser.resolveOperands(others, otherTypes, othersLoc, result.operands))
    return failure();
  Builder &builder = parser.getBuilder();
  Properties &properties = result.getOrAddProperties<Properties>();
  properties.operandSegmentSizes = {1, 1, static_cast<int32_t>(numWeights),
                                    static_cast<int32_t>(others.size())};
  properties.bounds = builder.getDenseI64ArrayAttr(bounds);
  properties.weight_counts = builder.getDenseI64ArrayAttr(counts);
  return success();
}

void ExpertOp::print(OpAsmPrinter &p) {
  p << ' ' << getRows() << " by " << getRouting();
  if (!getOthers().empty())
    p << " with(" << getOthers() << " : " << getOthers().getTypes() << ')';
  p.printOptionalAttrDict((*this)->getAttrs(),
                          {getBoundsAttrName(), getWeightCountsAttrName(),
                           getOperandSegmentSizesAttrName()});
  p << " : (" << getRows().getType() << ", " << getRouting().getType()
    << ") -> " << getResult().getType();
  p.printNewline();
  for (auto [i, region] : llvm::enumerate(getGroups())) {
    p << (i == 0 ? "experts " : " experts ") << getGroupBegin(i) << " to "
      << getGroupEnd(i);
    OperandRange weights = getGroupWeights(i);
    if (!weights.empty())
      p << " weights(" << weights << " : " << weights.getTypes() << ')';
    p << ' ';
    p.printRegion(region);
  }
}

LogicalResult ExpertOp::verify() {
  ArrayRef<int64_t> bounds = getBounds(), counts = getWeightCounts();
  size_t numGroups = getGroups().size();
  int64_t experts = getRouting().getType().getExperts();
  if (numGroups == 0)
    return emitOpError() << "expects at least one group of experts";
  if (bounds.size() != numGroups + 1 || counts.size() != numGroups)
    return emitOpError() << "expects " << numGroups + 1 << " bounds and "
                         << numGroups << " weight counts for its " << numGroups
                         << " regions, but got " << bounds.size() << " and "
                         << counts.size();
  if (bounds.front() != 0)
    return emitOpError() << "expects its first group to begin with expert 0, "
                            "but it begins with "
                         << bounds.front();
  for (size_t i = 0; i < numGroups; ++i)
    if (bounds[i + 1] <= bounds[i])
      return emitOpError() << "expects group #" << i
                           << " to hold at least one expert, but it goes from "
                           << bounds[i] << " to " << bounds[i + 1];
  if (bounds.back() != experts)
    return emitOpError() << "expects its groups to cover the " << experts
                         << " experts of " << getRouting().getType()
                         << ", but they end with " << bounds.back();
  size_t total = 0;
  for (int64_t count : counts) {
    if (count < 0 || count > static_cast<int64_t>(getWeights().size()))
      return emitOpError() << "expects weight counts of 0 to "
                           << getWeights().size() << ", but got " << count;
    total += count;
  }
  if (total != getWeights().size())
    return emitOpError() << "expects weight counts that add up to its "
                         << getWeights().size() << " weights, but they add up "
                         << "to " << total;

  if (failed(verifyFeatures(*this, "rows", getRows().getType(), 1,
                            "hidden size")) ||
      failed(verifyFeatures(*this, "the result", getResult().getType(), 1,
                            "hidden size")))
    return failure();
  int64_t in = getRows().getType().getDimSize(0);
  int64_t out = getResult().getType().getDimSize(0);
  if (!ShapedType::isDynamic(in) && !ShapedType::isDynamic(out) && in != out)
    return emitOpError() << "expects a result of as many rows as it is given, "
                         << in << ", but got " << getResult().getType();

  for (auto [i, other] : llvm::enumerate(getOthers())) {
    std::string name = ("rows #" + Twine(i) + " of `with`").str();
    if (failed(verifyFeatures(*this, name, other.getType(), 1, "size")))
      return failure();
    int64_t own = cast<RankedTensorType>(other.getType()).getDimSize(0);
    if (!ShapedType::isDynamic(in) && !ShapedType::isDynamic(own) && in != own)
      return emitOpError() << "expects " << name
                           << " to be as many as its rows, " << in
                           << ", but got " << other.getType();
  }

  for (size_t i = 0; i < numGroups; ++i) {
    for (auto [j, weight] : llvm::enumerate(getGroupWeights(i))) {
      auto type = cast<RankedTensorType>(weight.getType());
      if (type.getRank() < 1 || type.getDimSize(0) != getGroupSize(i))
        return emitOpError()
               << "expects weight #" << j << " of group #" << i
               << " to have a first dimension of " << getGroupSize(i)
               << ", the number of experts from " << getGroupBegin(i) << " to "
               << getGroupEnd(i) << ", but got " << type;
      if (llvm::is_contained(type.getShape(), 0))
        return emitOpError() << "expects weight #" << j << " of group #" << i
                             << " to have elements, but got " << type;
    }
  }
  return success();
}

LogicalResult ExpertOp::verifyRegions() {
  auto withAnyRows = [](RankedTensorType type) {
    return RankedTensorType::get({ShapedType::kDynamic, type.getDimSize(1)},
                                 type.getElementType());
  };
  for (auto [i, region] : llvm::enumerate(getGroups())) {
    std::string name = ("the body of group #" + Twine(i)).str();
    SmallVector<Type> types{withAnyRows(getRows().getType())};
    for (Value weight : getGroupWeights(i)) {
      auto type = cast<RankedTensorType>(weight.getType());
      types.push_back(RankedTensorType::get(type.getShape().drop_front(),
                                            type.getElementType(),
                                            type.getEncoding()));
    }
    for (Value other : getOthers())
      types.push_back(withAnyRows(cast<RankedTensorType>(other.getType())));
    auto describe = [numWeights =
                         getWeightCounts()[i]](unsigned i) -> std::string {
      if (i == 0)
        return "rows of one expert";
      if (i > numWeights)
        return ("rows #" + Twine(i - 1 - numWeights) + " of `with`").str();
      return ("slice of weight #" + Twine(i - 1)).str();
    };
    if (failed(verifyBodyForm(*this, region, name)) ||
        failed(verifyBodyArguments(*this, region, name, types, describe)) ||
        failed(verifyBodyYield(*this, region, name,
                               withAnyRows(getResult().getType()))))
      return failure();
  }
  return success();
}

void ExpertOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "expert_rows");
}

void ExpertOp::getAsmBlockArgumentNames(Region &region,
                                        OpAsmSetValueNameFn setName) {
  if (!region.empty() && region.getNumArguments() > 0)
    setName(region.getArgument(0), "own");
}

LogicalResult ExpertOp::reifyResultShapes(OpBuilder &b,
                                          ReifiedRankedShapedTypeDims &shapes) {
  OpFoldResult rows = reifyDim(
      b, getResult(), 0, [&] { return buildDim(b, getLoc(), getRows(), 0); });
  shapes.push_back({rows, b.getIndexAttr(getResult().getType().getDimSize(1))});
  return success();
}

//===----------------------------------------------------------------------===//
// CombineOp
//===----------------------------------------------------------------------===//

LogicalResult CombineOp::verify() {
  RankedTensorType type = getRows().getType();
  if (failed(verifyStaticDim(*this, "rows", type, 1, "hidden size")) ||
      failed(verifyStaticDim(*this, "the result", getResult().getType(), 1,
                             "hidden size")))
    return failure();
  auto expected = RankedTensorType::get(
      {ShapedType::kDynamic, type.getDimSize(1)}, type.getElementType());
  if (failed(verifyType(*this, "a result", getResult().getType(), expected,
                        ", rows like those it sums")))
    return failure();
  if (!getUnweighted() && !isa<FloatType>(type.getElementType()))
    return emitOpError() << "multiplies floats by weights, but got " << type
                         << "; integers can be added `unweighted`";
  if (getInit() && getInit().getType() != getResult().getType())
    return emitOpError() << "expects init of the type of the result, "
                         << getResult().getType() << ", but got "
                         << getInit().getType();
  return success();
}

void CombineOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "combined");
}

LogicalResult
CombineOp::reifyResultShapes(OpBuilder &b,
                             ReifiedRankedShapedTypeDims &shapes) {
  OpFoldResult tokens = reifyDim(b, getResult(), 0, [&] {
    return getInit() ? buildDim(b, getLoc(), getInit(), 0)
                     : buildNumTokens(b, getLoc(), getRouting());
  });
  shapes.push_back(
      {tokens, b.getIndexAttr(getResult().getType().getDimSize(1))});
  return success();
}

//===----------------------------------------------------------------------===//
// YieldOp
//===----------------------------------------------------------------------===//

LogicalResult YieldOp::verify() {
  // Ops of other dialects may end their bodies with moe.yield, but a function
  // returns nothing that way.
  Operation *parent = (*this)->getParentOp();
  if (parent && parent->hasTrait<OpTrait::IsIsolatedFromAbove>())
    return emitOpError() << "expects to be in the body of an op such as "
                            "moe.expert, but is in '"
                         << parent->getName() << "'";
  return success();
}
