//===- MoekOps.cpp - Verifiers and effects -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moek/Moek.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/InterleavedRange.h"

using namespace mlir;
using namespace moek;

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

/// Inputs are read and inits written where they are memrefs.
static void getDstEffects(
    DestinationStyleOpInterface op,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand *operand : op.getDpsInputOperands())
    if (isa<MemRefType>(operand->get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), operand,
                           SideEffects::DefaultResource::get());
  for (OpOperand &operand : op.getDpsInitsMutable())
    if (isa<MemRefType>(operand.get().getType())) {
      effects.emplace_back(MemoryEffects::Read::get(), &operand,
                           SideEffects::DefaultResource::get());
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
    }
}

/// Results are there exactly when the inits are tensors, one per init.
static LogicalResult verifyResults(DestinationStyleOpInterface op) {
  OperandRange inits = op.getDpsInits();
  bool tensors = llvm::all_of(
      inits, [](Value v) { return isa<RankedTensorType>(v.getType()); });
  if (!tensors && op->getNumResults() != 0)
    return op->emitOpError("on memrefs has no results");
  if (tensors && op->getNumResults() != inits.size())
    return op->emitOpError("expects one result per tensor in 'outs' (")
           << inits.size() << "), got " << op->getNumResults();
  for (auto [result, init] : llvm::zip(op->getResults(), inits))
    if (result.getType() != init.getType())
      return op->emitOpError("result type ")
             << result.getType() << " differs from its init's "
             << init.getType();
  return success();
}

/// Checks rank, element type and the static sizes (-1 = any) of an operand.
static LogicalResult verifyShape(Operation *op, StringRef name, Value value,
                                 ArrayRef<int64_t> sizes,
                                 function_ref<bool(Type)> element,
                                 StringRef elementName) {
  auto type = cast<ShapedType>(value.getType());
  if (type.getRank() != static_cast<int64_t>(sizes.size()))
    return op->emitOpError("'") << name << "' must have rank " << sizes.size()
                                << ", got " << type;
  if (!element(type.getElementType()))
    return op->emitOpError("'") << name << "' must hold " << elementName
                                << ", got " << type;
  for (auto [d, want] : llvm::enumerate(sizes))
    if (want >= 0 && !type.isDynamicDim(d) && type.getDimSize(d) != want)
      return op->emitOpError("'") << name << "' dimension " << d
                                  << " must be " << want << ", got " << type;
  return success();
}

static bool isI32(Type type) { return type.isInteger(32); }
static bool isF32(Type type) { return type.isF32(); }
static bool isKernelFloat(Type type) { return type.isF32() || type.isBF16(); }

//===----------------------------------------------------------------------===//
// PackOp
//===----------------------------------------------------------------------===//

LogicalResult PackOp::verify() {
  PanelsAttr layout = getLayout();
  bool paired = layout.getInterleave() != 0;
  if (getParts().empty())
    return emitOpError("needs at least one weight to pack");
  if (paired && getParts().size() % 2 != 0)
    return emitOpError("with interleave needs pairs of weights (gate, up), got ")
           << getParts().size();
  int64_t experts = 0, n = -1, k = -1;
  auto packed = cast<RankedTensorType>(getPacked().getType());
  for (auto [i, part] : llvm::enumerate(getParts())) {
    auto type = cast<RankedTensorType>(part.getType());
    if ((type.getRank() != 2 && type.getRank() != 3) || !type.hasStaticShape())
      return emitOpError("weight ")
             << i << " must be a static [E, N, K] or [N, K] tensor, got "
             << type;
    if (type.getElementType() != packed.getElementType())
      return emitOpError("weight ") << i << " is of " << type.getElementType()
                                    << ", the packed tensor of "
                                    << packed.getElementType();
    int64_t rank = type.getRank();
    if (n < 0) {
      n = type.getDimSize(rank - 2);
      k = type.getDimSize(rank - 1);
    } else if (n != type.getDimSize(rank - 2) || k != type.getDimSize(rank - 1))
      return emitOpError("weight ")
             << i << " is " << type.getDimSize(rank - 2) << " x "
             << type.getDimSize(rank - 1) << ", the first is " << n << " x "
             << k;
    if (!paired || i % 2 == 0)
      experts += rank == 3 ? type.getDimSize(0) : 1;
  }
  int64_t perPanel = paired ? layout.getInterleave() : layout.getColumns();
  int64_t panels = (n + perPanel - 1) / perPanel;
  int64_t step = std::min<int64_t>(16, 8 * layout.getKBlock());
  int64_t kPadded = (k + step - 1) / step * step;
  SmallVector<int64_t> want{experts, panels, kPadded / layout.getKBlock(),
                            layout.getColumns(), layout.getKBlock()};
  if (packed.getShape() != ArrayRef<int64_t>(want))
    return emitOpError("packed shape must be [")
           << llvm::interleaved(want, " x ") << "], got " << packed;
  return success();
}

