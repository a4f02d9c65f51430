//===- RowProduct.cpp - Products of rows with a matrix ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/RowProduct.h"

using namespace mlir;
using moe::RowProduct;

std::optional<RowProduct> RowProduct::match(linalg::LinalgOp op) {
  if (op.getNumLoops() != 3 || op.getNumReductionLoops() != 1 ||
      op.getNumDpsInputs() != 2 || !linalg::isaContractionOpInterface(op))
    return std::nullopt;
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (out.getNumResults() != 2)
    return std::nullopt;
  AffineExpr m = out.getResult(0), n = out.getResult(1);
  for (unsigned i = 0; i < 2; ++i) {
    AffineMap lhs = op.getMatchingIndexingMap(op.getDpsInputOperand(i));
    AffineMap rhs = op.getMatchingIndexingMap(op.getDpsInputOperand(1 - i));
    if (lhs.getNumResults() != 2 || rhs.getNumResults() != 2 ||
        lhs.getResult(0) != m || lhs.getResult(1) == n)
      continue;
    AffineExpr k = lhs.getResult(1);
    bool isTransposed = rhs.getResult(0) == k && rhs.getResult(1) == n;
    if (isTransposed || (rhs.getResult(0) == n && rhs.getResult(1) == k))
      return RowProduct{i, 1 - i, isTransposed};
  }
  return std::nullopt;
}
