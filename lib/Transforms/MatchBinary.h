//===- MatchBinary.h - Sums and products of two tensors ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Frontends add tensors by arith ops, named linalg ops and linalg.generic
// alike.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TRANSFORMS_MATCHBINARY_H
#define MOE_MLIR_LIB_TRANSFORMS_MATCHBINARY_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace moe {

/// The two tensors that `op` adds or multiplies element by element (`OpTy` on
/// scalars), and the maps it reads them by.
template <typename OpTy>
bool matchBinary(mlir::Operation *op, mlir::Value (&operands)[2],
                 mlir::AffineMap (&maps)[2]) {
  if (llvm::isa<OpTy>(op) &&
      llvm::isa<mlir::RankedTensorType>(op->getResult(0).getType())) {
    auto type = llvm::cast<mlir::RankedTensorType>(op->getResult(0).getType());
    for (int i = 0; i < 2; ++i) {
      operands[i] = op->getOperand(i);
      maps[i] = mlir::AffineMap::getMultiDimIdentityMap(type.getRank(),
                                                        op->getContext());
    }
    return true;
  }
  auto linalgOp = llvm::dyn_cast<mlir::linalg::LinalgOp>(op);
  if (!linalgOp || !linalgOp.hasPureTensorSemantics() ||
      op->getNumResults() != 1 || linalgOp.getNumDpsInputs() != 2 ||
      linalgOp.getNumLoops() != linalgOp.getNumParallelLoops() ||
      !linalgOp.getMatchingIndexingMap(linalgOp.getDpsInitOperand(0))
           .isIdentity())
    return false;
  mlir::Block &body = *linalgOp.getBlock();
  auto scalar = body.getTerminator()->getOperand(0).getDefiningOp<OpTy>();
  if (!scalar || !llvm::hasSingleElement(body.without_terminator()))
    return false;
  bool inOrder = scalar.getLhs() == body.getArgument(0) &&
                 scalar.getRhs() == body.getArgument(1);
  bool swapped = scalar.getLhs() == body.getArgument(1) &&
                 scalar.getRhs() == body.getArgument(0);
  if (!inOrder && !swapped)
    return false;
  for (int i = 0; i < 2; ++i) {
    operands[i] = linalgOp.getDpsInputs()[i];
    maps[i] = linalgOp.getMatchingIndexingMap(linalgOp.getDpsInputOperand(i));
  }
  return true;
}

} // namespace moe

#endif // MOE_MLIR_LIB_TRANSFORMS_MATCHBINARY_H
