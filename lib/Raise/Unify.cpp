//===- Unify.cpp - Expressions that are one but for a number -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Unify.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/SaveAndRestore.h"

using namespace mlir;
using namespace moe::raise;

/// What an expression is at its top, for people.
static std::string describe(const Expr *expr) {
  switch (expr->kind) {
  case Expr::Apply:
    return expr->name.str();
  case Expr::Reduce:
    return ("a reduction by " + expr->name).str();
  case Expr::Constant:
    if (std::optional<double> value = expr->getFloat()) {
      std::string text;
      llvm::raw_string_ostream(text) << llvm::format("%g", *value);
      return text;
    }
    if (std::optional<int64_t> value = expr->getInteger())
      return std::to_string(*value);
    return "a constant";
  case Expr::Element: {
    std::string text = "an element of ";
    llvm::raw_string_ostream os(text);
    if (Operation *op = expr->tensor.getDefiningOp())
      os << "the result of " << op->getName();
    else
      os << "an argument " << expr->tensor.getType();
    return text;
  }
  default:
    return "an index";
  }
}

const Expr *Unifier::fail(const Tuple &all, unsigned which, const Twine &why) {
  if (obstacle)
    return nullptr;
  Location where = loc;
  if (all[which]->kind == Expr::Element)
    where = all[which]->tensor.getLoc();
  else if (!around.empty())
    where = around[which]->tensor.getLoc();
  obstacle = {where, why.str()};
  return nullptr;
}

/// The first that has another top than the first one.
const Expr *Unifier::failAtDifference(const Tuple &all) {
  std::string first = describe(all.front());
  for (auto [i, expr] : llvm::enumerate(all))
    if (std::string own = describe(expr); own != first)
      return fail(all, i,
                  "expert " + Twine(i) + " has " + own +
                      " where expert 0 has " + first);
  return fail(all, 1, "experts have " + first + " in different places");
}

const Expr *Unifier::unify(const Tuple &all) {
  if (llvm::all_equal(all))
    return all.front();
  auto [it, isNew] = known.try_emplace(all, nullptr);
  if (!isNew)
    return it->second;
  const Expr *result = unifyKind(all);
  return known[all] = result;
}

const Expr *Unifier::unifyKind(Tuple all) {
  const Expr *first = all.front();
  auto isSameKind = [&](const Expr *expr) { return expr->kind == first->kind; };
  // An element of a tensor, and what such an element is.
  for (const Expr *&expr : all)
    if (!llvm::all_of(all, isSameKind))
      expr = elements.unfoldAll(expr);
  first = all.front();
  if (!llvm::all_of(all, [&](const Expr *expr) {
        return expr->kind == first->kind && expr->type == first->type;
      })) {
    if (isa<IndexType>(first->type))
      if (const Expr *result = unifyIntegers(all))
        return result;
    return failAtDifference(all);
  }
  if (isa<IndexType>(first->type))
    if (const Expr *result = unifyIntegers(all))
      return result;
  switch (first->kind) {
  case Expr::Element:
    return unifyElements(all);
  case Expr::Reduce:
    return unifyReductions(all);
  case Expr::Apply: {
    for (const Expr *expr : all)
      if (expr->name != first->name || expr->value != first->value ||
          expr->operands.size() != first->operands.size())
        return failAtDifference(all);
    SmallVector<const Expr *> operands;
    if (!unifyOperands(all, operands))
      return nullptr;
    if (first->name == "floordiv")
      return exprs.floorDiv(operands[0],
                            cast<IntegerAttr>(first->value).getInt());
    return exprs.apply(first->name, first->type, operands, first->value);
  }
  default:
    return failAtDifference(all);
  }
}

/// Integers that are apart by the same from one to the next.
const Expr *Unifier::unifyIntegers(const Tuple &all) {
  std::optional<int64_t> step;
  for (unsigned i = 1; i < all.size(); ++i) {
    if (!isa<IndexType>(all[i]->type))
      return nullptr;
    std::optional<int64_t> difference =
        exprs.linear(all[i], 1, all[i - 1], -1)->getInteger();
    if (!difference || (step && *step != *difference))
      return nullptr;
    step = difference;
  }
  return exprs.linear(all.front(), 1, number, *step);
}

const Expr *Unifier::unifyElements(const Tuple &all) {
  const Expr *first = all.front();
  bool isOneTensor = llvm::all_of(all, [&](const Expr *expr) {
    return expr->tensor == first->tensor &&
           expr->operands.size() == first->operands.size();
  });
  SmallVector<const Expr *> operands;
  if (isOneTensor) {
    std::optional<Obstacle> before = obstacle;
    if (unifyOperands(all, operands))
      return exprs.load(first->tensor, operands);
    obstacle = before;
  }
  Tuple unfolded;
  for (const Expr *expr : all)
    if (const Expr *next = elements.unfold(expr))
      unfolded.push_back(next);
  if (unfolded.size() == all.size()) {
    llvm::SaveAndRestore inside(around, all);
    return unify(unfolded);
  }
  if (!unfolded.empty())
    return failAtDifference(all);
  // Weights of each.
  auto type = dyn_cast<RankedTensorType>(first->tensor.getType());
  if (!isa<FloatType>(first->type) || !type || !type.hasStaticShape())
    return failAtDifference(all);
  for (auto [i, expr] : llvm::enumerate(all))
    if (expr->tensor.getType() != type)
      return fail(all, i, "weights of experts have different shapes");
  operands.clear();
  if (!unifyOperands(all, operands))
    return nullptr;
  operands.insert(operands.begin(), number);
  return exprs.load(stack(all), operands);
}

