//===- Integers.cpp - Integers, simplified ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is known of an index: sums are linear, quotients and comparisons follow
// from the ranges of their operands.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Expr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"

#include <cmath>

using namespace mlir;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

const Expr *Exprs::linear(const Expr *a, int64_t scaleA, const Expr *b,
                          int64_t scaleB) {
  SmallVector<std::pair<const Expr *, int64_t>> terms;
  int64_t offset = 0;
  auto addTerm = [&](const Expr *term, int64_t scale) {
    for (auto &[known, coefficient] : terms)
      if (known == term) {
        coefficient += scale;
        return;
      }
    terms.push_back({term, scale});
  };
  auto addAll = [&](const Expr *expr, int64_t scale) {
    if (std::optional<int64_t> constant = expr->getInteger()) {
      offset += *constant * scale;
    } else if (expr->kind == Expr::Linear) {
      offset += expr->offset * scale;
      for (auto [term, coefficient] :
           llvm::zip_equal(expr->operands, expr->coefficients))
        addTerm(term, coefficient * scale);
    } else {
      addTerm(expr, scale);
    }
  };
  addAll(a, scaleA);
  addAll(b, scaleB);
  llvm::erase_if(terms, [](auto &term) { return term.second == 0; });
  if (terms.empty())
    return number(offset);
  if (terms.size() == 1 && terms[0].second == 1 && offset == 0)
    return terms[0].first;
  llvm::sort(terms, [](auto &x, auto &y) { return x.first->id < y.first->id; });
  Expr expr{};
  expr.kind = Expr::Linear;
  expr.type = IndexType::get(context);
  expr.offset = offset;
  for (auto &[term, coefficient] : terms) {
    expr.operands.push_back(term);
    expr.coefficients.push_back(coefficient);
  }
  return get(std::move(expr));
}

std::optional<Interval> Exprs::getRange(const Expr *expr) const {
  if (std::optional<int64_t> constant = expr->getInteger())
    return Interval{*constant, *constant};
  switch (expr->kind) {
  case Expr::Variable:
    if (ShapedType::isDynamic(expr->extent))
      return Interval{0, INT32_MAX};
    return Interval{0, expr->extent - 1};
  case Expr::Element: {
    auto known = ranges.find(expr->tensor);
    if (known == ranges.end())
      return std::nullopt;
    return known->second;
  }
  case Expr::Linear: {
    // c * x - c * by * floor(x / by) is c * (x mod by).
    for (auto [term, c] : llvm::zip_equal(expr->operands, expr->coefficients)) {
      if (!term->is("floordiv"))
        continue;
      int64_t by = cast<IntegerAttr>(term->value).getInt();
      auto &self = const_cast<Exprs &>(*this);
      const Expr *rest = self.linear(expr, 1, self.mod((*term)[0], by), c / by);
      if (c % by || rest->operands.size() >= expr->operands.size())
        continue;
      std::optional<Interval> range = getRange(rest);
      if (!range)
        return std::nullopt;
      int64_t last = -(c / by) * (by - 1);
      return Interval{range->low + std::min<int64_t>(last, 0),
                      range->high + std::max<int64_t>(last, 0)};
    }
    Interval sum{expr->offset, expr->offset};
    for (auto [term, c] : llvm::zip_equal(expr->operands, expr->coefficients)) {
      std::optional<Interval> range = getRange(term);
      if (!range)
        return std::nullopt;
      sum.low += std::min(c * range->low, c * range->high);
      sum.high += std::max(c * range->low, c * range->high);
    }
    return sum;
  }
  case Expr::Apply: {
    SmallVector<Interval> of;
    for (const Expr *operand : expr->operands) {
      bool isCondition = operand->type.isInteger(1);
      std::optional<Interval> range =
          isCondition ? Interval{0, 1} : getRange(operand);
      if (!range)
        return std::nullopt;
      of.push_back(*range);
    }
    if (expr->name == "arith.select")
      return Interval{std::min(of[1].low, of[2].low),
                      std::max(of[1].high, of[2].high)};
    if (expr->name == "arith.minsi")
      return Interval{std::min(of[0].low, of[1].low),
                      std::min(of[0].high, of[1].high)};
    if (expr->name == "arith.maxsi")
      return Interval{std::max(of[0].low, of[1].low),
                      std::max(of[0].high, of[1].high)};
    if (expr->name == "floordiv") {
      int64_t by = cast<IntegerAttr>(expr->value).getInt();
      return Interval{llvm::divideFloorSigned(of[0].low, by),
                      llvm::divideFloorSigned(of[0].high, by)};
    }
    if (expr->name == "arith.remui" || expr->name == "arith.divui") {
      if (of[0].low < 0 || of[1].low < 0)
        return std::nullopt;
      return Interval{0, expr->name == "arith.divui"
                             ? of[0].high
                             : std::min(of[0].high, of[1].high - 1)};
    }
    if (expr->name == "mod")
      return Interval{0, cast<IntegerAttr>(expr->value).getInt() - 1};
    return std::nullopt;
  }
  default:
    return std::nullopt;
  }
}

