//===- Reroll.cpp - Experts that are added up one by one ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Reroll.h"
#include "Unify.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// Masks
//===----------------------------------------------------------------------===//

namespace {
/// `chosen[...] == expert`.
struct Mask {
  Value chosen;
  int64_t expert;
};
} // namespace

static bool isZero(const Expr *expr) { return expr->getFloat() == 0.0; }

static bool isEquality(const Expr *expr) {
  return expr->is("arith.cmpi") &&
         cast<arith::CmpIPredicateAttr>(expr->value).getValue() ==
             arith::CmpIPredicate::eq;
}

/// A condition, or several that have to hold, of which one is a mask.
static std::optional<Mask> findEquality(const Expr *condition) {
  if (condition->is("arith.andi") || condition->is("arith.ori") ||
      condition->kind == Expr::Reduce) {
    for (const Expr *operand : condition->operands)
      if (std::optional<Mask> mask = findEquality(operand))
        return mask;
    return std::nullopt;
  }
  // A 1 where it holds.
  if (condition->is("arith.select"))
    return findEquality((*condition)[0]);
  if (!isEquality(condition))
    return std::nullopt;
  const Expr *chosen = (*condition)[0];
  std::optional<int64_t> expert = (*condition)[1]->getInteger();
  if (!expert || chosen->kind != Expr::Element)
    return std::nullopt;
  return Mask{chosen->tensor, *expert};
}

/// The mask that a term is 0 without.
static std::optional<Mask> findMask(Elements &elements, const Expr *term,
                                    unsigned depth = 8) {
  if (depth-- == 0)
    return std::nullopt;
  const Expr *code = elements.unfoldAll(term);
  if (code->is("arith.select"))
    return isZero((*code)[2]) ? findEquality((*code)[0]) : std::nullopt;
  if (code->is("arith.uitofp") || code->is("arith.sitofp"))
    return findEquality((*code)[0]);
  if (code->is("arith.mulf") || code->is("arith.divf") ||
      code->is("arith.extf") || code->is("arith.truncf")) {
    for (const Expr *factor : code->operands)
      if (std::optional<Mask> mask = findMask(elements, factor, depth))
        return mask;
    return std::nullopt;
  }
  if (code->isReduce("last"))
    return findEquality(code->operands[1]);
  if (code->isReduce("arith.addf"))
    return findMask(elements, code->operands[1], depth);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// A sum over places p of what is 0 unless p is in row or column X, p mod M ==
/// X or p / M == X: over the places that are there. The same of the last one.
static const Expr *enterRow(Elements &elements, const Expr *sum) {
  Exprs &exprs = elements.exprs;
  if (sum->kind != Expr::Reduce)
    return sum;
  const Expr *place = sum->operands[0], *body = sum->operands[1];
  if (sum->isReduce("arith.addf") && body->is("arith.select") &&
      isZero((*body)[2]))
    body = (*body)[0];
  else if (!sum->isReduce("last") || !isZero(sum->operands[3]))
    return sum;
  SmallVector<const Expr *> conditions = {body};
  for (unsigned i = 0; i < conditions.size(); ++i)
    if (conditions[i]->is("arith.andi"))
      conditions.append(conditions[i]->operands.begin(),
                        conditions[i]->operands.end());
  for (const Expr *condition : conditions) {
    if (!isEquality(condition))
      continue;
    for (unsigned i = 0; i < 2; ++i)
      if (std::optional<Row> row =
              elements.findRow((*condition)[i], (*condition)[1 - i], place)) {
        SmallVector<const Expr *> parts;
        for (const Expr *part : ArrayRef(sum->operands).drop_front())
          parts.push_back(exprs.substitute(part, place, row->place));
        return exprs.reduce(sum->name, row->other, parts);
      }
  }
  return sum;
}

//===----------------------------------------------------------------------===//
// Additions
//===----------------------------------------------------------------------===//

static bool isAddition(Operation *op) {
  if (op->getNumResults() != 1)
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || type.getRank() != 2 || !isa<FloatType>(type.getElementType()))
    return false;
  if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
    if (isa<linalg::AddOp>(op))
      return true;
    // Of a first term a sum is left that starts with nothing.
    return isa<linalg::GenericOp>(op) && structured.getBlock()
                                             ->getTerminator()
                                             ->getOperand(0)
                                             .getDefiningOp<arith::AddFOp>();
  }
  return isa<arith::AddFOp>(op);
}

