//===- Rows.cpp - Kernels on the rows of a routing -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

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
  if (failed(verifyShape(*this, "rows", getRows(), {-1, -1}, kF32)) ||
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
  if (getOutputs().size() != 1)
    return emitOpError("expects one output, got ") << getOutputs().size();
  if (failed(verifyShape(*this, "outs", getOutputs()[0], {-1, n}, kF32)))
    return failure();
  return verifyResults(*this);
}
