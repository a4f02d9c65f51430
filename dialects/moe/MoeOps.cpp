//===- MoeOps.cpp - Ops of the moe dialect ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Syntax, verifiers, type and shape inference of the ops, and the IR they can
// write themselves out as. Folds and canonicalizations are in MoeFolds.cpp.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>

using namespace mlir;
using namespace moe;

/// The type of the scores and an arrow; nothing where there are no scores.
static ParseResult
parseScoreTypes(OpAsmParser &parser,
                std::optional<OpAsmParser::UnresolvedOperand> select,
                std::optional<OpAsmParser::UnresolvedOperand> weigh,
                Type &selectType, Type &weighType) {
  if (select || weigh) {
    Type type;
    if (parser.parseType(type) || parser.parseArrow())
      return failure();
    if (select)
      selectType = type;
    if (weigh)
      weighType = type;
  }
  return success();
}

static void printScoreTypes(OpAsmPrinter &printer, Operation *, Value select,
                            Value weigh, Type selectType, Type weighType) {
  if (select || weigh)
    printer << (select ? selectType : weighType) << " -> ";
}

#define GET_OP_CLASSES
#include "moe/MoeOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

/// Whether two types differ at most in that one has a dynamic size where the
/// other has a static one.
static bool areCompatible(Type a, Type b) {
  return getElementTypeOrSelf(a) == getElementTypeOrSelf(b) &&
         succeeded(verifyCompatibleShape(a, b));
}

/// Checks that dimension `dim` of a value, called `name`, is static.
static LogicalResult verifyStaticDim(Operation *op, StringRef name, Type type,
                                     unsigned dim, StringRef what) {
  if (!cast<RankedTensorType>(type).isDynamicDim(dim))
    return success();
  return op->emitOpError() << "expects a static " << what << ", dimension "
                           << dim << " of " << name << ", but got " << type;
}

/// Checks that a value, called `name`, has a type that differs from `expected`
/// at most in dynamic sizes.
static LogicalResult verifyType(Operation *op, StringRef name, Type type,
                                Type expected, const Twine &reason) {
  if (areCompatible(type, expected))
    return success();
  return op->emitOpError() << "expects " << name << " of type " << expected
                           << reason << ", but got " << type;
}

/// Checks the result of a view of a routing: only its first size may be
/// dynamic.
static LogicalResult verifyView(Operation *op, Type type, Type expected,
                                const Twine &reason) {
  if (failed(verifyType(op, "a result", type, expected, reason)))
    return failure();
  for (int64_t dim = 1, e = cast<RankedTensorType>(type).getRank(); dim < e;
       ++dim)
    if (failed(verifyStaticDim(op, "the result", type, dim, "number of slots")))
      return failure();
  return success();
}

/// Checks that a body is one block that ends in moe.yield.
static LogicalResult verifyBodyForm(Operation *op, Region &region,
                                    const Twine &name) {
  if (!region.hasOneBlock())
    return op->emitOpError()
           << "expects " << name << " to be one block, but it has "
           << region.getBlocks().size();
  Operation &last = region.front().back();
  if (isa<YieldOp>(last))
    return success();
  InFlightDiagnostic diag = op->emitOpError()
                            << "expects " << name << " to end with moe.yield";
  diag.attachNote(last.getLoc())
      << "it ends here, with '" << last.getName() << "'";
  return diag;
}

/// Checks what a body yields.
static LogicalResult verifyBodyYield(Operation *op, Region &region,
                                     const Twine &name, Type expected) {
  auto yield = cast<YieldOp>(region.front().back());
  if (yield.getNumOperands() == 1 && yield.getOperand(0).getType() == expected)
    return success();
  InFlightDiagnostic diag = op->emitOpError()
                            << "expects " << name << " to yield one value of "
                            << expected << ", but it yields "
                            << yield.getNumOperands();
  if (yield.getNumOperands() == 1)
    diag << " of " << yield.getOperand(0).getType();
  diag.attachNote(yield.getLoc()) << "yielded here";
  return diag;
}

