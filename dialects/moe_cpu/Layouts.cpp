//===- Layouts.cpp - How packed weights lie in memory ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_cpu/MoeCpu.h"
#include "moek/BlockPanels.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace moecpu;

//===----------------------------------------------------------------------===//
// PanelsAttr
//===----------------------------------------------------------------------===//

LogicalResult PanelsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t kBlock) {
  if (kBlock != 1 && kBlock != 2 && kBlock != 4)
    return emitError() << "k_block must be 1, 2 or 4, got " << kBlock;
  return success();
}

LogicalResult
PanelsAttr::verifyLayout(function_ref<InFlightDiagnostic()> emitError,
                         RankedTensorType logical) const {
  Type element = logical.getElementType();
  if (getKBlock() == 1 ? element.isF32() : element.isBF16())
    return success();
  return emitError() << "panels with k_block = " << getKBlock()
                     << " do not fit weights of " << element
                     << "; 1 is for f32, 2 and 4 for bf16";
}

int64_t PanelsAttr::getSteps(int64_t k) const {
  // Blocks of 1024 bytes, which micro-kernels work on at a time.
  return llvm::alignTo(k, std::min<int64_t>(16, 8 * getKBlock())) / getKBlock();
}

RankedTensorType PanelsAttr::getPackedType(RankedTensorType logical) const {
  ArrayRef<int64_t> shape = logical.getShape();
  return logical.clone(
      {shape[0], llvm::divideCeilSigned(shape[2], getColumnsOfPart(shape[1])),
       getSteps(shape[3]), kColumns, getKBlock()});
}

DictionaryAttr PanelsAttr::getPacking(RankedTensorType logical) const {
  ArrayRef<int64_t> packed = getPackedType(logical).getShape();
  int64_t parts = logical.getDimSize(1);
  Builder b(getContext());
  auto integer = [&](StringRef key, int64_t value) {
    return b.getNamedAttr(key, b.getI64IntegerAttr(value));
  };
  return b.getDictionaryAttr(
      {b.getNamedAttr("layout", b.getStringAttr("panels")),
       integer("columns", kColumns),
       integer("interleave", parts > 1 ? getColumnsOfPart(parts) : 0),
       integer("k_block", getKBlock()),
       integer("k_padded", packed[2] * getKBlock()),
       integer("n_padded", packed[1] * kColumns)});
}

//===----------------------------------------------------------------------===//
// BlocksAttr
//===----------------------------------------------------------------------===//

static moek::BlockPanels getBlockPanels(BlocksAttr layout) {
  return {layout.getFormat(), BlocksAttr::kColumns, /*interleaved=*/true};
}

LogicalResult
BlocksAttr::verifyLayout(function_ref<InFlightDiagnostic()> emitError,
                         RankedTensorType logical) const {
  return getBlockPanels(*this).verify(emitError, logical);
}

int64_t BlocksAttr::getFieldOffset(int64_t k, int64_t field) const {
  return getBlockPanels(*this).getFieldOffset(k, field);
}

int64_t BlocksAttr::getBlockBytes(int64_t k) const {
  return getBlockPanels(*this).getBlockBytes(k);
}

RankedTensorType BlocksAttr::getPackedType(RankedTensorType logical) const {
  return getBlockPanels(*this).getPackedType(logical);
}

DictionaryAttr BlocksAttr::getPacking(RankedTensorType logical) const {
  return getBlockPanels(*this).getPacking(logical);
}

BlocksAttr moecpu::getBlocks(moek::GroupedMatmulOp op) {
  moe::WeightFormatAttrInterface format = op.getFormatAttr();
  if (!format)
    return {};
  auto blocks = BlocksAttr::get(op.getContext(), format);
  RankedTensorType logical = op.getLogicalRhsType();
  if (cast<ShapedType>(op.getRhs().getType()).getShape() !=
      blocks.getPackedType(logical).getShape())
    return {};
  return blocks;
}

PanelsAttr moecpu::getPanels(ShapedType packed, RankedTensorType logical) {
  for (int64_t kBlock : {1, 2, 4}) {
    auto panels = PanelsAttr::get(logical.getContext(), kBlock);
    // Silently: not every element type goes with every k_block.
    if ((kBlock == 1) == logical.getElementType().isF32() &&
        packed.getShape() == panels.getPackedType(logical).getShape())
      return panels;
  }
  return {};
}