const Expr *Exprs::floorDiv(const Expr *a, int64_t by) {
  if (by == 1)
    return a;
  // What `by` divides comes out if the rest is between 0 and `by`.
  const Expr *quotient = number(0), *rest = number(0);
  auto add = [&](const Expr *term, int64_t c) {
    int64_t whole = llvm::divideFloorSigned(c, by);
    if (whole * by == c)
      quotient = linear(quotient, 1, term, whole);
    else
      rest = linear(rest, 1, term, c);
  };
  if (a->kind == Expr::Linear) {
    for (auto [term, c] : llvm::zip_equal(a->operands, a->coefficients))
      add(term, c);
    int64_t whole = llvm::divideFloorSigned(a->offset, by);
    quotient = linear(quotient, 1, number(whole), 1);
    rest = linear(rest, 1, number(a->offset - whole * by), 1);
  } else {
    rest = a;
  }
  if (std::optional<Interval> range = getRange(rest);
      range && range->low >= 0 && range->high < by)
    return quotient;
  Expr expr{};
  expr.kind = Expr::Apply;
  expr.type = IndexType::get(context);
  expr.name = "floordiv";
  expr.value = IntegerAttr::get(expr.type, by);
  expr.operands = {rest};
  if (std::optional<int64_t> constant = rest->getInteger())
    return linear(quotient, 1, number(llvm::divideFloorSigned(*constant, by)),
                  1);
  return linear(quotient, 1, get(std::move(expr)), 1);
}

const Expr *Exprs::mod(const Expr *a, int64_t by) {
  return linear(a, 1, floorDiv(a, by), -by);
}

std::optional<bool> Exprs::compare(StringRef predicate, const Expr *a,
                                   const Expr *b) const {
  // By the range of the difference.
  const Expr *difference = const_cast<Exprs *>(this)->linear(a, 1, b, -1);
  std::optional<Interval> range = getRange(difference);
  if (!range)
    return std::nullopt;
  auto decide = [](bool always, bool never) -> std::optional<bool> {
    return always  ? std::optional<bool>(true)
           : never ? std::optional<bool>(false)
                   : std::nullopt;
  };
  if (predicate == "slt")
    return decide(range->high < 0, range->low >= 0);
  if (predicate == "sle")
    return decide(range->high <= 0, range->low > 0);
  if (predicate == "sgt")
    return decide(range->low > 0, range->high <= 0);
  if (predicate == "sge")
    return decide(range->low >= 0, range->high < 0);
  bool isZero = range->low == 0 && range->high == 0;
  bool isOther = range->low > 0 || range->high < 0;
  if (predicate == "eq")
    return decide(isZero, isOther);
  if (predicate == "ne")
    return decide(isOther, isZero);
  return std::nullopt;
}

bool Exprs::isBelow(const Expr *expr, const Expr *size) const {
  std::optional<Interval> range = getRange(expr);
  if (!range || range->low < 0)
    return false;
  if (std::optional<int64_t> known = size->getInteger())
    return range->high < *known;
  return sizes.lookup(expr) == size;
}