/// Checks the arguments of a body; `describe` says what each one is.
static LogicalResult
verifyBodyArguments(Operation *op, Region &region, const Twine &name,
                    TypeRange expected,
                    function_ref<std::string(unsigned)> describe) {
  Block &block = region.front();
  if (block.getNumArguments() != expected.size()) {
    InFlightDiagnostic diag = op->emitOpError()
                              << "expects " << name << " to have "
                              << expected.size() << " arguments (";
    llvm::interleaveComma(llvm::seq<unsigned>(0, expected.size()), diag,
                          [&](unsigned i) { diag << describe(i); });
    return diag << "), but it has " << block.getNumArguments();
  }
  for (auto [i, pair] :
       llvm::enumerate(llvm::zip(block.getArguments(), expected))) {
    auto [argument, type] = pair;
    if (argument.getType() == type)
      continue;
    InFlightDiagnostic diag = op->emitOpError()
                              << "expects argument #" << i << " of " << name
                              << " (" << describe(i) << ") to be " << type
                              << ", but got " << argument.getType();
    diag.attachNote(argument.getLoc()) << "argument is here";
    return diag;
  }
  return success();
}

/// f64 for f64, else f32: the type sums are formed in.
static FloatType getAccumulatorFor(Type type) {
  Type element = getElementTypeOrSelf(type);
  if (element.isF64())
    return cast<FloatType>(element);
  return Float32Type::get(type.getContext());
}

/// The size of dimension `dim` of a reified result: an attribute if static,
/// else what `dynamic` builds.
static OpFoldResult reifyDim(OpBuilder &b, Value result, int64_t dim,
                             function_ref<Value()> dynamic) {
  auto type = cast<RankedTensorType>(result.getType());
  if (!type.isDynamicDim(dim))
    return b.getIndexAttr(type.getDimSize(dim));
  return dynamic();
}

static Value buildDim(OpBuilder &b, Location loc, Value tensor, int64_t dim) {
  return b.createOrFold<tensor::DimOp>(loc, tensor, dim);
}

/// A, the number of assignments: the last offset.
static Value buildNumAssignments(OpBuilder &b, Location loc, Value routing) {
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  Value offsets = RoutingOffsetsOp::create(b, loc, routing);
  Value last = arith::ConstantIndexOp::create(b, loc, experts);
  Value count = tensor::ExtractOp::create(b, loc, offsets, last);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), count);
}

static Value buildNumTokens(OpBuilder &b, Location loc, Value routing) {
  return b.createOrFold<RoutingNumTokensOp>(loc, routing);
}

/// The types that are wrong were reported, or will be, by the verifier.
static LogicalResult failInference(std::optional<Location> loc,
                                   StringRef message) {
  return emitOptionalError(loc, message);
}

/// Clones the ops of a body up to its yield and returns the value yielded.
/// Values from outside of the body stay as they are.
static Value cloneBody(OpBuilder &builder, Block &body, ValueRange args) {
  IRMapping map;
  map.map(body.getArguments(), args);
  for (Operation &op : body.without_terminator())
    builder.clone(op, map);
  return map.lookupOrDefault(body.getTerminator()->getOperand(0));
}

//===----------------------------------------------------------------------===//
// RouterOp
//===----------------------------------------------------------------------===//