//===----------------------------------------------------------------------===//
// RouteOp, IndexOp
//===----------------------------------------------------------------------===//

int64_t RouteOp::getSelectedSlots() {
  return getPolicy().getNumSlots(getExperts());
}

void RouteOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDstEffects(*this, effects);
}

/// The outputs from `first` on of a routing over `experts` and `slots`.
static LogicalResult verifyRoutingOutputs(Operation *op, ValueRange outputs,
                                          int64_t first, int64_t experts,
                                          int64_t slots) {
  struct Expected {
    StringRef name;
    SmallVector<int64_t> sizes;
    bool integer;
  };
  Expected all[] = {{"indices", {-1, slots}, true},
                    {"weights", {-1, slots}, false},
                    {"offsets", {experts + 1}, true},
                    {"active", {experts + 1}, true},
                    {"tokens", {-1}, true},
                    {"positions", {-1, slots}, true},
                    {"row_weights", {-1}, false}};
  if (static_cast<int64_t>(outputs.size()) != 7 - first)
    return op->emitOpError("expects ")
           << 7 - first << " outputs (see the dialect's routing tensors), got "
           << outputs.size();
  for (auto [i, output] : llvm::enumerate(outputs)) {
    const Expected &e = all[first + i];
    if (failed(verifyShape(op, e.name, output, e.sizes,
                           e.integer ? isI32 : isF32,
                           e.integer ? "i32" : "f32")))
      return failure();
  }
  return success();
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
    if (failed(verifyShape(*this, "x", getX(), {-1, -1}, isF32, "f32")))
      return failure();
    int64_t k = cast<ShapedType>(getX().getType()).getDimSize(1);
    if (ShapedType::isDynamic(k))
      return emitOpError("'x' rows must be of static length, got ")
             << getX().getType();
    int64_t steps = llvm::divideCeil(k, 8) * 8;
    if (getSchedule() && getSchedule()->getInner() != Inner::Fma)
      return emitOpError("router weights are f32 and want an fma schedule, got ")
             << *getSchedule();
    auto packed = cast<ShapedType>(getRouter().getType());
    if (packed.getRank() != 5 || packed.getDimSize(0) != 1 ||
        packed.getDimSize(3) != 32 || packed.getDimSize(4) != 1 ||
        packed.getDimSize(1) != (experts + 31) / 32 ||
        packed.getDimSize(2) != steps)
      return emitOpError("'router' must be [1, ")
             << (experts + 31) / 32 << ", " << steps
             << ", 32, 1] packed f32 panels, got "
             << packed;
    scoreArgs.push_back(row);
  }
  for (Value v : getRows()) {
    if (failed(verifyShape(*this, "rows", v, {-1, experts}, isF32, "f32")))
      return failure();
    scoreArgs.push_back(row);
  }
  for (Value v : getColumns()) {
    if (failed(verifyShape(*this, "columns", v, {experts, -1}, isF32, "f32")))
      return failure();
    scoreArgs.push_back(row);
  }
  for (Value v : getVectors()) {
    if (failed(verifyShape(*this, "vectors", v, {experts}, isF32, "f32")))
      return failure();
    scoreArgs.push_back(row);
  }
  for (Value v : getScalars()) {
    if (failed(verifyShape(*this, "scalars", v, {-1}, isF32, "f32")))
      return failure();
    scoreArgs.push_back(Float32Type::get(getContext()));
  }
  if (failed(getPolicy().verifyOperands([&] { return emitOpError(); },
                                        getPolicyOperands().getTypes(),
                                        experts)))
    return failure();
  if (getPolicy().seesAllTokens())
    return emitOpError() << "cannot select by " << getPolicy()
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
  Type slots = VectorType::get({getSelectedSlots()},
                               Float32Type::get(getContext()));
  Block &weigh = getWeigh().front();
  SmallVector<Type> weighArgs{slots};
  if (!getPolicy().fillsAllSlots(experts))
    weighArgs.push_back(VectorType::get({getSelectedSlots()},
                                        IntegerType::get(getContext(), 1)));
  if (weigh.getArgumentTypes() != ArrayRef<Type>(weighArgs) ||
      weigh.getTerminator()->getOperandTypes() != ArrayRef<Type>{slots})
    return emitOpError("the weigh region must take and yield ")
           << slots
           << (weighArgs.size() == 2 ? ", and take which slots are used" : "");
  if (getAlwaysWeights() &&
      failed(verifyShape(*this, "always_weights", getAlwaysWeights(),
                         {-1, static_cast<int64_t>(getAlways())}, isF32,
                         "f32")))
    return failure();
  if (getCapacity() && static_cast<int64_t>(*getCapacity()) < 1)
    return emitOpError("capacity must be positive");
  if (failed(verifyRoutingOutputs(*this, getOutputs(), 0, getTotalExperts(),
                                  getTotalSlots())))
    return failure();
  return verifyResults(*this);
}

void IndexOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDstEffects(*this, effects);
}

LogicalResult IndexOp::verify() {
  auto type = cast<ShapedType>(getIndices().getType());
  if (failed(verifyShape(*this, "indices", getIndices(), {-1, -1}, isI32,
                         "i32")))
    return failure();
  int64_t slots = type.getDimSize(1);
  if (ShapedType::isDynamic(slots))
    return emitOpError("the number of slots must be static, got ") << type;
  if (failed(verifyShape(*this, "weights", getWeights(), {-1, slots}, isF32,
                         "f32")) ||
      failed(verifyRoutingOutputs(*this, getOutputs(), 2, getExperts(), slots)))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// ExpertChoiceOp
//===----------------------------------------------------------------------===//

void ExpertChoiceOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDstEffects(*this, effects);
}

LogicalResult ExpertChoiceOp::verify() {
  if (failed(verifyShape(*this, "scores", getScores(), {-1, -1}, isF32, "f32")))
    return failure();
  int64_t experts = cast<ShapedType>(getScores().getType()).getDimSize(1);
  if (ShapedType::isDynamic(experts))
    return emitOpError("the number of experts must be static, got ")
           << getScores().getType();
  if (getOutputs().size() != 1)
    return emitOpError("expects 1 output, the indices, got ")
           << getOutputs().size();
  if (failed(verifyShape(*this, "indices", getOutputs()[0], {-1, experts},
                         isI32, "i32")))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// LimitOp, SinkhornOp
//===----------------------------------------------------------------------===//

void LimitOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDstEffects(*this, effects);
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
  if (failed(verifyShape(*this, "indices", getIndices(), {-1, -1}, isI32,
                         "i32")))
    return failure();
  int64_t slots = type.getDimSize(1);
  if (ShapedType::isDynamic(slots))
    return emitOpError("the number of slots must be static, got ") << type;
  if (getOutputs().size() != 2)
    return emitOpError("expects 2 outputs, indices and weights, got ")
           << getOutputs().size();
  if (failed(verifyShape(*this, "weights", getWeights(), {-1, slots}, isF32,
                         "f32")) ||
      failed(verifyShape(*this, "indices", getOutputs()[0], {-1, slots}, isI32,
                         "i32")) ||
      failed(verifyShape(*this, "weights", getOutputs()[1], {-1, slots}, isF32,
                         "f32")))
    return failure();
  bool byPriority = getDrop() == moe::Drop::BatchPriority;
  if (byPriority != bool(getPriority()))
    return emitOpError() << (byPriority ? "needs 'priority' to drop by "
                                        : "has a 'priority' but drops by ")
                         << moe::stringifyDrop(getDrop());
  if (getPriority() &&
      failed(verifyShape(*this, "priority", getPriority(), {-1}, isF32, "f32")))
    return failure();
  return verifyResults(*this);
}

void SinkhornOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDstEffects(*this, effects);
}

LogicalResult SinkhornOp::verify() {
  if (static_cast<int64_t>(getIterations()) < 1)
    return emitOpError("needs at least one iteration, got ") << getIterations();
  if (!(getTolerance().convertToDouble() >= 0.0))
    return emitOpError("needs a tolerance of at least 0");
  if (failed(verifyShape(*this, "scores", getScores(), {-1, -1}, isF32, "f32")))
    return failure();
  int64_t experts = cast<ShapedType>(getScores().getType()).getDimSize(1);
  if (ShapedType::isDynamic(experts))
    return emitOpError("the number of experts must be static, got ")
           << getScores().getType();
  if (getOutputs().size() != 1)
    return emitOpError("expects 1 output, the plan, got ")
           << getOutputs().size();
  if (failed(verifyShape(*this, "plan", getOutputs()[0], {-1, experts}, isF32,
                         "f32")))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// GroupedMatmulOp
//===----------------------------------------------------------------------===//

void GroupedMatmulOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDstEffects(*this, effects);
}

LogicalResult GroupedMatmulOp::verify() {
  int64_t parts = getParts(), n = getN(), k = getK();
  if (parts != 1 && parts != 2)
    return emitOpError("parts must be 1 or 2, got ") << parts;
  if (n < 1 || k < 1)
    return emitOpError("n and k must be positive, got ") << n << " and " << k;
  if (failed(verifyShape(*this, "lhs", getLhs(), {-1, -1}, isKernelFloat,
                         "f32 or bf16")))
    return failure();
  int64_t rowLength = cast<ShapedType>(getLhs().getType()).getDimSize(1);
  if (rowLength < k)
    return emitOpError("'lhs' rows must be static and at least k = ")
           << k << " long, got " << getLhs().getType();
  auto rhs = cast<ShapedType>(getRhs().getType());
  if (rhs.getRank() != 5 || !rhs.hasStaticShape() ||
      !isKernelFloat(rhs.getElementType()))
    return emitOpError("'rhs' must be static packed panels [E, panels, "
                       "k_padded / k_block, 32, k_block] of f32 or bf16, got ")
           << rhs;
  int64_t experts = rhs.getDimSize(0);
  int64_t perPanel = parts == 2 ? 16 : 32;
  bool halves = rhs.getElementType().isBF16();
  // Blocks of 1024 bytes: 8 steps of one f32 or a pair of bf16, or 4 steps of
  // four bf16.
  int64_t kBlock = !halves ? 1 : rhs.getDimSize(4) == 4 ? 4 : 2;
  int64_t kPadded = llvm::alignTo(k, halves ? 16 : 8);
  SmallVector<int64_t> want{experts, (n + perPanel - 1) / perPanel,
                            kPadded / kBlock, 32, kBlock};
  if (rhs.getShape() != ArrayRef<int64_t>(want))
    return emitOpError("'rhs' must be [")
           << llvm::interleaved(want, " x ") << "] for n = " << n
           << ", k = " << k << ", parts = " << parts << ", got " << rhs;
  if (failed(verifyShape(*this, "offsets", getOffsets(), {experts + 1}, isI32,
                         "i32")) ||
      failed(verifyShape(*this, "active", getActive(), {experts + 1}, isI32,
                         "i32")))
    return failure();
  if (getGather() &&
      failed(verifyShape(*this, "gather", getGather(), {-1}, isI32, "i32")))
    return failure();
  if (getGatherWeights()) {
    if (!getGather())
      return emitOpError("'gather_weights' needs 'gather'");
    if (failed(verifyShape(*this, "gather_weights", getGatherWeights(), {-1},
                           isF32, "f32")))
      return failure();
  }
  if (!getBiases().empty() &&
      static_cast<int64_t>(getBiases().size()) != parts)
    return emitOpError("expects one bias per part (")
           << parts << ") or none, got " << getBiases().size();
  for (Value bias : getBiases())
    if (failed(verifyShape(*this, "biases", bias, {experts, n}, isF32, "f32")))
      return failure();
  Block &epilogue = getEpilogue().front();
  auto f32 = Float32Type::get(getContext());
  if (static_cast<int64_t>(epilogue.getNumArguments()) != parts ||
      llvm::any_of(epilogue.getArgumentTypes(),
                   [&](Type type) { return type != f32; }))
    return emitOpError("the epilogue must take one f32 per part (")
           << parts << ")";
  if (epilogue.getTerminator()->getOperandTypes() != ArrayRef<Type>{f32})
    return emitOpError("the epilogue must yield one f32");
  for (Operation &op : epilogue.without_terminator())
    if (!isa<arith::ConstantOp>(op) && !OpTrait::hasElementwiseMappableTraits(&op))
      return op.emitOpError("cannot be vectorized in an epilogue: only "
                            "elementwise arith and math operations can");
  if (getOutputs().size() != 1)
    return emitOpError("expects one tensor or memref in 'outs', got ")
           << getOutputs().size();
  Value out = getOutputs()[0];
  if (failed(verifyShape(*this, "outs", out, {-1, -1}, isKernelFloat,
                         "f32 or bf16")))
    return failure();
  int64_t outLength = cast<ShapedType>(out.getType()).getDimSize(1);
  if (outLength < n)
    return emitOpError("'outs' rows must be static and at least n = ")
           << n << " long, got " << out.getType();
  if (getPositions()) {
    if (failed(verifyShape(*this, "combine", getPositions(), {-1, -1}, isI32,
                           "i32")))
      return failure();
    if (cast<ShapedType>(getPositions().getType()).isDynamicDim(1))
      return emitOpError("the number of slots of 'combine' must be static");
    if (outLength != n || !cast<ShapedType>(out.getType()).getElementType().isF32())
      return emitOpError("a combined result must be [T, n] f32, got ")
             << out.getType();
    if (getInit() &&
        failed(verifyShape(*this, "init", getInit(), {-1, n}, isF32, "f32")))
      return failure();
    if (getSlotWeights() &&
        failed(verifyShape(
            *this, "slot_weights", getSlotWeights(),
            {-1, cast<ShapedType>(getPositions().getType()).getDimSize(1)},
            isF32, "f32")))
      return failure();
  } else if (getInit() || getSlotWeights()) {
    return emitOpError("'init' and 'slot_weights' need 'combine'");
  }
  if (getSchedule()) {
    Inner inner = getSchedule()->getInner();
    if ((inner == Inner::Fma) == halves)
      return emitOpError("schedule ")
             << *getSchedule() << " does not fit weights of "
             << rhs.getElementType() << "; fma is for f32, widen, dot_bf16 and "
             << "mmla_bf16 for bf16";
    if (kBlock == 4 && inner != Inner::MmlaBF16)
      return emitOpError("schedule ")
             << *getSchedule()
             << " does not fit panels with k_block = 4; use mmla_bf16";
  }
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// GatherOp, CombineOp
//===----------------------------------------------------------------------===//

void GatherOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDstEffects(*this, effects);
}

