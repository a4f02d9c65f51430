//===- Rows.cpp - Kernels on the rows of a routing -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

#include "moek/KernelRegion.h"

#include "llvm/Support/InterleavedRange.h"

using namespace mlir;
using namespace moek;

LogicalResult GatherOp::verify() {
  if (failed(verifyShape(*this, "x", getX(), {-1, -1}, kF32)) ||
      failed(verifyShape(*this, "tokens", getTokens(), {-1}, kI32)) ||
      failed(verifyShape(*this, "offsets", getOffsets(), {-1}, kI32)))
    return failure();
  if (cast<ShapedType>(getX().getType()).isDynamicDim(1))
    return emitOpError("'x' rows must be of static length, got ")
           << getX().getType();
  if (getRowWeights() &&
      failed(verifyShape(*this, "row_weights", getRowWeights(), {-1}, kF32)))
    return failure();
  if (getOutputs().size() != 1 ||
      failed(verifyShape(*this, "outs", getOutputs()[0],
                         {-1, cast<ShapedType>(getX().getType()).getDimSize(1)},
                         kF32)))
    return emitOpError("expects one [rows, H] f32 output");
  return verifyResults(*this);
}

LogicalResult CombineOp::verify() {
  if (failed(verifyShape(*this, "rows", getRows(), {-1, -1}, kKernelFloat)) ||
      failed(verifyShape(*this, "positions", getPositions(), {-1, -1}, kI32)))
    return failure();
  int64_t slots = cast<ShapedType>(getPositions().getType()).getDimSize(1);
  int64_t n = cast<ShapedType>(getRows().getType()).getDimSize(1);
  if (ShapedType::isDynamic(slots) || ShapedType::isDynamic(n))
    return emitOpError("slots and row length must be static, got ")
           << getPositions().getType() << " and " << getRows().getType();
  if (getSlotWeights() &&
      failed(verifyShape(*this, "slot_weights", getSlotWeights(), {-1, slots},
                         kF32)))
    return failure();
  if (getInit() && failed(verifyShape(*this, "init", getInit(), {-1, n}, kF32)))
    return failure();
  if (!getFirstRow() != !getNumRows())
    return emitOpError("needs both operands of 'from' or none");
  if (getOutputs().size() != 1)
    return emitOpError("expects one output, got ") << getOutputs().size();
  if (failed(verifyShape(*this, "outs", getOutputs()[0], {-1, n}, kF32)))
    return failure();
  return verifyResults(*this);
}

/// The number of experts that static `[E + 1]` offsets are of.
static FailureOr<int64_t> verifyGroups(Operation *op, Value offsets) {
  if (failed(verifyShape(op, "offsets", offsets, {-1}, kI32)))
    return failure();
  auto type = cast<ShapedType>(offsets.getType());
  if (type.isDynamicDim(0) || type.getDimSize(0) < 2)
    return op->emitOpError("'groups' must be the static [E + 1] offsets, got ")
           << type;
  return type.getDimSize(0) - 1;
}

//===----------------------------------------------------------------------===//
// RowMapOp
//===----------------------------------------------------------------------===//

int64_t RowMapOp::getRowLength() {
  Block &body = getBody().front();
  auto find = [](TypeRange types) -> int64_t {
    for (Type type : types)
      if (auto vector = dyn_cast<VectorType>(type))
        return vector.getRank() == 1 ? vector.getDimSize(0) : 0;
    return 0;
  };
  int64_t length = find(body.getArgumentTypes());
  return length ? length : find(body.getTerminator()->getOperandTypes());
}

LogicalResult RowMapOp::verify() {
  FailureOr<int64_t> experts = verifyGroups(*this, getOffsets());
  if (failed(experts))
    return failure();
  int64_t length = getRowLength();
  if (failed(verifyRowOperands(*this, getTokens(), getGathered(), getRows(),
                               getParameters(), *experts, length)))
    return failure();

  SmallVector<Type> arguments;
  for (OperandRange operands : {getGathered(), getRows(), getParameters()})
    for (Value operand : operands)
      arguments.push_back(getRowType(operand, length));
  Block &body = getBody().front();
  if (body.getArgumentTypes() != ArrayRef<Type>(arguments))
    return emitOpError("the body must take one row of each of 'gathered', "
                       "'rows' and 'parameters': ")
           << llvm::interleaved(arguments) << "; it takes "
           << llvm::interleaved(body.getArgumentTypes());
  for (Operation &op : body.without_terminator())
    if (std::string why = whyNotOnRows(op); !why.empty())
      return emitOpError("has a body that cannot be vectorized: ") << why;
  TypeRange yielded = body.getTerminator()->getOperandTypes();
  if (getOutputs().empty() || getOutputs().size() != yielded.size())
    return emitOpError("expects one tensor or memref in 'outs' for each value "
                       "that the body yields (")
           << yielded.size() << "), got " << getOutputs().size();
  for (auto [output, type] : llvm::zip(getOutputs(), yielded)) {
    auto shaped = cast<ShapedType>(output.getType());
    if (shaped.getRank() < 1 || shaped.getRank() > 2 ||
        !shaped.getElementType().isIntOrFloat() ||
        (shaped.getRank() == 2 && shaped.getDimSize(1) < length))
      return emitOpError("'outs' must be [rows] or [rows, N] with N at least ")
             << length << ", got " << shaped;
    Type want = getRowType(output, length);
    bool rounds = getElementTypeOrSelf(type).isF32() &&
                  isa<FloatType>(shaped.getElementType()) &&
                  shaped.getElementTypeBitWidth() < 32;
    if (isa<VectorType>(type) != isa<VectorType>(want) ||
        (type != want && !rounds))
      return emitOpError("the body yields ")
             << type << " for an output of " << shaped;
  }
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// ExternalCallOp
//===----------------------------------------------------------------------===//

void ExternalCallOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  detail::getDestinationEffects(*this, effects);
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

LogicalResult ExternalCallOp::verify() {
  FailureOr<int64_t> experts = verifyGroups(*this, getOffsets());
  if (failed(experts))
    return failure();
  for (Value rows : getRows())
    if (auto type = cast<ShapedType>(rows.getType());
        type.getRank() != 2 || type.isDynamicDim(1))
      return emitOpError("'rows' must be [rows, N] with a static N, got ")
             << type;
  for (Value parameter : getParameters())
    if (auto type = cast<ShapedType>(parameter.getType());
        !type.hasStaticShape() || type.getRank() < 2 ||
        type.getDimSize(0) != *experts)
      return emitOpError("'parameters' must be [")
             << *experts << ", ...], one of each expert, got " << type;
  if (getOutputs().size() != 2 ||
      failed(verifyShape(*this, "outs", getOutputs()[0], {-1, -1}, kF32)) ||
      failed(verifyShape(*this, "outs", getOutputs()[1], {}, kI32)))
    return emitOpError("expects a [rows, M] f32 output and an i32 of rank 0");
  return verifyResults(*this);
}
