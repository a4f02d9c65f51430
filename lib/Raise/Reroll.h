//===- Reroll.h - Experts that are added up one by one -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A program that is unrolled over experts adds a term for each of them: what
// the expert makes of the tokens that chose it, found by a mask, or of all
// tokens with a weight that is 0 for others. These terms are one sum over
// experts, of which few terms are left for a token. Where a token chooses one
// expert, what that makes of it may also be written in its place; tokens that
// the expert has no room for stay what they were.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_REROLL_H
#define MOE_MLIR_RAISE_REROLL_H

#include "ExpertBody.h"

namespace moe::raise {

/// Additions of terms that a mask of one tensor of chosen experts each has, or
/// choices between terms.
struct UnrolledSum {
  llvm::SmallVector<mlir::Operation *> parts; ///< in the program's order
  mlir::Value chosen;
  bool isChoice = false;
  /// What has all terms, or all of them times a weight.
  mlir::Operation *result = nullptr;
};

/// Variables for a token and a column of a tensor [tokens, columns], which may
/// have dimensions of one in front.
struct TensorLoops {
  const Expr *token = nullptr, *column = nullptr;
  llvm::SmallVector<const Expr *> indices;
};

/// Nothing if there are other dimensions, or no floats.
std::optional<TensorLoops> makeLoops(Exprs &exprs, mlir::Value tensor);

/// All of a function.
llvm::SmallVector<UnrolledSum> findUnrolledSums(mlir::Operation *function);

/// The terms of such a sum as one.
class Reroller {
public:
  Reroller(Elements &elements, const UnrolledSum &unrolled)
      : elements(elements), exprs(elements.exprs), unrolled(unrolled),
        loc(unrolled.result->getLoc()) {}

  /// The sum over slots that the result's element is, but for getRest() and
  /// tokens that have no room. Null if the terms are not one. Writes tensors of
  /// all experts' weights.
  const Expr *run(const TensorLoops &loops, mlir::OpBuilder &builder);

  /// Tensors that are added besides.
  mlir::ValueRange getRest() const { return rest; }
  /// How many tokens an expert has room for, the first ones, and what others
  /// are; null if they are 0. They have their weight, too.
  std::optional<int64_t> getCapacity() const { return capacity; }
  mlir::Value getOthers() const { return others; }
  const std::optional<Obstacle> &getObstacle() const { return obstacle; }

private:
  struct Term {
    int64_t expert;
    const Expr *value;
  };

  bool collect(const Expr *expr);
  bool collectChoices(const Expr *expr);
  const Expr *takeCapacity(const Expr *term);
  std::optional<int64_t> matchCapacity(const Expr *condition);
  const Expr *fail(const llvm::Twine &why);

  Elements &elements;
  Exprs &exprs;
  const UnrolledSum &unrolled;
  mlir::Location loc;
  TensorLoops loops;
  const Expr *weight = nullptr; ///< of all terms
  const Expr *expert = nullptr; ///< that a token chooses
  std::optional<int64_t> capacity;
  mlir::Value others;
  llvm::SmallVector<Term> terms;
  llvm::SmallVector<mlir::Value> rest;
  std::optional<Obstacle> obstacle;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_REROLL_H