SmallVector<UnrolledSum> moe::raise::findUnrolledSums(Operation *function) {
  // Of its own: what is raised in between changes what elements are.
  Elements elements(function->getContext());
  Exprs &exprs = elements.exprs;
  llvm::MapVector<Value, UnrolledSum> sums;
  function->walk([&](Operation *op) {
    if (!isAddition(op))
      return;
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    const Expr *sum = elements.unfold(
        exprs.load(op->getResult(0), {exprs.variable(type.getDimSize(0)),
                                      exprs.variable(type.getDimSize(1))}));
    if (!sum)
      return;
    SmallVector<const Expr *> terms = {sum};
    if (sum->is("arith.addf"))
      terms.assign(sum->operands.begin(), sum->operands.end());
    for (const Expr *term : terms)
      if (std::optional<Mask> mask = findMask(elements, term)) {
        UnrolledSum &own = sums[mask->chosen];
        own.chosen = mask->chosen;
        if (own.additions.empty() || own.additions.back() != op)
          own.additions.push_back(op);
      }
  });
  SmallVector<UnrolledSum> found;
  for (auto &[chosen, sum] : sums)
    if (sum.additions.size() > 1)
      found.push_back(sum);
  return found;
}

//===----------------------------------------------------------------------===//
// Reroller
//===----------------------------------------------------------------------===//

const Expr *Reroller::fail(const Twine &why) {
  if (!obstacle)
    obstacle = {loc, why.str()};
  return nullptr;
}

/// Takes a sum apart as far as its additions go.
bool Reroller::collect(const Expr *expr, ArrayRef<const Expr *> indices) {
  if (isZero(expr))
    return true;
  if (expr->is("arith.addf"))
    return collect((*expr)[0], indices) && collect((*expr)[1], indices);
  bool isInner =
      expr->kind == Expr::Element &&
      llvm::is_contained(unrolled.additions, expr->tensor.getDefiningOp());
  if (isInner)
    if (const Expr *next = elements.unfold(expr))
      return collect(next, indices);
  std::optional<Mask> mask = findMask(elements, expr);
  if (mask && mask->chosen == unrolled.chosen) {
    terms.push_back(
        {mask->expert, enterRow(elements, elements.unfoldAll(expr))});
    return true;
  }
  if (expr->kind != Expr::Element || !llvm::equal(expr->operands, indices) ||
      expr->tensor.getType() != unrolled.getLast()->getResult(0).getType()) {
    fail("something is added to the experts of a layer that is no tensor");
    return false;
  }
  rest.push_back(expr->tensor);
  return true;
}

const Expr *Reroller::run(ArrayRef<const Expr *> indices, OpBuilder &builder) {
  if (const Expr *size = elements.size(unrolled.getLast()->getResult(0), 0))
    exprs.setSize(indices[0], size);
  const Expr *sum =
      elements.unfold(exprs.load(unrolled.getLast()->getResult(0), indices));
  if (!sum || !collect(sum, indices))
    return nullptr;
  llvm::stable_sort(
      terms, [](const Term &a, const Term &b) { return a.expert < b.expert; });
  Unifier::Tuple all;
  for (const Term &term : terms) {
    int64_t expected = all.size();
    if (term.expert < expected)
      return fail("expert " + Twine(term.expert) + " is added twice");
    if (term.expert > expected)
      return fail("expert " + Twine(expected) + " is not added");
    all.push_back(term.value);
  }
  const Expr *number = exprs.variable(terms.size());
  Unifier unifier(elements, number, builder, loc);
  const Expr *term = unifier.unify(all);
  if (!term) {
    obstacle = unifier.getObstacle();
    return nullptr;
  }
  SmallVector<const Expr *> slots;
  if (!elements.pickTerm(term, number, slots))
    return fail("tokens may choose experts that are not added, or the mask is "
                "not one of them");
  for (const Expr *slot : llvm::reverse(slots))
    term = exprs.reduce("arith.addf", slot, term);
  return term;
}
