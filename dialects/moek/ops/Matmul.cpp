//===- Matmul.cpp - Packed weights and the products with them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "moek/KernelRegion.h"

#include "llvm/Support/InterleavedRange.h"

using namespace mlir;
using namespace moek;

//===----------------------------------------------------------------------===//
// PackOp
//===----------------------------------------------------------------------===//

static int64_t getNumExperts(RankedTensorType weight) {
  return weight.getRank() == 3 ? weight.getDimSize(0) : 1;
}

/// What weights of valid types, `parts` for each group of experts, are
/// together.
static RankedTensorType getLogicalType(TypeRange weights, int64_t parts) {
  auto first = cast<RankedTensorType>(weights.front());
  int64_t experts = 0, rank = first.getRank();
  for (size_t i = 0; i < weights.size(); i += parts)
    experts += ::getNumExperts(cast<RankedTensorType>(weights[i]));
  return RankedTensorType::get(
      {experts, parts, first.getDimSize(rank - 2), first.getDimSize(rank - 1)},
      first.getElementType());
}

void PackOp::build(OpBuilder &, OperationState &state, ValueRange weights,
                   int64_t parts) {
  state.addOperands(weights);
  state.getOrAddProperties<Properties>().parts =
      IntegerAttr::get(IntegerType::get(state.getContext(), 64), parts);
  state.addTypes(::getLogicalType(weights.getTypes(), parts));
}

RankedTensorType PackOp::getLogicalType() {
  return ::getLogicalType(getWeights().getTypes(), getParts());
}

LogicalResult PackOp::verify() {
  int64_t parts = getParts();
  if (parts != 1 && parts != 2)
    return emitOpError("parts must be 1 or 2, got ") << parts;
  if (getWeights().empty())
    return emitOpError("needs at least one weight to pack");
  if (getWeights().size() % parts != 0)
    return emitOpError("with two parts needs pairs of weights (gate, up), got ")
           << getWeights().size();
  auto first = cast<RankedTensorType>(getWeights().front().getType());
  for (auto [i, weight] : llvm::enumerate(getWeights())) {
    auto type = cast<RankedTensorType>(weight.getType());
    int64_t rank = type.getRank(), firstRank = first.getRank();
    if ((rank != 2 && rank != 3) || !type.hasStaticShape())
      return emitOpError("weight ")
             << i << " must be a static [E, N, K] or [N, K] tensor, got "
             << type;
    if (type.getElementType() != first.getElementType())
      return emitOpError("weight ")
             << i << " is of " << type.getElementType() << ", the first of "
             << first.getElementType();
    int64_t n = first.getDimSize(firstRank - 2);
    int64_t k = first.getDimSize(firstRank - 1);
    if (n != type.getDimSize(rank - 2) || k != type.getDimSize(rank - 1))
      return emitOpError("weight ") << i << " is " << type.getDimSize(rank - 2)
                                    << " x " << type.getDimSize(rank - 1)
                                    << ", the first is " << n << " x " << k;
    auto group = cast<RankedTensorType>(getWeights()[i - i % parts].getType());
    if (::getNumExperts(type) != ::getNumExperts(group))
      return emitOpError("weight ")
             << i << " is of " << ::getNumExperts(type)
             << " experts, its other part of " << ::getNumExperts(group);
  }
  RankedTensorType want = getLogicalType();
  if (LayoutAttrInterface layout = getLayoutAttr()) {
    if (failed(layout.verifyLayout([&] { return emitOpError(); }, want)))
      return failure();
    want = layout.getPackedType(want);
  }
  if (getPacked().getType() != want)
    return emitOpError("packed type must be ")
           << want << ", got " << getPacked().getType();
  return success();
}

//===----------------------------------------------------------------------===//
// GroupedMatmulOp
//===----------------------------------------------------------------------===//

int64_t GroupedMatmulOp::getNumExperts() {
  return cast<ShapedType>(getOffsets().getType()).getDimSize(0) - 1;
}

RankedTensorType GroupedMatmulOp::getLogicalRhsType() {
  return RankedTensorType::get(
      {getNumExperts(), static_cast<int64_t>(getParts()),
       static_cast<int64_t>(getN()), static_cast<int64_t>(getK())},
      getFormat() ? Float32Type::get(getContext())
                  : getElementTypeOrSelf(getRhs().getType()));
}

