//===- Sums.cpp - Sums of which few terms are left ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Programs that know no experts sum over all of them with masks, or sort rows
// by expert, multiply group by group and put the rows back. One term of such a
// sum is not 0, and what sorts and puts back cancels.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Elements.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// Rows that are sorted by their group
//===----------------------------------------------------------------------===//

bool Elements::hasMeaning(Value tensor, StringRef meaning) {
  Operation *op = tensor.getDefiningOp();
  auto attr =
      op ? op->getAttrOfType<StringAttr>(kMeaningAttrName) : StringAttr();
  return attr && attr == meaning;
}

const Expr *Elements::compare(arith::CmpIPredicate predicate, const Expr *a,
                              const Expr *b) {
  MLIRContext *context = exprs.getContext();
  return exprs.apply("arith.cmpi", IntegerType::get(context, 1), {a, b},
                     arith::CmpIPredicateAttr::get(context, predicate));
}

/// The place in `expr` where a list of places has its entry `place`.
const Expr *Elements::findOrder(const Expr *expr, const Expr *place) {
  if (expr->kind == Expr::Element && hasMeaning(expr->tensor, "order"))
    return expr->operands[0] == place ? expr : nullptr;
  for (const Expr *operand : expr->operands)
    if (const Expr *order = findOrder(operand, place))
      return order;
  return nullptr;
}

/// Whether `count` is the number of elements of a row that are `value`.
bool Elements::isCountOf(const Expr *count, const Expr *value, Value row) {
  if (!count->isReduce("arith.addi"))
    return false;
  const Expr *place = count->operands[0], *one = count->operands[1];
  const Expr *expected = exprs.apply(
      "arith.select", value->type,
      {compare(arith::CmpIPredicate::eq, element(row, place), value), number(1),
       number(0)});
  if (one == expected)
    return true;
  // In another order there are as many.
  const Expr *order = findOrder(one, place);
  return order && exprs.substitute(one, order, place) == expected;
}

/// begin[g] <= row and row < end[g], where rows are sorted by their group and
/// ends are running sums of how many rows each has: whether the row's group is
/// g. Null if `expr` is something else.
const Expr *Elements::readMembership(const Expr *expr) {
  using Predicate = arith::CmpIPredicate;
  auto matchOrder = [](const Expr *order, Predicate predicate,
                       Predicate mirrored, const Expr *&low,
                       const Expr *&high) {
    if (!order->is("arith.cmpi"))
      return false;
    auto which = cast<arith::CmpIPredicateAttr>(order->value).getValue();
    low = (*order)[which == predicate ? 0 : 1];
    high = (*order)[which == predicate ? 1 : 0];
    return which == predicate || which == mirrored;
  };
  for (unsigned i = 0; i < 2; ++i) {
    const Expr *begin, *row, *same, *end;
    if (!matchOrder((*expr)[i], Predicate::sle, Predicate::sge, begin, row) ||
        !matchOrder((*expr)[1 - i], Predicate::slt, Predicate::sgt, same,
                    end) ||
        row != same || row->kind != Expr::Element ||
        !hasMeaning(row->tensor, "ranks") || !end->isReduce("arith.addi"))
      continue;
    // end = sum(v, select(v <= g, count(v), 0)).
    const Expr *other = end->operands[0], *term = end->operands[1];
    const Expr *from, *group;
    if (!term->is("arith.select") || (*term)[2]->getInteger() != 0 ||
        !matchOrder((*term)[0], Predicate::sle, Predicate::sge, from, group) ||
        from != other)
      continue;
    Value sorted = row->tensor.getDefiningOp()->getOperand(0);
    if (!isCountOf((*term)[1], other, sorted))
      continue;
    // begin is the end of the group before; that of the first is 0.
    const Expr *before =
        exprs.substitute(end, group, exprs.linear(group, 1, number(-1), 1));
    if (begin != exprs.apply("arith.select", before->type,
                             {compare(Predicate::slt, group, number(1)),
                              number(0), before}))
      continue;
    return compare(Predicate::eq, element(sorted, row->operands), group);
  }
  return nullptr;
}

