//===- WriteExpr.h - From expressions back to ops ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_WRITEEXPR_H
#define MOE_MLIR_RAISE_WRITEEXPR_H

#include "moe-mlir/Raise/Expr.h"
#include "moe-mlir/Raise/Upstream.h"

namespace moe::raise {

/// Writes an expression as ops on scalars.
class ScalarWriter {
public:
  ScalarWriter(mlir::OpBuilder &builder, mlir::Location loc)
      : b(builder), loc(loc) {}

  /// What `expr` is, known already.
  void set(const Expr *expr, mlir::Value value) { values[expr] = value; }
  /// Null if there is a reduction in it, or a variable that nobody set.
  mlir::Value write(const Expr *expr);

private:
  mlir::OpBuilder &b;
  mlir::Location loc;
  llvm::DenseMap<const Expr *, mlir::Value> values;
  unsigned numChoices = 0; ///< around what is being written
};

/// The tensor of `expr` over all values of `variables`, of `sizes`: one that is
/// there, if it is that. Null as ScalarWriter's.
mlir::Value writeTensor(Upstream &upstream, const Expr *expr,
                        llvm::ArrayRef<const Expr *> variables,
                        const Sizes &sizes, mlir::Type element);

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_WRITEEXPR_H
