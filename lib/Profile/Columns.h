//===- Columns.h - Some columns of a tensor -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_PROFILE_COLUMNS_H
#define MOE_LIB_PROFILE_COLUMNS_H

#include "mlir/IR/Builders.h"

namespace moe::profile {

/// The indices `kept` of a dimension, as buildParts() has them, but computed of
/// parts of operands where that is possible: a product with a weight becomes one with some rows of the weight. What is
/// computed from all columns, as a softmax is, is computed as before.
class ColumnTaker {
public:
  ColumnTaker(mlir::OpBuilder &b, llvm::ArrayRef<int64_t> kept)
      : b(b), kept(kept) {}

  mlir::Value take(mlir::Value value, int64_t dim);

private:
  mlir::Value takeOfOp(mlir::Operation *op, mlir::Value value, int64_t dim);

  mlir::OpBuilder &b;
  llvm::ArrayRef<int64_t> kept;
  llvm::DenseMap<std::pair<mlir::Value, int64_t>, mlir::Value> taken;
};

} // namespace moe::profile

#endif // MOE_LIB_PROFILE_COLUMNS_H