/// Groups of rows that are sorted by their group: that of the row where q is
/// after sorting is the one that q has. Sizes of groups have to be the numbers
/// of rows that have them.
const Expr *Elements::readGroup(Value tensor, Indices indices) {
  Value counts = tensor.getDefiningOp()->getOperand(0);
  int64_t groups = cast<RankedTensorType>(counts.getType()).getDimSize(0);
  auto unknown = [&]() {
    return exprs.load(tensor, indices, Interval{0, groups});
  };
  const Expr *row = indices[0];
  if (row->kind != Expr::Element || !hasMeaning(row->tensor, "ranks"))
    return unknown();
  Value sorted = row->tensor.getDefiningOp()->getOperand(0);
  const Expr *group = exprs.variable(groups);
  const Expr *count = element(counts, group);
  if (!count->isReduce("arith.addi"))
    return unknown();
  return isCountOf(count, group, sorted) ? element(sorted, row->operands)
                                         : unknown();
}

//===----------------------------------------------------------------------===//
// One term
//===----------------------------------------------------------------------===//

/// The X of `variable == X`, which is always one of its values; null if
/// `condition` is another.
const Expr *Elements::matchEqual(const Expr *condition, const Expr *variable) {
  if (!condition->is("arith.cmpi") ||
      cast<arith::CmpIPredicateAttr>(condition->value).getValue() !=
          arith::CmpIPredicate::eq)
    return nullptr;
  for (unsigned i = 0; i < 2; ++i) {
    const Expr *other = (*condition)[1 - i];
    if ((*condition)[i] != variable || other->dependsOn(variable))
      continue;
    std::optional<Interval> range = exprs.getRange(other);
    if (range && range->low >= 0 && range->high < variable->extent)
      return other;
  }
  return nullptr;
}

/// The sum over `variable` of a product with a factor that is 0 but for one
/// value of it, select(variable == X, a, 0): the term of X. With a factor that
/// is a sum of such over `slots`, their terms. (0 times an infinity is 0 then.)
bool Elements::pickTerm(const Expr *&product, const Expr *variable,
                        SmallVectorImpl<const Expr *> &slots,
                        const Expr **where) {
  const Expr *only = nullptr;
  if (!findTerm(product, variable, only, slots))
    return false;
  if (where)
    *where = only;
  product = exprs.substitute(product, variable, only);
  return true;
}

/// The factor of `product` that is 0 but for one value, `only`, of `variable`
/// becomes what it is there.
bool Elements::findTerm(const Expr *&product, const Expr *variable,
                        const Expr *&only,
                        SmallVectorImpl<const Expr *> &slots) {
  if (!product->dependsOn(variable))
    return false;
  auto isZero = [](const Expr *expr) { return expr->getFloat() == 0.0; };
  const Expr *code = unfoldAll(product);
  if (code->is("arith.mulf")) {
    for (unsigned i = 0; i < 2; ++i) {
      const Expr *factor = (*code)[i];
      if (!findTerm(factor, variable, only, slots))
        continue;
      product =
          exprs.apply("arith.mulf", product->type, {factor, (*code)[1 - i]});
      return true;
    }
    return false;
  }
  if (code->is("arith.select") && isZero((*code)[2])) {
    // One of the conditions that have to hold; what others leave is left.
    const Expr *condition = (*code)[0];
    only = matchEqual(condition, variable);
    if (only) {
      product = (*code)[1];
      return true;
    }
    if (!condition->is("arith.andi"))
      return false;
    for (unsigned i = 0; i < 2 && !only; ++i) {
      only = matchEqual((*condition)[i], variable);
      if (only)
        product = exprs.apply("arith.select", code->type,
                              {(*condition)[1 - i], (*code)[1], (*code)[2]});
    }
    return only;
  }
  // Entries that are added up, or written at most once.
  if (code->isReduce("arith.addf")) {
    const Expr *term = code->operands[1];
    if (!findTerm(term, variable, only, slots))
      return false;
    product = term;
    slots.push_back(code->operands[0]);
    return true;
  }
  // Over two variables there is one in the other.
  if (!code->isReduce("last") || code->operands.size() != 4 ||
      !isZero(code->operands[3]))
    return false;
  const Expr *slot = code->operands[0];
  only = matchEqual(code->operands[1], variable);
  if (!only || !isDistinct(only, slot))
    return false;
  product = code->operands[2];
  slots.push_back(slot);
  return true;
}

/// Whether an integer is another for each value of `variable`: experts of a
/// token are.
bool Elements::isDistinct(const Expr *expr, const Expr *variable) {
  return expr->kind == Expr::Element && expr->operands.size() == 2 &&
         expr->operands[1] == variable &&
         !expr->operands[0]->dependsOn(variable) &&
         expr->tensor.getDefiningOp<RoutingIndicesOp>();
}
