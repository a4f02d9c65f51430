//===- Reroll.h - Experts that are added up one by one -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A program that is unrolled over experts adds a term for each of them: what
// the expert makes of the tokens that chose it, found by a mask, or of all
// tokens with a weight that is 0 for others. These terms are one sum over
// experts, of which few terms are left for a token.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_REROLL_H
#define MOE_MLIR_RAISE_REROLL_H

#include "ExpertBody.h"

namespace moe::raise {

/// Additions of terms that a mask of one tensor of chosen experts each has.
struct UnrolledSum {
  llvm::SmallVector<mlir::Operation *> additions; ///< in the program's order
  mlir::Value chosen;

  /// What has all terms.
  mlir::Operation *getLast() const { return additions.back(); }
};

/// All of a function. Tensors of two dimensions are looked at.
llvm::SmallVector<UnrolledSum> findUnrolledSums(mlir::Operation *function);

/// The terms of such a sum as one.
class Reroller {
public:
  Reroller(Elements &elements, const UnrolledSum &unrolled)
      : elements(elements), exprs(elements.exprs), unrolled(unrolled),
        loc(unrolled.getLast()->getLoc()) {}

  /// The sum over slots that is the last addition's element at `indices`, but
  /// for getRest(). Null if the terms are not one. Writes tensors of all
  /// experts' weights.
  const Expr *run(llvm::ArrayRef<const Expr *> indices,
                  mlir::OpBuilder &builder);

  /// Tensors that are added besides.
  mlir::ValueRange getRest() const { return rest; }
  const std::optional<Obstacle> &getObstacle() const { return obstacle; }

private:
  struct Term {
    int64_t expert;
    const Expr *value;
  };

  bool collect(const Expr *expr, llvm::ArrayRef<const Expr *> indices);
  const Expr *fail(const llvm::Twine &why);

  Elements &elements;
  Exprs &exprs;
  const UnrolledSum &unrolled;
  mlir::Location loc;
  llvm::SmallVector<Term> terms;
  llvm::SmallVector<mlir::Value> rest;
  std::optional<Obstacle> obstacle;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_REROLL_H
