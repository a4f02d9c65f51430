//===- Unify.h - Expressions that are one but for a number -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// An unrolled loop is the same expression again and again, with other numbers
// and other weights: W0[h, i], W1[h, i], ... are W[e, h, i] of one tensor that
// has all of them. What all have in common is not looked into.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_UNIFY_H
#define MOE_MLIR_RAISE_UNIFY_H

#include "ExpertBody.h"

#include <map>
#include <vector>

namespace moe::raise {

/// Finds the expression f(e) of a variable e that f(0), f(1), ... are.
class Unifier {
public:
  /// `number` is the variable. Tensors of all weights are written by `builder`.
  Unifier(Elements &elements, const Expr *number, mlir::OpBuilder &builder,
          mlir::Location loc)
      : elements(elements), exprs(elements.exprs), number(number),
        builder(builder), loc(loc) {}

  using Tuple = std::vector<const Expr *>;

  /// f; null if the expressions differ in more. As many as the number has
  /// values.
  const Expr *unify(const Tuple &all);

  /// Why not: two that differ, and in what.
  const std::optional<Obstacle> &getObstacle() const { return obstacle; }

private:
  const Expr *unifyKind(Tuple all);
  const Expr *unifyIntegers(const Tuple &all);
  const Expr *unifyElements(const Tuple &all);
  const Expr *unifyReductions(const Tuple &all);
  const Expr *unifyOperands(const Tuple &all,
                            llvm::SmallVectorImpl<const Expr *> &operands);
  void sortOperands(const Tuple &all, std::vector<Tuple> &operands);
  mlir::Value stack(const Tuple &all);
  llvm::hash_code sign(const Expr *expr, unsigned depth);
  const Expr *fail(const Tuple &all, unsigned which, const llvm::Twine &why);
  const Expr *failAtDifference(const Tuple &all);

  Elements &elements;
  Exprs &exprs;
  const Expr *number;
  mlir::OpBuilder &builder;
  mlir::Location loc;
  std::map<Tuple, const Expr *> known;
  std::map<std::vector<void *>, mlir::Value> stacked;
  /// The elements that are being looked into.
  Tuple around;
  std::optional<Obstacle> obstacle;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_UNIFY_H