LogicalResult GroupedMatmulOp::verify() {
  int64_t parts = getParts(), n = getN(), k = getK();
  if (parts != 1 && parts != 2)
    return emitOpError("parts must be 1 or 2, got ") << parts;
  if (n < 1 || k < 1)
    return emitOpError("n and k must be positive, got ") << n << " and " << k;
  if (std::optional<APFloat> share = getSkipZeros())
    if (double value = share->convertToDouble(); !(value > 0 && value <= 1))
      return emitOpError("'skip_zeros' must be a share above 0 and at most 1, "
                         "got ")
             << value;
  if (failed(verifyShape(*this, "lhs", getLhs(), {-1, -1}, kKernelFloat)))
    return failure();
  int64_t rowLength = cast<ShapedType>(getLhs().getType()).getDimSize(1);
  if (rowLength < k)
    return emitOpError("'lhs' rows must be static and at least k = ")
           << k << " long, got " << getLhs().getType();
  if (failed(verifyShape(*this, "offsets", getOffsets(), {-1}, kI32)))
    return failure();
  auto offsets = cast<ShapedType>(getOffsets().getType());
  if (offsets.isDynamicDim(0) || offsets.getDimSize(0) < 2)
    return emitOpError("'offsets' must be one more than the experts, static, "
                       "got ")
           << offsets;
  int64_t experts = getNumExperts();
  if (failed(verifyShape(*this, "active", getActive(), {experts + 1}, kI32)))
    return failure();
  auto rhs = cast<ShapedType>(getRhs().getType());
  if (!rhs.hasStaticShape())
    return emitOpError("'rhs' must be static, got ") << rhs;
  // Which layouts there are is the schedule's business.
  if (!getSchedule() &&
      failed(verifyShape(*this, "rhs", getRhs(), {experts, parts, n, k},
                         kKernelFloat)))
    return failure();
  if (getGather() &&
      failed(verifyShape(*this, "gather", getGather(), {-1}, kI32)))
    return failure();
  if (getGatherWeights()) {
    if (!getGather())
      return emitOpError("'gather_weights' needs 'gather'");
    if (failed(verifyShape(*this, "gather_weights", getGatherWeights(), {-1},
                           kF32)))
      return failure();
  }
  auto f32 = Float32Type::get(getContext());
  SmallVector<Type> arguments(parts, f32);
  if (failed(verifyRowOperands(*this, getTokens(), getGathered(), getRows(),
                               getParameters(), experts, n)))
    return failure();
  for (OperandRange operands : {getGathered(), getRows(), getParameters()})
    for (Value operand : operands)
      arguments.push_back(getElementTypeOrSelf(operand.getType()));
  Block &epilogue = getEpilogue().front();
  if (epilogue.getArgumentTypes() != ArrayRef<Type>(arguments))
    return emitOpError("the epilogue must take one f32 per part (")
           << parts << ") and one element per 'gathered', 'rows' and "
           << "'parameters': " << llvm::interleaved(arguments);
  if (epilogue.getTerminator()->getOperandTypes() != ArrayRef<Type>{f32})
    return emitOpError("the epilogue must yield one f32");
  for (Operation &op : epilogue.without_terminator())
    if (std::string why = whyNotOnElements(op); !why.empty())
      return emitOpError("has an epilogue that cannot be vectorized: ") << why;
  if (getOutputs().size() != 1)
    return emitOpError("expects one tensor or memref in 'outs', got ")
           << getOutputs().size();
  Value out = getOutputs()[0];
  if (failed(verifyShape(*this, "outs", out, {-1, -1}, kKernelFloat)))
    return failure();
  int64_t outLength = cast<ShapedType>(out.getType()).getDimSize(1);
  if (outLength < n)
    return emitOpError("'outs' rows must be static and at least n = ")
           << n << " long, got " << out.getType();
  if (getPositions()) {
    if (failed(verifyShape(*this, "combine", getPositions(), {-1, -1}, kI32)))
      return failure();
    if (cast<ShapedType>(getPositions().getType()).isDynamicDim(1))
      return emitOpError("the number of slots of 'combine' must be static");
    if (outLength != n ||
        !cast<ShapedType>(out.getType()).getElementType().isF32())
      return emitOpError("a combined result must be [T, n] f32, got ")
             << out.getType();
    if (getInit() &&
        failed(verifyShape(*this, "init", getInit(), {-1, n}, kF32)))
      return failure();
    if (getSlotWeights() &&
        failed(verifyShape(
            *this, "slot_weights", getSlotWeights(),
            {-1, cast<ShapedType>(getPositions().getType()).getDimSize(1)},
            kF32)))
      return failure();
  } else if (getInit() || getSlotWeights() || getFirstRow()) {
    return emitOpError("'init', 'slot_weights' and 'from' need 'combine'");
  }
  if (!getFirstRow() != !getNumRows())
    return emitOpError("needs both operands of 'from' or none");
  if (getSchedule() && failed(getSchedule()->verifySchedule(*this)))
    return failure();
  return verifyResults(*this);
}
