//===- Conditions.cpp - Comparisons, simplified -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is known of a condition on indices: it follows from their ranges, from
// other conditions that have to hold as well, or from what there is.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Expr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace moe::raise;

/// The condition that holds where `condition` does not.
const Expr *Exprs::negate(const Expr *condition) {
  if (std::optional<int64_t> known = condition->getInteger())
    return boolean(!*known);
  if (condition->is("arith.cmpi"))
    return apply(
        "arith.cmpi", condition->type, condition->operands,
        arith::CmpIPredicateAttr::get(
            context,
            arith::invertPredicate(
                cast<arith::CmpIPredicateAttr>(condition->value).getValue())));
  return apply("arith.xori", condition->type, {condition, boolean(true)});
}

const Expr *Exprs::applyComparison(ArrayRef<const Expr *> v, Attribute value) {
  auto predicate = cast<arith::CmpIPredicateAttr>(value).getValue();
  StringRef name = arith::stringifyCmpIPredicate(predicate);
  Type type = IntegerType::get(context, 1);
  auto compareAs = [&](arith::CmpIPredicate other, const Expr *a,
                       const Expr *b) {
    return apply("arith.cmpi", type, {a, b},
                 arith::CmpIPredicateAttr::get(context, other));
  };
  if (v[0]->type.isInteger(1)) {
    // Of conditions: with a constant they are themselves or their negation.
    if (std::optional<int64_t> right = v[1]->getInteger();
        right && (name == "ne" || name == "eq"))
      return (name == "ne") == (*right == 0) ? v[0] : negate(v[0]);
    return nullptr;
  }
  if (std::optional<bool> known = compare(name, v[0], v[1]))
    return boolean(*known);
  // Equality has one order of operands.
  bool isEquality = name == "eq" || name == "ne";
  if (isEquality &&
      (v[0]->getInteger() || (v[0]->id > v[1]->id && !v[1]->getInteger())))
    return compareAs(predicate, v[1], v[0]);
  std::optional<int64_t> right = v[1]->getInteger();
  if (!right)
    return nullptr;
  // What is chosen from is compared before.
  if (v[0]->is("arith.select") &&
      ((*v[0])[1]->getInteger() || (*v[0])[2]->getInteger()))
    return apply("arith.select", type,
                 {(*v[0])[0], compareAs(predicate, (*v[0])[1], v[1]),
                  compareAs(predicate, (*v[0])[2], v[1])});
  // No factor of what is not 0 is.
  if (name == "ne" && *right == 0 && v[0]->is("arith.muli"))
    return apply("arith.andi", type,
                 {compareAs(predicate, (*v[0])[0], v[1]),
                  compareAs(predicate, (*v[0])[1], v[1])});
  // What is at least 0 is 0, or above.
  std::optional<Interval> range = getRange(v[0]);
  if (!range || range->low < 0)
    return nullptr;
  if ((name == "sle" && *right == 0) || (name == "slt" && *right == 1))
    return compareAs(arith::CmpIPredicate::eq, v[0], number(0));
  if ((name == "sgt" && *right == 0) || (name == "sge" && *right == 1))
    return compareAs(arith::CmpIPredicate::ne, v[0], number(0));
  // A sum of what is at least 0 is 0 where all of it is.
  if (name == "eq" && *right == 0 && v[0]->kind == Expr::Linear &&
      v[0]->offset == 0) {
    const Expr *all = boolean(true);
    for (auto [term, c] : llvm::zip_equal(v[0]->operands, v[0]->coefficients)) {
      std::optional<Interval> of = getRange(term);
      if (c < 0 || !of || of->low < 0)
        return nullptr;
      all = apply("arith.andi", type,
                  {all, compareAs(arith::CmpIPredicate::eq, term, number(0))});
    }
    return all;
  }
  return nullptr;
}

/// Whether two conditions, each of which may be several that all have to hold,
/// say what something is and that it is something else.
bool Exprs::isContradiction(const Expr *a, const Expr *b) {
  SmallVector<const Expr *> all = {a, b};
  for (unsigned i = 0; i < all.size(); ++i)
    if (all[i]->is("arith.andi"))
      all.append(all[i]->operands.begin(), all[i]->operands.end());
  for (const Expr *known : all) {
    if (!known->is("arith.cmpi") ||
        cast<arith::CmpIPredicateAttr>(known->value).getValue() !=
            arith::CmpIPredicate::eq ||
        !(*known)[1]->getInteger())
      continue;
    for (const Expr *other : all)
      if (other != known && !other->is("arith.andi") &&
          substitute(other, (*known)[0], (*known)[1])->getInteger() == 0)
        return true;
  }
  return false;
}

/// Whether one of the values of `variable` for which f(variable) == f(other)
/// holds is that of another variable.
bool Exprs::isWitnessed(const Expr *variable, const Expr *condition) {
  if (!condition->is("arith.cmpi") ||
      cast<arith::CmpIPredicateAttr>(condition->value).getValue() !=
          arith::CmpIPredicate::eq)
    return false;
  for (unsigned i = 0; i < 2; ++i)
    for (const Expr *other : (*condition)[1 - i]->free)
      if (other != variable && other->extent == variable->extent &&
          !ShapedType::isDynamic(other->extent) &&
          substitute((*condition)[i], variable, other) == (*condition)[1 - i])
        return true;
  return false;
}
