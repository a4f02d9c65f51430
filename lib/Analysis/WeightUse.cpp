//===- WeightUse.cpp - Which weights are packed ahead of time ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Follows a weight up to what is known before the function runs.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/WeightUse.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using moe::WeightUse;

static SmallVector<int64_t> squeeze(RankedTensorType type) {
  SmallVector<int64_t> shape(type.getShape());
  llvm::erase(shape, 1);
  return shape;
}

/// Whether `from` and `to` are the same matrices: the packer reads rows and
/// columns by position.
static bool hasSameMatrices(RankedTensorType from, RankedTensorType to) {
  return squeeze(from) == squeeze(to) &&
         from.getShape().take_back(2) == to.getShape().take_back(2);
}

/// Takes over what `slice` cuts out.
static bool addSlice(tensor::ExtractSliceOp slice, WeightUse &use) {
  RankedTensorType type = slice.getSourceType();
  int64_t rank = type.getRank();
  bool isFirst = !use.rows && !use.columns && !use.matrices;
  if (!isFirst || rank < 2 || rank > 3 || !slice.hasUnitStride() ||
      ShapedType::isDynamicShape(slice.getStaticOffsets()) ||
      ShapedType::isDynamicShape(slice.getStaticSizes()) ||
      // The dimensions that are left have to be those of matrices.
      slice.getType().getShape().take_back(2) !=
          slice.getStaticSizes().take_back(2))
    return false;
  auto take = [&](int64_t dim, int64_t &first, int64_t &count) {
    first = slice.getStaticOffset(dim);
    count = slice.getStaticSize(dim);
  };
  if (slice.getStaticSizes().take_back(2) != type.getShape().take_back(2)) {
    take(rank - 2, use.firstRow, use.rows);
    take(rank - 1, use.firstColumn, use.columns);
  }
  if (rank == 3 && slice.getStaticSize(0) != type.getDimSize(0))
    take(0, use.firstMatrix, use.matrices);
  return true;
}

FailureOr<WeightUse> WeightUse::get(Value weight, std::string &why) {
  auto type = dyn_cast<RankedTensorType>(weight.getType());
  if (!type || !type.hasStaticShape() || type.getRank() < 2 ||
      type.getRank() > 3) {
    why = "it has no static shape [E, N, K] or [N, K]";
    return failure();
  }
  if (!type.getElementType().isF32() && !type.getElementType().isBF16()) {
    why = "its elements are neither f32 nor bf16";
    return failure();
  }
  WeightUse use;
  use.root = weight;
  while (true) {
    if (auto argument = dyn_cast<BlockArgument>(use.root)) {
      auto function = dyn_cast_or_null<FunctionOpInterface>(
          argument.getOwner()->getParentOp());
      if (function && argument.getOwner()->isEntryBlock() &&
          function.isPublic())
        return use;
      why = function ? "it is an argument of a private function"
                     : "it changes from iteration to iteration";
      return failure();
    }
    Operation *op = use.root.getDefiningOp();
    if (matchPattern(op, m_Constant(&use.constant)))
      return use;
    auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
    bool isReshape =
        isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
            op) &&
        isa<RankedTensorType>(op->getOperand(0).getType());
    if (slice ? !addSlice(slice, use)
              : !isReshape ||
                    !hasSameMatrices(
                        cast<RankedTensorType>(op->getOperand(0).getType()),
                        cast<RankedTensorType>(op->getResult(0).getType()))) {
      why = ("it is computed by " + op->getName().getStringRef()).str();
      return failure();
    }
    use.root = op->getOperand(0);
  }
}

bool moe::canPackTogether(ValueRange weights, std::string &why) {
  unsigned constants = 0;
  for (Value weight : weights) {
    FailureOr<WeightUse> use = WeightUse::get(weight, why);
    if (failed(use))
      return false;
    constants += bool(use->constant);
  }
  if (constants == 0 || constants == weights.size())
    return true;
  why = "some of its parts are constants and others arguments";
  return false;
}
