//===- ScalarCode.h - Scalar ops as expressions -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_SCALARCODE_H
#define MOE_MLIR_RAISE_SCALARCODE_H

#include "moe-mlir/Raise/Expr.h"

namespace moe::raise {

/// Scalar code as expressions in which products and quotients have one form.
class ScalarCode {
public:
  explicit ScalarCode(mlir::MLIRContext *context) : exprs(context) {}

  /// `value` in terms of `leaves`; null if there are ops that are not known.
  const Expr *read(mlir::Value value,
                   const llvm::DenseMap<mlir::Value, const Expr *> &leaves);
  /// Factors and divisors in one order, clamps from above first.
  const Expr *normalize(const Expr *expr);

  Exprs exprs;

private:
  struct Quotient {
    llvm::SmallVector<const Expr *> over, under;
    double factor = 1;
  };
  void collectFactors(const Expr *expr, bool isUnder, Quotient &quotient);

  llvm::DenseMap<const Expr *, const Expr *> normalized;
};

/// The value of a float expression of constants; nothing if there is something
/// else in it, or an op that is not known.
std::optional<double> evaluate(const Expr *expr);

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_SCALARCODE_H
