//===- PrepareMatmuls.cpp - Matmuls as GPUs run them ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/PrepareMatmuls.h"

#include "moe/E4M3Rows.h"
#include "moe_gpu/MoeGpu.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;
using moek::GroupedMatmulOp;

GroupedMatmulOp moe::splitCombine(RewriterBase &b, GroupedMatmulOp matmul,
                                  Type element) {
  Location loc = matmul.getLoc();
  b.setInsertionPoint(matmul);
  Value number = tensor::DimOp::create(b, loc, matmul.getLhs(), 0);
  if (Value gather = matmul.getGather())
    number = tensor::DimOp::create(b, loc, gather, 0);
  Value rows = tensor::EmptyOp::create(
      b, loc,
      RankedTensorType::get({ShapedType::kDynamic, int64_t(matmul.getN())},
                            element),
      ValueRange{number});
  auto plain = GroupedMatmulOp::create(
      b, loc, TypeRange{rows.getType()}, matmul.getLhs(), matmul.getRhs(),
      matmul.getOffsets(), matmul.getActive(), matmul.getGather(),
      matmul.getGatherWeights(), matmul.getTokens(), matmul.getGathered(),
      matmul.getRows(), matmul.getParameters(), /*positions=*/Value(),
      /*first_row=*/Value(), /*num_rows=*/Value(), /*slot_weights=*/Value(),
      /*init=*/Value(), ValueRange{rows}, matmul.getN(), matmul.getK(),
      matmul.getParts(), matmul.getPhaseAttr(), matmul.getFormatAttr(),
      matmul.getSkipZerosAttr(), moek::ScheduleAttrInterface());
  b.inlineRegionBefore(matmul.getEpilogue(), plain.getEpilogue(),
                       plain.getEpilogue().end());
  b.replaceOpWithNewOp<moek::CombineOp>(
      matmul, matmul.getResultTypes(), plain->getResult(0),
      matmul.getPositions(), matmul.getFirstRow(), matmul.getNumRows(),
      matmul.getSlotWeights(), matmul.getInit(), matmul.getOutputs());
  return plain;
}

void moe::dropActive(RewriterBase &b, GroupedMatmulOp matmul) {
  if (matmul.getActive().getType() == matmul.getOffsets().getType())
    b.modifyOpInPlace(
        matmul, [&] { matmul.getActiveMutable().set(matmul.getOffsets()); });
}

void moe::narrowResult(RewriterBase &b, GroupedMatmulOp matmul) {
  Value result = matmul->getResult(0);
  auto type = cast<RankedTensorType>(result.getType());
  auto empty = matmul.getOutputs()[0].getDefiningOp<tensor::EmptyOp>();
  if (!type.getElementType().isF32() || !empty)
    return;
  auto narrow = RankedTensorType::get(type.getShape(), b.getBF16Type());
  b.setInsertionPoint(matmul);
  Value own = tensor::EmptyOp::create(b, empty.getLoc(), narrow,
                                      empty.getDynamicSizes());
  b.modifyOpInPlace(matmul, [&] {
    matmul.getOutputsMutable()[0].set(own);
    result.setType(narrow);
  });
  b.setInsertionPointAfter(matmul);
  Value wide;
  for (OpOperand &use : llvm::make_early_inc_range(result.getUses())) {
    auto user = dyn_cast<GroupedMatmulOp>(use.getOwner());
    if (user && &use == &user.getLhsMutable())
      continue;
    if (!wide)
      wide = arith::ExtFOp::create(b, matmul.getLoc(), type, result);
    if (use.getOwner() != wide.getDefiningOp())
      b.modifyOpInPlace(use.getOwner(), [&] { use.set(wide); });
  }
}

void moe::narrowRows(RewriterBase &b, GroupedMatmulOp matmul) {
  auto type = cast<RankedTensorType>(matmul.getLhs().getType());
  if (!type.getElementType().isF32())
    return;
  b.setInsertionPoint(matmul);
  Value narrow = arith::TruncFOp::create(
      b, matmul.getLoc(),
      RankedTensorType::get(type.getShape(), b.getBF16Type()), matmul.getLhs());
  b.modifyOpInPlace(matmul, [&] { matmul.getLhsMutable().set(narrow); });
}

void moe::remarkOnRows(GroupedMatmulOp matmul, StringRef instead) {
  WeightFormatAttrInterface format = matmul.getFormatAttr();
  StringRef said = moek::getActivations(matmul->getParentOfType<ModuleOp>());
  if (!format ||
      (said != kE4M3Rows && getRowType(said, format) == RowType::F32))
    return;
  remark::missed(
      matmul.getLoc(),
      remark::RemarkOpts::name("not-rounded").category("moek-select-schedule"))
      << instead;
}

LogicalResult moe::layOutBlocks(RewriterBase &rewriter,
                                GroupedMatmulOp matmul) {
  if (!matmul.getFormatAttr() || moegpu::getBlocks(matmul))
    return success();
  auto pack = matmul.getRhs().getDefiningOp<moek::PackOp>();
  bool isAlone =
      pack && !pack.getLayoutAttr() &&
      llvm::all_of(pack->getUses(), [](OpOperand &use) {
        auto user = dyn_cast<GroupedMatmulOp>(use.getOwner());
        return user && use.get() == user.getRhs() && user.getFormatAttr();
      });
  if (!isAlone)
    return matmul.emitOpError("'rhs' has no layout; a moek.pack that nothing "
                              "but kernels read would get one");
  auto layout =
      moegpu::BlocksAttr::get(matmul.getContext(), matmul.getFormatAttr());
  rewriter.modifyOpInPlace(pack, [&] {
    pack.setLayoutAttr(layout);
    pack.getPacked().setType(layout.getPackedType(pack.getLogicalType()));
  });
  return success();
}