LogicalResult
RouterOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc,
                           ValueRange operands, DictionaryAttr attributes,
                           OpaqueProperties properties, RegionRange regions,
                           SmallVectorImpl<Type> &inferred) {
  Adaptor adaptor(operands, attributes, properties, regions);
  Value scores = adaptor.getSelect() ? adaptor.getSelect() : adaptor.getWeigh();
  auto type =
      scores ? dyn_cast<RankedTensorType>(scores.getType()) : RankedTensorType();
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

/// Checks ids and the table of a hash router where they are constants; at run
/// time a call fails with them.
static LogicalResult verifyHashConstants(RouterOp op, HashAttr hash,
                                         int64_t experts) {
  bool hasTable = hash.getKind() == HashKind::Table;
  ValueRange operands = op.getPolicyOperands();
  DenseIntElementsAttr values;
  if (matchPattern(operands[0], m_Constant(&values))) {
    int64_t end = hasTable ? cast<RankedTensorType>(operands[1].getType())
                                 .getDimSize(0)
                           : std::numeric_limits<int64_t>::max();
    for (auto [i, value] : llvm::enumerate(values.getValues<APInt>())) {
      int64_t id = value.getSExtValue();
      if (id >= 0 && id < end)
        continue;
      InFlightDiagnostic diag = op.emitOpError() << "expects ids ";
      if (hasTable)
        diag << "from 0 to " << end - 1;
      else
        diag << "of at least 0";
      return diag << " for " << hash << ", but ids[" << i << "] is " << id;
    }
  }
  if (!hasTable || !matchPattern(operands[1], m_Constant(&values)))
    return success();
  llvm::SmallSet<int64_t, 16> seen;
  for (auto [i, value] : llvm::enumerate(values.getValues<APInt>())) {
    int64_t expert = value.getSExtValue();
    int64_t id = i / hash.getK(), slot = i % hash.getK();
    if (slot == 0)
      seen.clear();
    if (expert < 0 || expert >= experts)
      return op.emitOpError() << "expects experts from 0 to " << experts - 1
                              << " in the table of " << hash << ", but table["
                              << id << ", " << slot << "] is " << expert;
    if (!seen.insert(expert).second)
      return op.emitOpError()
             << "expects different experts in each row of the table of " << hash
             << ", but table[" << id << ", " << slot << "] repeats " << expert;
  }
  return success();
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
  if (getSelect() && getWeigh() && getSelect().getType() != getWeigh().getType())
    return emitOpError() << "failed to verify that all of {select, weigh} have "
                            "same type";
  if (Value scores = getScores()) {
    auto scoresType = cast<RankedTensorType>(scores.getType());
    if (failed(verifyStaticDim(*this, getSelect() ? "select" : "weigh",
                               scoresType, 1, "number of experts")))
      return failure();
    experts = scoresType.getDimSize(1);
    if (experts < 1)
      return emitOpError() << "expects scores of at least one expert, but got "
                           << scoresType;
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

  if (auto hash = dyn_cast<HashAttr>(Attribute(policy));
      hash && failed(verifyHashConstants(*this, hash, experts)))
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
  state.addOperands({rows, routing});
  state.addOperands(weights);
  state.addTypes(result);
  Properties &properties = state.getOrAddProperties<Properties>();
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  properties.bounds = builder.getDenseI64ArrayAttr({0, experts});
  properties.weight_counts =
      builder.getDenseI64ArrayAttr({static_cast<int64_t>(weights.size())});

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
  Region *region = state.addRegion();
  Block *block = builder.createBlock(
      region, {}, types, SmallVector<Location>(types.size(), state.location));
  body(builder, state.location, block->getArguments());
}

OperandRange ExpertOp::getGroupWeights(unsigned i) {
  ArrayRef<int64_t> counts = getWeightCounts();
  int64_t begin = 0;
  for (int64_t count : counts.take_front(i))
    begin += count;
  return getWeights().slice(begin, counts[i]);
}

ParseResult ExpertOp::parse(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::UnresolvedOperand rows, routing;
  FunctionType type;
  SMLoc operandsLoc = parser.getCurrentLocation();
  if (parser.parseOperand(rows) || parser.parseKeyword("by") ||
      parser.parseOperand(routing) ||
      parser.parseOptionalAttrDict(result.attributes))
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

  Builder &builder = parser.getBuilder();
  Properties &properties = result.getOrAddProperties<Properties>();
  properties.bounds = builder.getDenseI64ArrayAttr(bounds);
  properties.weight_counts = builder.getDenseI64ArrayAttr(counts);
  return success();
}

void ExpertOp::print(OpAsmPrinter &p) {
  p << ' ' << getRows() << " by " << getRouting();
  p.printOptionalAttrDict((*this)->getAttrs(),
                          {getBoundsAttrName(), getWeightCountsAttrName()});
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

  if (failed(verifyStaticDim(*this, "rows", getRows().getType(), 1,
                             "hidden size")) ||
      failed(verifyStaticDim(*this, "the result", getResult().getType(), 1,
                             "hidden size")))
    return failure();
  int64_t in = getRows().getType().getDimSize(0);
  int64_t out = getResult().getType().getDimSize(0);
  if (!ShapedType::isDynamic(in) && !ShapedType::isDynamic(out) && in != out)
    return emitOpError() << "expects a result of as many rows as it is given, "
                         << in << ", but got " << getResult().getType();

  for (size_t i = 0; i < numGroups; ++i) {
    for (auto [j, weight] : llvm::enumerate(getGroupWeights(i))) {
      auto type = cast<RankedTensorType>(weight.getType());
      if (type.getRank() < 1 || type.getDimSize(0) != getGroupSize(i))
        return emitOpError()
               << "expects weight #" << j << " of group #" << i
               << " to have a first dimension of " << getGroupSize(i)
               << ", the number of experts from " << getGroupBegin(i) << " to "
               << getGroupEnd(i) << ", but got " << type;
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
    auto describe = [](unsigned i) -> std::string {
      if (i == 0)
        return "rows of one expert";
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
// FFNOp
//===----------------------------------------------------------------------===//

LogicalResult
FFNOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                        ValueRange operands, DictionaryAttr attributes,
                        OpaqueProperties properties, RegionRange regions,
                        SmallVectorImpl<Type> &inferred) {
  Adaptor adaptor(operands, attributes, properties, regions);
  auto x = dyn_cast<RankedTensorType>(operands[0].getType());
  auto down = dyn_cast<RankedTensorType>(
      adaptor.getODSOperands(3).empty()
          ? Type()
          : adaptor.getODSOperands(3).front().getType());
  if (!x || x.getRank() != 2 || !down || down.getRank() != 2)
    return failInference(loc, "moe.ffn expects x and down of two dimensions");
  inferred.push_back(RankedTensorType::get(
      {x.getDimSize(0), down.getDimSize(0)}, x.getElementType()));
  return success();
}

void FFNOp::build(OpBuilder &builder, OperationState &state, Value x,
                  Value gate, Value up, Value down,
                  ActivationAttrInterface activation) {
  auto xType = cast<RankedTensorType>(x.getType());
  auto downType = cast<RankedTensorType>(down.getType());
  auto type = RankedTensorType::get(
      {xType.getDimSize(0), downType.getDimSize(0)}, xType.getElementType());
  build(builder, state, type, x, gate, up, down, /*gate_bias=*/Value(),
        /*up_bias=*/Value(), /*down_bias=*/Value(), activation);
}

FloatType FFNOp::getAccumulatorType() {
  return getAccumulatorFor(getX().getType());
}

LogicalResult FFNOp::verify() {
  RankedTensorType x = getX().getType(), up = getUp().getType(),
                   down = getDown().getType();
  if (failed(verifyStaticDim(*this, "x", x, 1, "hidden size")) ||
      failed(verifyStaticDim(*this, "up", up, 0, "intermediate size")) ||
      failed(verifyStaticDim(*this, "down", down, 0, "hidden size")))
    return failure();

  // Weights may be of another float type than x, and of one another.
  auto verifyShape = [&](StringRef name, Value value, ArrayRef<int64_t> shape,
                         StringRef letters, StringRef reason) {
    auto type = cast<RankedTensorType>(value.getType());
    if (type.getShape() == shape)
      return success();
    InFlightDiagnostic diag = emitOpError() << "expects " << name
                                            << " of shape " << letters << " = ";
    llvm::interleave(shape, diag, "x");
    diag << ", " << reason << ", but got " << type;
    return LogicalResult(diag);
  };
  int64_t hidden = x.getDimSize(1), inner = up.getDimSize(0),
          out = down.getDimSize(0);
  StringRef fromX = "with H of x";
  StringRef fromUp = "with I of up";
  if (failed(verifyShape("up", getUp(), {inner, hidden}, "IxH", fromX)) ||
      (getGate() && failed(verifyShape("gate", getGate(), {inner, hidden},
                                       "IxH", "the shape of up"))) ||
      failed(verifyShape("down", getDown(), {out, inner}, "H'xI", fromUp)))
    return failure();
  if (getGateBias()) {
    if (!getGate())
      return emitOpError() << "expects gate_bias only beside gate";
    if (failed(verifyShape("gate_bias", getGateBias(), {inner}, "I", fromUp)))
      return failure();
  }
  if (getUpBias() &&
      failed(verifyShape("up_bias", getUpBias(), {inner}, "I", fromUp)))
    return failure();
  if (getDownBias() && failed(verifyShape("down_bias", getDownBias(), {out},
                                          "H'", "with H' of down")))
    return failure();

  auto expected =
      RankedTensorType::get({x.getDimSize(0), out}, x.getElementType());
  if (failed(verifyType(*this, "a result", getResult().getType(), expected,
                        ", the rows of x times H' of down")))
    return failure();
  if (getResult().getType().isDynamicDim(1))
    return verifyStaticDim(*this, "the result", getResult().getType(), 1,
                           "hidden size");

  std::optional<ActivationAttrInterface> activation = getActivation();
  bool hasBody = !getBody().empty();
  if (activation.has_value() == hasBody)
    return emitOpError() << "expects its activation by an attribute "
                            "`activation` or by a region `body`, but has "
                         << (hasBody ? "both" : "neither");
  if (!activation)
    return success();
  if (isGated() && !activation->supportsGated())
    return emitOpError() << "expects an activation of (gate, up), but "
                         << *activation << " takes (up): remove gate";
  if (!isGated() && !activation->supportsPlain())
    return emitOpError() << "expects an activation of (up), but " << *activation
                         << " takes (gate, up): add gate";
  return success();
}

LogicalResult FFNOp::verifyRegions() {
  if (getBody().empty())
    return success();
  Type type = getAccumulatorType();
  SmallVector<Type> types(isGated() ? 2 : 1, type);
  auto describe = [&](unsigned i) -> std::string {
    return isGated() && i == 0 ? "gate" : "up";
  };
  if (failed(verifyBodyForm(*this, getBody(), "its body")) ||
      failed(
          verifyBodyArguments(*this, getBody(), "its body", types, describe)))
    return failure();
  return verifyBodyYield(*this, getBody(), "its body", type);
}

void FFNOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), "ffn");
}

void FFNOp::getAsmBlockArgumentNames(Region &region,
                                     OpAsmSetValueNameFn setName) {
  if (region.empty())
    return;
  if (region.getNumArguments() == 2)
    setName(region.getArgument(0), "gate");
  if (region.getNumArguments() > 0)
    setName(region.getArguments().back(), "up");
}

LogicalResult FFNOp::reifyResultShapes(OpBuilder &b,
                                       ReifiedRankedShapedTypeDims &shapes) {
  OpFoldResult rows = reifyDim(
      b, getResult(), 0, [&] { return buildDim(b, getLoc(), getX(), 0); });
  shapes.push_back({rows, b.getIndexAttr(getResult().getType().getDimSize(1))});
  return success();
}

Value FFNOp::buildActivationBody(OpBuilder &builder, Location loc,
                                 ValueRange args) {
  if (getBody().empty())
    return getActivation()->buildActivation(builder, loc, args);

  Block &body = getBody().front();
  auto vector = dyn_cast<VectorType>(args.front().getType());
  if (!vector)
    return cloneBody(builder, body, args);

  // Clone each scalar op onto vectors; a scalar from outside is splat.
  IRMapping map;
  map.map(body.getArguments(), args);
  auto lookup = [&](Value value) -> Value {
    if (Value mapped = map.lookupOrNull(value))
      return mapped;
    Value splat = vector::BroadcastOp::create(
        builder, loc, vector.clone(value.getType()), value);
    map.map(value, splat);
    return splat;
  };
  for (Operation &op : body.without_terminator()) {
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      Type type = constant.getType();
      if (!type.isIntOrIndexOrFloat()) {
        constant.emitError() << "expects a scalar constant in the body of "
                                "moe.ffn, but got "
                             << type;
        return {};
      }
      auto splat = SplatElementsAttr::get(vector.clone(type),
                                          Attribute(constant.getValue()));
      map.map(constant.getResult(),
              arith::ConstantOp::create(builder, loc, splat).getResult());
      continue;
    }
    auto isScalar = [](Type type) { return type.isIntOrIndexOrFloat(); };
    if (!OpTrait::hasElementwiseMappableTraits(&op) ||
        !llvm::all_of(op.getOperandTypes(), isScalar) ||
        !llvm::all_of(op.getResultTypes(), isScalar)) {
      op.emitError() << "'" << op.getName()
                     << "' in the body of moe.ffn is not an elementwise op on "
                        "scalars, so the body has no vector form; write it "
                        "with arith and math ops";
      return {};
    }
    SmallVector<Value> operands = llvm::map_to_vector(op.getOperands(), lookup);
    SmallVector<Type> types;
    for (Type type : op.getResultTypes())
      types.push_back(vector.clone(type));
    OperationState state(loc, op.getName().getStringRef(), operands, types,
                         op.getAttrs());
    Operation *clone = builder.create(state);
    map.map(op.getResults(), clone->getResults());
  }
  return lookup(body.getTerminator()->getOperand(0));
}

LogicalResult FFNOp::expandActivation(RewriterBase &rewriter) {
  if (!getActivation())
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  SmallVector<Type> types(isGated() ? 2 : 1, getAccumulatorType());
  SmallVector<Location> locs(types.size(), getLoc());
  Block *block = rewriter.createBlock(&getBody(), {}, types, locs);
  Value h = getActivation()->buildActivation(rewriter, getLoc(),
                                             block->getArguments());
  YieldOp::create(rewriter, getLoc(), h);
  rewriter.modifyOpInPlace(*this, [&] { removeActivationAttr(); });
  return success();
}

/// `value` as `type`, both floats.
static Value buildFloatCast(OpBuilder &b, Location loc, Value value,
                            Type type) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  unsigned to = type.getIntOrFloatBitWidth();
  if (value.getType() == type)
    return value;
  if (from < to)
    return arith::ExtFOp::create(b, loc, type, value);
  if (from > to)
    return arith::TruncFOp::create(b, loc, type, value);
  // bf16 and f16: neither holds the other.
  Value wide = arith::ExtFOp::create(b, loc, b.getF32Type(), value);
  return arith::TruncFOp::create(b, loc, type, wide);
}