LogicalResult GatherOp::verify() {
  if (failed(verifyShape(*this, "x", getX(), {-1, -1}, isF32, "f32")) ||
      failed(verifyShape(*this, "tokens", getTokens(), {-1}, isI32, "i32")) ||
      failed(verifyShape(*this, "offsets", getOffsets(), {-1}, isI32, "i32")))
    return failure();
  if (cast<ShapedType>(getX().getType()).isDynamicDim(1))
    return emitOpError("'x' rows must be of static length, got ")
           << getX().getType();
  if (getRowWeights() && failed(verifyShape(*this, "row_weights",
                                            getRowWeights(), {-1}, isF32,
                                            "f32")))
    return failure();
  if (getOutputs().size() != 1 ||
      failed(verifyShape(*this, "outs", getOutputs()[0],
                         {-1, cast<ShapedType>(getX().getType()).getDimSize(1)},
                         isF32, "f32")))
    return emitOpError("expects one [rows, H] f32 output");
  return verifyResults(*this);
}

void CombineOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDstEffects(*this, effects);
}

LogicalResult CombineOp::verify() {
  if (failed(verifyShape(*this, "rows", getRows(), {-1, -1}, isF32, "f32")) ||
      failed(verifyShape(*this, "positions", getPositions(), {-1, -1}, isI32,
                         "i32")))
    return failure();
  int64_t slots = cast<ShapedType>(getPositions().getType()).getDimSize(1);
  int64_t n = cast<ShapedType>(getRows().getType()).getDimSize(1);
  if (ShapedType::isDynamic(slots) || ShapedType::isDynamic(n))
    return emitOpError("slots and row length must be static, got ")
           << getPositions().getType() << " and " << getRows().getType();
  if (getSlotWeights() &&
      failed(verifyShape(*this, "slot_weights", getSlotWeights(), {-1, slots},
                         isF32, "f32")))
    return failure();
  if (getInit() &&
      failed(verifyShape(*this, "init", getInit(), {-1, n}, isF32, "f32")))
    return failure();
  if (getOutputs().size() != 1)
    return emitOpError("expects one output, got ") << getOutputs().size();
  if (failed(verifyShape(*this, "outs", getOutputs()[0], {-1, n}, isF32,
                         "f32")))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// NumThreadsOp, TraceOp
//===----------------------------------------------------------------------===//

void NumThreadsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  effects.emplace_back(MemoryEffects::Read::get());
}

void TraceOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  // A hook sees all writes before it and none after it.
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
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
  if (failed(verifyShape(*this, "indices", getIndices(), {-1, -1}, isI32,
                         "i32")))
    return failure();
  auto type = cast<ShapedType>(getIndices().getType());
  if (type.isDynamicDim(1))
    return emitOpError("the number of slots must be static, got ") << type;
  if (static_cast<int64_t>(getExperts()) < 1)
    return emitOpError("needs at least one expert, got ") << getExperts();
  return success();
}

//===----------------------------------------------------------------------===//
// CheckOp
//===----------------------------------------------------------------------===//

void CheckOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  // It may end the call: nothing moves across it.
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

Operation *CheckOp::findObstacle(Block *block) {
  Operation *parent = block->getParentOp();
  while (parent && !isa<FunctionOpInterface>(parent)) {
    StringRef name = parent->getName().getStringRef();
    // By name, so that the dialect does not depend on scf.
    if (name != "scf.if" && name != "scf.for" && name != "scf.while" &&
        name != "scf.index_switch" && name != "scf.execute_region")
      return parent;
    parent = parent->getParentOp();
  }
  return nullptr;
}

LogicalResult CheckOp::verify() {
  if (Operation *obstacle = findObstacle((*this)->getBlock()))
    return emitOpError("can end a call from the body of a function and from "
                       "sequential scf ops in it, not from '")
           << obstacle->getName() << "'";
  return success();
}

LogicalResult CheckOp::canonicalize(CheckOp op, PatternRewriter &rewriter) {
  if (!matchPattern(op.getOk(), m_One()))
    return failure();
  rewriter.eraseOp(op);
  return success();
}

#define GET_OP_CLASSES
#include "moek/MoekOps.cpp.inc"
