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
/// X or p / M == X: over the places that are there. The same of the last one,
/// and if it is known which place it is, no sum.
static const Expr *enterRow(Elements &elements, const Expr *sum) {
  Exprs &exprs = elements.exprs;
  if (sum->kind != Expr::Reduce)
    return sum;
  const Expr *place = sum->operands[0], *body = sum->operands[1];
  if (sum->isReduce("arith.addf") && body->is("arith.select") &&
      isZero((*body)[2]))
    body = (*body)[0];
  else if (!sum->isReduce("last"))
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
        if (row->other)
          return exprs.reduce(sum->name, row->other, parts);
        return sum->isReduce("last")
                   ? exprs.apply("arith.select", sum->type, parts)
                   : parts.front();
      }
  }
  return sum;
}

//===----------------------------------------------------------------------===//
// Additions
//===----------------------------------------------------------------------===//

std::optional<TensorLoops> moe::raise::makeLoops(Exprs &exprs, Value tensor) {
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  if (!type || type.getRank() < 2 || !isa<FloatType>(type.getElementType()) ||
      type.isDynamicDim(type.getRank() - 1) ||
      llvm::any_of(type.getShape().drop_back(2),
                   [](int64_t size) { return size != 1; }))
    return std::nullopt;
  TensorLoops loops;
  loops.indices.assign(type.getRank() - 2, exprs.number(0));
  loops.token = exprs.variable(type.getDimSize(type.getRank() - 2));
  loops.column = exprs.variable(type.getShape().back());
  loops.indices.append({loops.token, loops.column});
  return loops;
}

/// Says how large a token's number is, so that places of tokens are known.
static void setSizes(Elements &elements, Operation *op,
                     const TensorLoops &loops) {
  Value tensor = op->getResult(0);
  if (const Expr *size = elements.size(tensor, loops.indices.size() - 2))
    elements.exprs.setSize(loops.token, size);
}

/// The op that a body ends with.
static Operation *getLastScalarOp(linalg::LinalgOp op) {
  return op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
}

static bool isAddition(Operation *op) {
  if (isa<linalg::AddOp, arith::AddFOp>(op))
    return true;
  // Of a first term a sum is left that starts with nothing.
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && isa_and_nonnull<arith::AddFOp>(getLastScalarOp(generic));
}

static bool isChoice(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return isa<linalg::SelectOp, arith::SelectOp>(op) ||
         (generic &&
          isa_and_nonnull<arith::SelectOp>(getLastScalarOp(generic)));
}

/// A choice as select(condition, value, otherwise); null if it is another.
static const Expr *readChoice(Elements &elements, const Expr *expr) {
  for (const Expr *before = nullptr; expr && expr != before;) {
    before = expr;
    expr = enterRow(elements, expr);
  }
  return expr && expr->is("arith.select") ? expr : nullptr;
}

/// The op that multiplies `op` by a weight of each token, if that is all that
/// it is for; else `op`.
static Operation *findWeighted(Elements &elements, Operation *op) {
  Value tensor = op->getResult(0);
  if (!tensor.hasOneUse())
    return op;
  auto user = dyn_cast<linalg::LinalgOp>(*tensor.user_begin());
  if (!user || user->getNumResults() != 1 ||
      user.getNumLoops() != user.getNumParallelLoops() ||
      user->getResult(0).getType() != tensor.getType())
    return op;
  std::optional<TensorLoops> loops =
      makeLoops(elements.exprs, user->getResult(0));
  const Expr *product =
      elements.unfold(elements.exprs.load(user->getResult(0), loops->indices));
  if (!product || !product->is("arith.mulf"))
    return op;
  const Expr *own = elements.exprs.load(tensor, loops->indices);
  for (unsigned i = 0; i < 2; ++i)
    if ((*product)[i] == own && !(*product)[1 - i]->dependsOn(loops->column))
      return user;
  return op;
}