/// (row * size + column) divided by size, with the column below it.
const Expr *Exprs::divideBySize(const Expr *expr, const Expr *size,
                                bool isRest) {
  if (isBelow(expr, size))
    return isRest ? expr : number(0);
  if (expr->kind != Expr::Linear)
    return nullptr;
  for (auto [term, c] : llvm::zip_equal(expr->operands, expr->coefficients)) {
    if (!term->is("arith.muli") || c != 1)
      continue;
    const Expr *column = linear(expr, 1, term, -1);
    for (unsigned i = 0; i < 2; ++i)
      if ((*term)[i] == size && isBelow(column, size))
        return isRest ? column : (*term)[1 - i];
  }
  return nullptr;
}

const Expr *Exprs::applyInteger(StringRef op, ArrayRef<const Expr *> v,
                                Attribute value) {
  if (op == "arith.addi")
    return add(v[0], v[1]);
  if (op == "arith.subi")
    return linear(v[0], 1, v[1], -1);
  if (op == "arith.muli") {
    if (std::optional<int64_t> c = v[1]->getInteger())
      return scale(v[0], *c);
    if (std::optional<int64_t> c = v[0]->getInteger())
      return scale(v[1], *c);
    return nullptr;
  }
  bool isFloor = op == "arith.floordivsi";
  bool isRest = op == "arith.remsi" || op == "arith.remui";
  if (isFloor || isRest || op == "arith.divsi" || op == "arith.divui") {
    std::optional<int64_t> by = v[1]->getInteger();
    std::optional<Interval> range = getRange(v[0]);
    if (!by)
      return divideBySize(v[0], v[1], isRest);
    if (*by <= 0 || !(isFloor || (range && range->low >= 0)))
      return nullptr;
    return isRest ? mod(v[0], *by) : floorDiv(v[0], *by);
  }
  if (op == "arith.minsi" || op == "arith.maxsi") {
    StringRef order = op == "arith.minsi" ? "sle" : "sge";
    for (unsigned i = 0; i < 2; ++i)
      if (compare(order, v[i], v[1 - i]).value_or(false))
        return v[i];
    return nullptr;
  }
  if (op == "arith.fptosi") {
    if (std::optional<double> value = v[0]->getFloat();
        value && std::fabs(*value) < 1e15)
      return number(static_cast<int64_t>(*value));
    // A count in floats.
    if (v[0]->isReduce("arith.addf") && v[0]->operands[1]->is("arith.select")) {
      const Expr *one = v[0]->operands[1];
      if ((*one)[1]->getFloat() == 1.0 && (*one)[2]->getFloat() == 0.0)
        return reduce("arith.addi", v[0]->operands[0],
                      apply("arith.select", IndexType::get(context),
                            {(*one)[0], number(1), number(0)}));
    }
    return nullptr;
  }
  // Conversions between integers.
  if (op == "arith.extsi" || op == "arith.extui" || op == "arith.trunci" ||
      op == "arith.index_cast" || op == "arith.index_castui") {
    if (!v[0]->type.isInteger(1))
      return v[0];
    return apply("arith.select", IndexType::get(context),
                 {v[0], number(1), number(0)});
  }
  if (op == "math.absi") {
    std::optional<Interval> range = getRange(v[0]);
    return range && range->low >= 0 ? v[0] : nullptr;
  }
  return nullptr;
}

/// The integers that are read from tensors in `expr`, and whether there is a
/// number among what it is computed by that was a float.
static void collectAtoms(const Expr *expr,
                         llvm::SmallSetVector<const Expr *, 2> &atoms,
                         bool &hasFloats) {
  if (expr->kind == Expr::Element || expr->kind == Expr::Variable ||
      expr->kind == Expr::Reduce) {
    atoms.insert(expr);
    return;
  }
  hasFloats |= expr->is("arith.fptosi");
  for (const Expr *operand : expr->operands)
    collectAtoms(operand, atoms, hasFloats);
}

const Expr *Exprs::simplifyByValues(const Expr *expr) {
  llvm::SmallSetVector<const Expr *, 2> atoms;
  bool hasFloats = false;
  collectAtoms(expr, atoms, hasFloats);
  if (!hasFloats || atoms.size() != 1 || atoms.front() == expr)
    return expr;
  std::optional<Interval> range = getRange(atoms.front());
  if (!range || range->high - range->low > 4096)
    return expr;
  for (int64_t value = range->low; value <= range->high; ++value)
    if (substitute(expr, atoms.front(), number(value))->getInteger() != value)
      return expr;
  return atoms.front();
}
