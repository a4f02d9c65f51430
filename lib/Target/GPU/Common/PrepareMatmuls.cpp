//===- PrepareMatmuls.cpp - Matmuls as GPUs run them ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/PrepareMatmuls.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

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
      moek::ScheduleAttrInterface());
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