SmallVector<UnrolledSum> moe::raise::findUnrolledSums(Operation *function) {
  // Of its own: what is raised in between changes what elements are.
  Elements elements(function->getContext());
  Exprs &exprs = elements.exprs;
  llvm::MapVector<std::pair<Value, unsigned>, UnrolledSum> sums;
  auto add = [&](Operation *op, const Mask &mask, bool isChoice) {
    UnrolledSum &own = sums[{mask.chosen, isChoice}];
    own.chosen = mask.chosen;
    own.isChoice = isChoice;
    if (own.parts.empty() || own.parts.back() != op)
      own.parts.push_back(op);
  };
  function->walk([&](Operation *op) {
    bool isSum = isAddition(op);
    if (op->getNumResults() != 1 || (!isSum && !isChoice(op)))
      return;
    std::optional<TensorLoops> loops = makeLoops(exprs, op->getResult(0));
    if (!loops)
      return;
    setSizes(elements, op, *loops);
    const Expr *code =
        elements.unfold(exprs.load(op->getResult(0), loops->indices));
    if (!code)
      return;
    if (!isSum) {
      const Expr *choice = readChoice(elements, code);
      std::optional<Mask> mask =
          choice ? findEquality((*choice)[0]) : std::nullopt;
      if (!mask)
        return;
      // One behind the other.
      const Expr *otherwise = (*choice)[2];
      UnrolledSum &own = sums[{mask->chosen, true}];
      if (!own.parts.empty() &&
          (otherwise->kind != Expr::Element ||
           otherwise->tensor.getDefiningOp() != own.parts.back()))
        own.parts.clear();
      return add(op, *mask, true);
    }
    SmallVector<const Expr *> terms = {code};
    if (code->is("arith.addf"))
      terms.assign(code->operands.begin(), code->operands.end());
    for (const Expr *term : terms)
      if (std::optional<Mask> mask = findMask(elements, term))
        add(op, *mask, false);
  });
  SmallVector<UnrolledSum> found;
  for (auto &[key, sum] : sums) {
    if (sum.parts.size() < 2)
      continue;
    sum.result = sum.parts.back();
    if (sum.isChoice)
      sum.result = findWeighted(elements, sum.result);
    found.push_back(sum);
  }
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
bool Reroller::collect(const Expr *expr) {
  if (isZero(expr))
    return true;
  if (expr->is("arith.addf"))
    return collect((*expr)[0]) && collect((*expr)[1]);
  bool isInner =
      expr->kind == Expr::Element &&
      llvm::is_contained(unrolled.parts, expr->tensor.getDefiningOp());
  if (isInner)
    if (const Expr *next = elements.unfold(expr))
      return collect(next);
  std::optional<Mask> mask = findMask(elements, expr);
  if (mask && mask->chosen == unrolled.chosen) {
    terms.push_back(
        {mask->expert, enterRow(elements, elements.unfoldAll(expr))});
    return true;
  }
  if (expr->kind != Expr::Element ||
      !llvm::equal(expr->operands, loops.indices) ||
      expr->tensor.getType() != unrolled.result->getResult(0).getType()) {
    fail("something is added to the experts of a layer that is no tensor");
    return false;
  }
  rest.push_back(expr->tensor);
  return true;
}

/// Takes choices apart: terms that are 0 where another is chosen, and what is
/// left where none is.
bool Reroller::collectChoices(const Expr *expr) {
  if (expr->is("arith.mulf"))
    for (unsigned i = 0; i < 2; ++i)
      if (!(*expr)[i]->dependsOn(loops.column)) {
        weight = (*expr)[i];
        expr = (*expr)[1 - i];
        break;
      }
  const Expr *zero = exprs.constant(FloatAttr::get(expr->type, 0.0));
  while (true) {
    const Expr *code = expr;
    if (code->kind == Expr::Element &&
        llvm::is_contained(unrolled.parts, code->tensor.getDefiningOp()))
      code = elements.unfold(code);
    const Expr *choice = code ? readChoice(elements, code) : nullptr;
    std::optional<Mask> mask =
        choice ? findEquality((*choice)[0]) : std::nullopt;
    if (!mask || mask->chosen != unrolled.chosen)
      break;
    terms.push_back(
        {mask->expert, exprs.apply("arith.select", expr->type,
                                   {(*choice)[0], (*choice)[1], zero})});
    expr = (*choice)[2];
  }
  if (isZero(expr))
    return true;
  if (expr->kind != Expr::Element ||
      !llvm::equal(expr->operands, loops.indices) ||
      expr->tensor.getType() != unrolled.result->getResult(0).getType()) {
    fail("tokens without an expert become something that is no tensor");
    return false;
  }
  others = expr->tensor;
  return true;
}

/// The most tokens that an expert takes, the first ones: how many up to this
/// one have chosen it is at most that.
std::optional<int64_t> Reroller::matchCapacity(const Expr *condition) {
  if (!condition->is("arith.cmpi"))
    return std::nullopt;
  auto predicate = cast<arith::CmpIPredicateAttr>(condition->value).getValue();
  const Expr *count = (*condition)[0];
  std::optional<int64_t> most = (*condition)[1]->getInteger();
  if (!most || !count->isReduce("arith.addi") ||
      (predicate != arith::CmpIPredicate::sle &&
       predicate != arith::CmpIPredicate::slt))
    return std::nullopt;
  const Expr *other = count->operands[0];
  const Expr *theirs = exprs.substitute(expert, loops.token, other);
  Type type = IntegerType::get(exprs.getContext(), 1);
  auto compare = [&](arith::CmpIPredicate how, const Expr *a, const Expr *b) {
    return exprs.apply("arith.cmpi", type, {a, b},
                       arith::CmpIPredicateAttr::get(exprs.getContext(), how));
  };
  const Expr *isTheirs = compare(arith::CmpIPredicate::eq, theirs, expert),
             *isBefore = compare(arith::CmpIPredicate::sle, other, loops.token);
  auto choose = [&](const Expr *condition, const Expr *value) {
    return exprs.apply("arith.select", count->type,
                       {condition, value, exprs.number(0)});
  };
  const Expr *one = exprs.number(1);
  bool isCounted =
      count->operands[1] == choose(isBefore, choose(isTheirs, one)) ||
      count->operands[1] ==
          choose(exprs.apply("arith.andi", type, {isBefore, isTheirs}), one);
  // All tokens take part.
  const Expr *size =
      elements.size(unrolled.result->getResult(0), loops.indices.size() - 2);
  if (!isCounted || !size || exprs.getSize(other) != size)
    return std::nullopt;
  int64_t room = *most - (predicate == arith::CmpIPredicate::slt);
  return room > 0 ? std::optional(room) : std::nullopt;
}

/// The value of select(room, value, 0), if it is one.
const Expr *Reroller::takeCapacity(const Expr *term) {
  if (!term->is("arith.select") || !isZero((*term)[2]))
    return term;
  capacity = matchCapacity((*term)[0]);
  return capacity
             ? (*term)[1]
             : fail("tokens are left out by something that is not the room "
                    "of their expert");
}

const Expr *Reroller::run(const TensorLoops &given, OpBuilder &builder) {
  loops = given;
  setSizes(elements, unrolled.result, loops);
  const Expr *sum =
      elements.unfold(exprs.load(unrolled.result->getResult(0), loops.indices));
  if (!sum || !(unrolled.isChoice ? collectChoices(sum) : collect(sum)))
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
  if (!elements.pickTerm(term, number, slots, &expert))
    return fail("tokens may choose experts that are not added, or the mask is "
                "not one of them");
  if (unrolled.isChoice) {
    // Of several experts of a token the last one would win.
    if (!slots.empty())
      return fail("what experts of a token make is written over that of others");
    // Without one that is left out there are no others.
    term = takeCapacity(term);
    if (!term)
      return nullptr;
    if (!capacity)
      others = {};
    if (weight)
      term = exprs.apply("arith.mulf", term->type, {weight, term});
  }
  for (const Expr *slot : llvm::reverse(slots))
    term = exprs.reduce("arith.addf", slot, term);
  return term;
}