FailureOr<SmallVector<Value>> FFNOp::generalize(RewriterBase &rewriter) {
  ImplicitLocOpBuilder b(getLoc(), rewriter);
  FloatType acc = getAccumulatorType();
  auto xType = getX().getType();
  OpFoldResult tokens = tensor::getMixedSize(b, getLoc(), getX(), 0);
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1),
             d2 = b.getAffineDimExpr(2);

  // lhs times the transpose of weight, both extended to the accumulator type.
  auto matmul = [&](Value lhs, Value weight) -> Value {
    int64_t columns = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    SmallVector<OpFoldResult> sizes{tokens, b.getIndexAttr(columns)};
    Value empty = tensor::EmptyOp::create(b, sizes, acc);
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(acc));
    Value init = linalg::FillOp::create(b, zero, empty).getResult(0);
    ArrayAttr maps = b.getAffineMapArrayAttr(
        {AffineMap::get(3, 0, {d0, d2}, b.getContext()),
         AffineMap::get(3, 0, {d1, d2}, b.getContext()),
         AffineMap::get(3, 0, {d0, d1}, b.getContext())});
    auto op = linalg::MatmulOp::create(
        b, init.getType(), ValueRange{lhs, weight}, ValueRange{init});
    op.setIndexingMapsAttr(maps);
    return op.getResult(0);
  };

  // One elementwise pass over matrices of one shape, each with its bias.
  AffineMap matrixMap = AffineMap::get(2, 0, {d0, d1}, b.getContext());
  AffineMap biasMap = AffineMap::get(2, 0, {d1}, b.getContext());
  auto elementwise =
      [&](ArrayRef<Value> matrices, ArrayRef<Value> biases, int64_t columns,
          Type type,
          function_ref<Value(OpBuilder &, Location, ValueRange)> body)
      -> Value {
    SmallVector<OpFoldResult> sizes{tokens, b.getIndexAttr(columns)};
    Value empty = tensor::EmptyOp::create(b, sizes, type);
    SmallVector<Value> inputs(matrices);
    SmallVector<AffineMap> maps(matrices.size(), matrixMap);
    for (Value bias : biases)
      if (bias) {
        inputs.push_back(bias);
        maps.push_back(biasMap);
      }
    maps.push_back(matrixMap);
    SmallVector<utils::IteratorType> iterators(2,
                                               utils::IteratorType::parallel);
    bool failedBody = false;
    auto generic = linalg::GenericOp::create(
        b, empty.getType(), inputs, empty, maps, iterators,
        [&](OpBuilder &nested, Location loc, ValueRange args) {
          SmallVector<Value> sums;
          unsigned next = matrices.size();
          for (unsigned i = 0; i < matrices.size(); ++i) {
            Value value = args[i];
            if (biases[i])
              value = arith::AddFOp::create(
                  nested, loc, value,
                  buildFloatCast(nested, loc, args[next++], acc));
            sums.push_back(value);
          }
          Value result = body(nested, loc, sums);
          failedBody = !result;
          if (failedBody)
            result = sums.front();
          linalg::YieldOp::create(nested, loc,
                                  buildFloatCast(nested, loc, result, type));
        });
    return failedBody ? Value() : generic.getResult(0);
  };

  int64_t inner = getIntermediate(), out = getOutputHidden();
  SmallVector<Value> matrices, biases;
  if (isGated()) {
    matrices.push_back(matmul(getX(), getGate()));
    biases.push_back(getGateBias());
  }
  matrices.push_back(matmul(getX(), getUp()));
  biases.push_back(getUpBias());
  Value h = elementwise(matrices, biases, inner, acc,
                        [&](OpBuilder &nested, Location loc, ValueRange args) {
                          return buildActivationBody(nested, loc, args);
                        });
  if (!h)
    return failure();

  Value f = matmul(h, getDown());
  if (getDownBias() || acc != xType.getElementType())
    f = elementwise(
        f, getDownBias(), out, xType.getElementType(),
        [](OpBuilder &, Location, ValueRange args) { return args.front(); });
  if (f.getType() != getResult().getType())
    f = tensor::CastOp::create(b, getResult().getType(), f);
  return SmallVector<Value>{f};
}

