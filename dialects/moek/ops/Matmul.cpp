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

LogicalResult PackOp::verify() {
  PanelsAttr layout = getLayout();
  bool paired = layout.getInterleave() != 0;
  if (getParts().empty())
    return emitOpError("needs at least one weight to pack");
  if (paired && getParts().size() % 2 != 0)
    return emitOpError(
               "with interleave needs pairs of weights (gate, up), got ")
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
      return emitOpError("weight ")
             << i << " is of " << type.getElementType()
             << ", the packed tensor of " << packed.getElementType();
    int64_t rank = type.getRank();
    if (n < 0) {
      n = type.getDimSize(rank - 2);
      k = type.getDimSize(rank - 1);
    } else if (n != type.getDimSize(rank - 2) || k != type.getDimSize(rank - 1))
      return emitOpError("weight ") << i << " is " << type.getDimSize(rank - 2)
                                    << " x " << type.getDimSize(rank - 1)
                                    << ", the first is " << n << " x " << k;
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
// GroupedMatmulOp
//===----------------------------------------------------------------------===//

LogicalResult GroupedMatmulOp::verify() {
  int64_t parts = getParts(), n = getN(), k = getK();
  if (parts != 1 && parts != 2)
    return emitOpError("parts must be 1 or 2, got ") << parts;
  if (n < 1 || k < 1)
    return emitOpError("n and k must be positive, got ") << n << " and " << k;
  if (failed(verifyShape(*this, "lhs", getLhs(), {-1, -1}, kKernelFloat)))
    return failure();
  int64_t rowLength = cast<ShapedType>(getLhs().getType()).getDimSize(1);
  if (rowLength < k)
    return emitOpError("'lhs' rows must be static and at least k = ")
           << k << " long, got " << getLhs().getType();
  auto rhs = cast<ShapedType>(getRhs().getType());
  if (rhs.getRank() != 5 || !rhs.hasStaticShape() ||
      !kKernelFloat.contain(rhs.getElementType()))
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
  if (failed(
          verifyShape(*this, "offsets", getOffsets(), {experts + 1}, kI32)) ||
      failed(verifyShape(*this, "active", getActive(), {experts + 1}, kI32)))
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
  } else if (getInit() || getSlotWeights()) {
    return emitOpError("'init' and 'slot_weights' need 'combine'");
  }
  if (getSchedule() && failed(getSchedule()->verifySchedule(*this)))
    return failure();
  return verifyResults(*this);
}
