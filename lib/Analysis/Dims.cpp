//===- Dims.cpp - Dimensions that there are not -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Dims.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ShapedOpInterfaces.h"

using namespace mlir;

bool moe::isDimOutOfRange(Operation *op) {
  auto dim = dyn_cast<ShapedDimOpInterface>(op);
  if (!dim)
    return false;
  auto type = dyn_cast<ShapedType>(dim.getShapedValue().getType());
  std::optional<int64_t> index = getConstantIntValue(dim.getDimension());
  return type && type.hasRank() && index &&
         (*index < 0 || *index >= type.getRank());
}

LogicalResult moe::verifyDims(Operation *root) {
  WalkResult result = root->walk([](Operation *op) {
    if (!isDimOutOfRange(op))
      return WalkResult::advance();
    op->emitOpError(kDimOutOfRange);
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}
