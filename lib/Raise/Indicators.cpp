//===- Indicators.cpp - Sums of products of conditions ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Indicators.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

using namespace mlir;
using namespace moe::raise;

/// More terms than a program has that is written by people.
static constexpr size_t kMaxTerms = 16;

const Expr *Indicators::compare(arith::CmpIPredicate predicate, const Expr *a,
                                const Expr *b) {
  MLIRContext *context = exprs.getContext();
  return exprs.apply("arith.cmpi", IntegerType::get(context, 1), {a, b},
                     arith::CmpIPredicateAttr::get(context, predicate));
}

const Expr *Indicators::getIndicator(const Expr *condition) {
  return exprs.apply("arith.select", IndexType::get(exprs.getContext()),
                     {condition, exprs.number(1), exprs.number(0)});
}

const Expr *Indicators::assume(const Expr *expr, const Expr *condition) {
  if (condition->is("arith.andi"))
    return assume(assume(expr, (*condition)[0]), (*condition)[1]);
  expr = exprs.substitute(expr, condition, exprs.boolean(true));
  if (!condition->is("arith.cmpi"))
    return expr;
  auto predicate = cast<arith::CmpIPredicateAttr>(condition->value).getValue();
  const Expr *opposite = compare(arith::invertPredicate(predicate),
                                 (*condition)[0], (*condition)[1]);
  return exprs.substitute(expr, opposite, exprs.boolean(false));
}

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

/// Where one of two is chosen against 0, its condition: the product is there
/// under that.
const Expr *Indicators::multiply(const Expr *a, const Expr *b) {
  for (auto [choice, other] : {std::pair(a, b), std::pair(b, a)})
    if (choice->is("arith.select") && (*choice)[2]->getInteger() == 0)
      return exprs.apply("arith.select", choice->type,
                         {(*choice)[0],
                          multiply((*choice)[1], assume(other, (*choice)[0])),
                          exprs.number(0)});
  return exprs.apply("arith.muli", IndexType::get(exprs.getContext()), {a, b});
}

const Expr *Indicators::sum(const Expr *variable, const Expr *body) {
  // Conditions of what is not 0.
  Term all;
  for (const Expr *value = body;
       value->is("arith.select") && (*value)[2]->getInteger() == 0;
       value = (*value)[1])
    addCondition(all, (*value)[0]);
  for (const Expr *condition : all.conditions) {
    Term term;
    term.conditions = {condition};
    const Expr *only = takeEqual(term, variable);
    std::optional<Interval> range = only ? exprs.getRange(only) : std::nullopt;
    if (range && range->low >= 0 && range->high < variable->extent)
      return exprs.substitute(body, variable, only);
  }
  return exprs.reduce("arith.addi", variable, body);
}

const Expr *Indicators::getInteger(const Expr *given) {
  if (auto known = integers.find(given); known != integers.end())
    return known->second;
  Type index = IndexType::get(exprs.getContext());
  const Expr *code =
      isa<FloatType>(given->type) ? elements.unfoldAll(given) : given;
  const Expr *result = nullptr;
  auto operand = [&](unsigned i) { return getInteger((*code)[i]); };
  auto binary = [&](auto build) -> const Expr * {
    const Expr *a = operand(0), *b = a ? operand(1) : nullptr;
    return b ? build(a, b) : nullptr;
  };
  if (code->type.isInteger(1)) {
    result = getIndicator(getCondition(code));
  } else if (std::optional<double> number = code->getFloat()) {
    if (*number == std::floor(*number) && std::fabs(*number) < (1 << 24))
      result = exprs.number(static_cast<int64_t>(*number));
  } else if (code->is("arith.uitofp") || code->is("arith.sitofp") ||
             code->is("arith.fptosi")) {
    result = operand(0);
  } else if (code->is("arith.addf") || code->is("arith.subf")) {
    int64_t sign = code->is("arith.addf") ? 1 : -1;
    result = binary([&](const Expr *a, const Expr *b) {
      return exprs.linear(a, 1, b, sign);
    });
  } else if (code->is("arith.mulf") || code->is("arith.muli")) {
    result =
        binary([&](const Expr *a, const Expr *b) { return multiply(a, b); });
  } else if (code->is("arith.select")) {
    const Expr *a = operand(1), *b = operand(2);
    if (a && b)
      result =
          exprs.apply("arith.select", index, {getCondition((*code)[0]), a, b});
  } else if (code->isReduce("arith.addf") || code->isReduce("arith.addi")) {
    if (const Expr *body = operand(1))
      result = sum(code->operands[0], body);
  } else if (code->kind == Expr::Linear) {
    result = exprs.number(code->offset);
    for (auto [i, c] : llvm::enumerate(code->coefficients)) {
      const Expr *part = operand(i);
      result = part ? exprs.linear(result, 1, part, c) : nullptr;
      if (!result)
        break;
    }
  } else if (isa<IndexType>(code->type)) {
    result = code;
  }
  return integers[given] = result;
}