//===----------------------------------------------------------------------===//
// SimilarityOp
//===----------------------------------------------------------------------===//

LogicalResult SimilarityOp::inferReturnTypes(
    MLIRContext *, std::optional<Location> loc, ValueRange operands,
    DictionaryAttr, OpaqueProperties, RegionRange,
    SmallVectorImpl<Type> &inferred) {
  RankedTensorType x, centroids;
  if (operands.size() == 2) {
    x = dyn_cast<RankedTensorType>(operands[0].getType());
    centroids = dyn_cast<RankedTensorType>(operands[1].getType());
  }
  if (!x || x.getRank() != 2 || !centroids || centroids.getRank() != 2)
    return failInference(
        loc, "moe.similarity expects rows and centroids of two dimensions");
  inferred.push_back(
      RankedTensorType::get({x.getDimSize(0), centroids.getDimSize(0)},
                            getAccumulatorFor(x)));
  return success();
}

LogicalResult SimilarityOp::verify() {
  auto x = getX().getType(), centroids = getCentroids().getType();
  if (failed(verifyStaticDim(*this, "x", x, 1, "length of rows")) ||
      failed(verifyStaticDim(*this, "centroids", centroids, 0,
                             "number of centroids")) ||
      failed(verifyStaticDim(*this, "centroids", centroids, 1,
                             "length of rows")))
    return failure();
  if (x.getDimSize(1) != centroids.getDimSize(1))
    return emitOpError() << "expects centroids of " << x.getDimSize(1)
                         << " values like the rows of x, " << x << ", but got "
                         << centroids;
  auto expected =
      RankedTensorType::get({x.getDimSize(0), centroids.getDimSize(0)},
                            getAccumulatorFor(x));
  return verifyType(*this, "a result", getScores().getType(), expected,
                    ", a score for each token and centroid");
}

void SimilarityOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getScores(), "similarity");
}

LogicalResult
SimilarityOp::reifyResultShapes(OpBuilder &b,
                                ReifiedRankedShapedTypeDims &shapes) {
  OpFoldResult rows = reifyDim(
      b, getScores(), 0, [&] { return buildDim(b, getLoc(), getX(), 0); });
  OpFoldResult columns = reifyDim(b, getScores(), 1, [&] {
    return buildDim(b, getLoc(), getCentroids(), 0);
  });
  shapes.push_back({rows, columns});
  return success();
}

Value SimilarityOp::generalize(RewriterBase &rewriter) {
  ImplicitLocOpBuilder b(getLoc(), rewriter);
  FloatType acc = getAccumulatorFor(getX().getType());
  AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1),
             d2 = b.getAffineDimExpr(2);
  auto map = [&](unsigned dims, ArrayRef<AffineExpr> results) {
    return AffineMap::get(dims, 0, results, b.getContext());
  };
  const auto parallel = utils::IteratorType::parallel;
  const auto reduction = utils::IteratorType::reduction;
  OpFoldResult tokens = tensor::getMixedSize(b, getLoc(), getX(), 0);
  OpFoldResult experts =
      b.getIndexAttr(getCentroids().getType().getDimSize(0));
  auto empty = [&](ArrayRef<OpFoldResult> sizes) -> Value {
    return tensor::EmptyOp::create(b, sizes, acc);
  };
  auto zeros = [&](ArrayRef<OpFoldResult> sizes) -> Value {
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(acc));
    return linalg::FillOp::create(b, zero, empty(sizes)).getResult(0);
  };
  using Body = function_ref<Value(ImplicitLocOpBuilder &, ValueRange)>;
  auto generic = [&](ValueRange inputs, Value init, ArrayRef<AffineMap> maps,
                     ArrayRef<utils::IteratorType> iterators,
                     Body body) -> Value {
    return linalg::GenericOp::create(
               b, init.getType(), inputs, init, maps, iterators,
               [&](OpBuilder &nested, Location loc, ValueRange args) {
                 ImplicitLocOpBuilder nb(loc, nested);
                 SmallVector<Value> wide;
                 for (Value arg : args)
                   wide.push_back(buildFloatCast(nb, loc, arg, acc));
                 linalg::YieldOp::create(nb, body(nb, wide));
               })
        .getResult(0);
  };
  auto finish = [&](Value scores) -> Value {
    if (scores.getType() == getScores().getType())
      return scores;
    return tensor::CastOp::create(b, getScores().getType(), scores);
  };

  if (getMetric() == SimilarityMetric::L2) {
    // As a difference of products it would lose what makes near vectors near.
    return finish(generic(
        ValueRange{getX(), getCentroids()}, zeros({tokens, experts}),
        {map(3, {d0, d2}), map(3, {d1, d2}), map(3, {d0, d1})},
        {parallel, parallel, reduction},
        [](ImplicitLocOpBuilder &nb, ValueRange args) -> Value {
          Value d = arith::SubFOp::create(nb, args[0], args[1]);
          Value square = arith::MulFOp::create(nb, d, d);
          return arith::SubFOp::create(nb, args[2], square);
        }));
  }
  auto product = linalg::MatmulOp::create(
      b, RankedTensorType::get({getX().getType().getDimSize(0),
                                getCentroids().getType().getDimSize(0)},
                               acc),
      ValueRange{getX(), getCentroids()}, ValueRange{zeros({tokens, experts})});
  product.setIndexingMapsAttr(b.getAffineMapArrayAttr(
      {map(3, {d0, d2}), map(3, {d1, d2}), map(3, {d0, d1})}));
  if (getMetric() == SimilarityMetric::Dot)
    return finish(product.getResult(0));

  // One over the length of each row, at least 1e-12.
  auto reciprocals = [&](Value rows, OpFoldResult count) -> Value {
    Value squares = generic(
        rows, zeros(count), {map(2, {d0, d1}), map(2, {d0})},
        {parallel, reduction},
        [](ImplicitLocOpBuilder &nb, ValueRange args) -> Value {
          Value square = arith::MulFOp::create(nb, args[0], args[0]);
          return arith::AddFOp::create(nb, args[1], square);
        });
    return generic(
        squares, empty(count), {map(1, {d0}), map(1, {d0})}, {parallel},
        [&](ImplicitLocOpBuilder &nb, ValueRange args) -> Value {
          Value least = buildFloatConstant(nb, nb.getLoc(), acc, 1e-12);
          Value one = buildFloatConstant(nb, nb.getLoc(), acc, 1.0);
          Value length = arith::MaximumFOp::create(
              nb, math::SqrtOp::create(nb, args[0]), least);
          return arith::DivFOp::create(nb, one, length);
        });
  };
  Value byToken = reciprocals(getX(), tokens);
  Value byExpert = reciprocals(getCentroids(), experts);
  return finish(generic(
      ValueRange{product.getResult(0), byToken, byExpert},
      empty({tokens, experts}),
      {map(2, {d0, d1}), map(2, {d0}), map(2, {d1}), map(2, {d0, d1})},
      {parallel, parallel},
      [](ImplicitLocOpBuilder &nb, ValueRange args) -> Value {
        Value scaled = arith::MulFOp::create(nb, args[0], args[1]);
        return arith::MulFOp::create(nb, scaled, args[2]);
      }));
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

//===----------------------------------------------------------------------===//
// Routing ops
//===----------------------------------------------------------------------===//

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
  double exact = scaleCapacity(tokens, type.getSlots(),
                               getFactor()->convertToDouble(),
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
  for (auto [i, step] : llvm::enumerate(getWeighing())) {
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
