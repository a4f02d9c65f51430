//===- Indicators.h - Sums of products of conditions --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Programs without experts write who goes where as products and sums of numbers
// that are 0 or 1, of integers or floats. Here they are sums of terms that are
// there under conditions. Floats that count are integers: they are exact up to
// 2^24.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_INDICATORS_H
#define MOE_MLIR_RAISE_INDICATORS_H

#include "moe-mlir/Raise/Elements.h"

#include <optional>

namespace moe::raise {

class Indicators {
public:
  explicit Indicators(Elements &elements)
      : elements(elements), exprs(elements.exprs) {}

  /// A product of `factors` where all `conditions` hold, else 0.
  struct Term {
    llvm::SmallVector<const Expr *> conditions, factors;
  };
  using Terms = llvm::SmallVector<Term>;

  /// `expr`, a float or an integer, as a sum; what is no product or sum is a
  /// factor.
  Terms getTerms(const Expr *expr);

  /// The integer that an integer or float is, with sums of one term picked;
  /// null if it is none.
  const Expr *getInteger(const Expr *expr);
  /// A condition on integers, which floats may be.
  const Expr *getCondition(const Expr *expr);

  /// `expr` where `condition` holds.
  const Expr *assume(const Expr *expr, const Expr *condition);
  /// The X of `variable == X` among the conditions, which goes; null if there
  /// is none. `variable` becomes X in all that stays.
  const Expr *takeEqual(Term &term, const Expr *variable);

  /// Uses each condition of a term in the others; false if one never holds.
  bool simplify(Term &term);

  const Expr *compare(mlir::arith::CmpIPredicate predicate, const Expr *a,
                      const Expr *b);
  /// 1 where `condition` holds, else 0.
  const Expr *getIndicator(const Expr *condition);

private:
  const Expr *multiply(const Expr *a, const Expr *b);
  const Expr *sum(const Expr *variable, const Expr *body);
  void addCondition(Term &term, const Expr *condition);

  Elements &elements;
  Exprs &exprs;
  llvm::DenseMap<const Expr *, const Expr *> integers;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_INDICATORS_H