const Expr *Indicators::getCondition(const Expr *expr) {
  if (expr->is("arith.cmpi") && !(*expr)[0]->type.isInteger(1)) {
    const Expr *a = getInteger((*expr)[0]), *b = getInteger((*expr)[1]);
    return a && b ? exprs.apply(expr->name, expr->type, {a, b}, expr->value)
                  : expr;
  }
  if (expr->is("arith.cmpf")) {
    using Float = arith::CmpFPredicate;
    using Integer = arith::CmpIPredicate;
    std::optional<Integer> predicate;
    switch (cast<arith::CmpFPredicateAttr>(expr->value).getValue()) {
    case Float::OLT:
    case Float::ULT:
      predicate = Integer::slt;
      break;
    case Float::OLE:
    case Float::ULE:
      predicate = Integer::sle;
      break;
    case Float::OGT:
    case Float::UGT:
      predicate = Integer::sgt;
      break;
    case Float::OGE:
    case Float::UGE:
      predicate = Integer::sge;
      break;
    case Float::OEQ:
    case Float::UEQ:
      predicate = Integer::eq;
      break;
    case Float::ONE:
    case Float::UNE:
      predicate = Integer::ne;
      break;
    default:
      return expr;
    }
    const Expr *a = getInteger((*expr)[0]),
               *b = a ? getInteger((*expr)[1]) : nullptr;
    return b ? compare(*predicate, a, b) : expr;
  }
  if (expr->is("arith.andi") || expr->is("arith.ori") || expr->is("arith.xori"))
    return exprs.apply(expr->name, expr->type,
                       {getCondition((*expr)[0]), getCondition((*expr)[1])});
  return expr;
}

//===----------------------------------------------------------------------===//
// Terms
//===----------------------------------------------------------------------===//

void Indicators::addCondition(Term &term, const Expr *condition) {
  if (condition->is("arith.andi")) {
    addCondition(term, (*condition)[0]);
    addCondition(term, (*condition)[1]);
  } else if (!llvm::is_contained(term.conditions, condition)) {
    term.conditions.push_back(condition);
  }
}

bool Indicators::simplify(Term &term) {
  for (unsigned i = 0; i < term.conditions.size(); ++i)
    for (unsigned j = 0; j < term.conditions.size(); ++j)
      if (i != j)
        term.conditions[j] =
            getCondition(assume(term.conditions[j], term.conditions[i]));
  llvm::erase_if(term.conditions,
                 [](const Expr *c) { return c->getInteger() == 1; });
  return llvm::none_of(term.conditions,
                       [](const Expr *c) { return c->getInteger() == 0; });
}

const Expr *Indicators::takeEqual(Term &term, const Expr *variable) {
  for (auto [i, condition] : llvm::enumerate(term.conditions)) {
    if (!condition->is("arith.cmpi") ||
        cast<arith::CmpIPredicateAttr>(condition->value).getValue() !=
            arith::CmpIPredicate::eq)
      continue;
    // variable + a == b, too.
    const Expr *difference =
        exprs.linear((*condition)[0], 1, (*condition)[1], -1);
    int64_t c = 0;
    if (difference == variable)
      c = 1;
    else if (difference->kind == Expr::Linear)
      for (auto [part, coefficient] :
           llvm::zip_equal(difference->operands, difference->coefficients))
        if (part == variable)
          c = coefficient;
    if (c != 1 && c != -1)
      continue;
    const Expr *only = exprs.linear(variable, 1, difference, -c);
    if (only->dependsOn(variable))
      continue;
    term.conditions.erase(term.conditions.begin() + i);
    for (const Expr *&other : term.conditions)
      other = getCondition(exprs.substitute(other, variable, only));
    for (const Expr *&factor : term.factors)
      factor = exprs.substitute(factor, variable, only);
    return only;
  }
  return nullptr;
}

Indicators::Terms Indicators::getTerms(const Expr *expr) {
  const Expr *code =
      isa<FloatType>(expr->type) ? elements.unfoldAll(expr) : expr;
  Terms other = {Term{{}, {expr}}};
  if (code->type.isInteger(1)) {
    Term term;
    addCondition(term, getCondition(code));
    return simplify(term) ? Terms{term} : Terms();
  }
  if (code->getFloat() == 0.0 || code->getInteger() == 0)
    return {};
  if (code->getFloat() == 1.0 || code->getInteger() == 1)
    return {Term()};
  if (code->is("arith.uitofp") || code->is("arith.sitofp")) {
    const Expr *inner = (*code)[0];
    if (inner->type.isInteger(1))
      return getTerms(inner);
    const Expr *integer = getInteger(inner);
    return integer ? getTerms(integer) : other;
  }
  if (code->is("arith.addf")) {
    Terms terms = getTerms((*code)[0]);
    terms.append(getTerms((*code)[1]));
    return terms.size() > kMaxTerms ? other : terms;
  }
  if (code->is("arith.mulf") || code->is("arith.muli")) {
    Terms product;
    Terms left = getTerms((*code)[0]), right = getTerms((*code)[1]);
    if (left.size() * right.size() > kMaxTerms)
      return other;
    for (const Term &a : left)
      for (const Term &b : right) {
        Term term = a;
        for (const Expr *condition : b.conditions)
          addCondition(term, condition);
        term.factors.append(b.factors);
        if (simplify(term))
          product.push_back(term);
      }
    return product;
  }
  if (code->is("arith.select") &&
      ((*code)[2]->getFloat() == 0.0 || (*code)[2]->getInteger() == 0)) {
    Terms terms = getTerms((*code)[1]), kept;
    for (Term &term : terms) {
      addCondition(term, getCondition((*code)[0]));
      if (simplify(term))
        kept.push_back(term);
    }
    return kept;
  }
  if (code->isReduce("arith.addf")) {
    // One term for each that the variable is said of.
    Terms terms = getTerms(code->operands[1]);
    for (Term &term : terms) {
      const Expr *only = takeEqual(term, code->operands[0]);
      std::optional<Interval> range =
          only ? exprs.getRange(only) : std::nullopt;
      if (!range || range->low < 0 ||
          range->high >= code->operands[0]->extent || !simplify(term))
        return other;
    }
    return terms;
  }
  return other;
}