/// One tensor of all that have the elements, [E, ...].
Value Unifier::stack(const Tuple &all) {
  std::vector<void *> key;
  for (const Expr *expr : all)
    key.push_back(expr->tensor.getAsOpaquePointer());
  Value &result = stacked[key];
  if (result)
    return result;
  Upstream up(builder, loc);
  SmallVector<Value> parts;
  for (const Expr *expr : all) {
    Sizes sizes = up.sizesOf(expr->tensor);
    sizes.insert(sizes.begin(), builder.getIndexAttr(1));
    parts.push_back(up.reshape(expr->tensor, sizes));
  }
  return result = up.concat(parts, 0);
}

const Expr *Unifier::unifyReductions(const Tuple &all) {
  const Expr *first = all.front(), *variable = first->operands[0];
  const Expr *size = exprs.getSize(variable);
  for (auto [i, expr] : llvm::enumerate(all)) {
    if (expr->name != first->name)
      return failAtDifference(all);
    if (expr->operands[0] != variable &&
        (!size || exprs.getSize(expr->operands[0]) != size))
      return fail(all, i,
                  "experts reduce dimensions of different sizes, or of sizes "
                  "that are not known");
  }
  // One that is free in none of them.
  const Expr *own = exprs.variable(variable->extent);
  if (size)
    exprs.setSize(own, size);
  SmallVector<const Expr *> body;
  for (unsigned d = 1; d < first->operands.size(); ++d) {
    Tuple part;
    for (const Expr *expr : all)
      part.push_back(
          exprs.substitute(expr->operands[d], expr->operands[0], own));
    body.push_back(unify(part));
    if (!body.back())
      return nullptr;
  }
  return exprs.reduce(first->name, own, body);
}

const Expr *Unifier::unifyOperands(const Tuple &all,
                                   SmallVectorImpl<const Expr *> &operands) {
  const Expr *first = all.front();
  std::vector<Tuple> columns(first->operands.size());
  for (const Expr *expr : all)
    for (auto [column, operand] : llvm::zip_equal(columns, expr->operands))
      column.push_back(operand);
  if (columns.size() == 2 && first->kind == Expr::Apply)
    sortOperands(all, columns);
  for (const Tuple &column : columns) {
    operands.push_back(unify(column));
    if (!operands.back())
      return nullptr;
  }
  return first;
}

/// Operands of a commutative op are in the order in which they were made, which
/// differs between experts: those that look alike belong together.
void Unifier::sortOperands(const Tuple &all, std::vector<Tuple> &operands) {
  bool isCommutative =
      llvm::StringSwitch<bool>(all.front()->name)
          .Cases({"arith.addf", "arith.mulf", "arith.andi", "arith.ori"}, true)
          .Cases({"arith.maximumf", "arith.minimumf", "arith.maxnumf",
                  "arith.minnumf"},
                 true)
          .Default(false);
  if (!isCommutative)
    return;
  const Expr *l = operands[0].front(), *r = operands[1].front();
  llvm::hash_code left = sign(l, 3), right = sign(r, 3);
  for (unsigned i = 1; i < all.size(); ++i) {
    const Expr *a = operands[0][i], *b = operands[1][i];
    bool isStraight = a == l || b == r, isCrossed = a == r || b == l;
    if (isStraight == isCrossed) {
      llvm::hash_code own = sign(a, 3), other = sign(b, 3);
      isStraight = own == left && other == right;
      isCrossed = own == right && other == left;
    }
    if (isCrossed && !isStraight)
      std::swap(operands[0][i], operands[1][i]);
  }
}

/// The same for expressions that may be one; names, not which tensor.
llvm::hash_code Unifier::sign(const Expr *expr, unsigned depth) {
  if (expr->kind == Expr::Element && isa<FloatType>(expr->type)) {
    expr = elements.unfoldAll(expr);
    if (expr->kind == Expr::Element) {
      auto type = dyn_cast<RankedTensorType>(expr->tensor.getType());
      if (!type)
        return llvm::hash_value(int(expr->kind));
      return llvm::hash_combine_range(type.getShape());
    }
  }
  if (std::optional<double> value = expr->getFloat())
    return llvm::hash_value(llvm::bit_cast<uint64_t>(*value));
  llvm::hash_code code = llvm::hash_combine(int(expr->kind), expr->name);
  if (depth == 0 || (expr->kind != Expr::Apply && expr->kind != Expr::Reduce))
    return code;
  size_t sum = 0;
  for (const Expr *operand : expr->operands)
    sum += sign(operand, depth - 1);
  return llvm::hash_combine(code, sum);
}
