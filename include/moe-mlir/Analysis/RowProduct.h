//===- RowProduct.h - Products of rows with a matrix ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_ROWPRODUCT_H
#define MOE_MLIR_ANALYSIS_ROWPRODUCT_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <optional>

namespace moe {

/// A linalg op that multiplies rows `[rows, K]` by a matrix, `[N, K]` or, if it
/// is transposed, `[K, N]`, and adds `init` `[rows, N]`: linalg.matmul, or a
/// contraction as linalg.generic.
struct RowProduct {
  /// Operand numbers of the op.
  unsigned rows, matrix;
  bool isTransposed;

  static std::optional<RowProduct> match(mlir::linalg::LinalgOp op);
};

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_ROWPRODUCT_H
