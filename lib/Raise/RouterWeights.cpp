//===- RouterWeights.cpp - A router from index notation ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "RouterWeights.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace moe;
using namespace moe::raise;

bool RouterWeights::fail(const Expr *at, const Twine &why) {
  if (!obstacle) {
    obstacle = {at && at->kind == Expr::Element ? at->tensor.getLoc() : loc,
                why.str()};
  }
  return false;
}

const Expr *RouterWeights::atSlot(const Expr *expr, const Expr *slot) {
  return exprs.substitute(expr, loops.slot, slot);
}

bool RouterWeights::match(const Expr *weight) {
  if (expert->kind != Expr::Element)
    return fail(expert,
                "experts of a token come from several choices, not from "
                "one top-k");
  auto indices = expert->tensor.getDefiningOp<RoutingIndicesOp>();
  router =
      indices ? indices.getRouting().getDefiningOp<RouterOp>() : RouterOp();
  // One whose weights are the scores: steps of its own would be lost.
  if (!router || !isa<TopKAttr, GroupTopKAttr>(router.getPolicy()) ||
      router.getWeighing() || !router.getWeightsRegion().empty())
    return fail(expert, "experts are not picked by one top-k");
  if (!llvm::equal(expert->operands,
                   ArrayRef<const Expr *>{loops.token, loops.slot}))
    return fail(expert, "experts of a token are not its row of a top-k");
  if (router.getRouting().getType().getSlots() != loops.slot->extent)
    return fail(expert, "not all experts of the top-k are used");
  select = router.getSelect();
  policy = router.getPolicy();
  if (!weight)
    return fail(expert, "outputs of experts are not weighted");
  return matchSteps(weight) && matchGroups();
}

/// The largest score of a token, which is that of the one expert.
bool RouterWeights::isLargestScore(const Expr *weight) {
  if (loops.slot->extent != 1 || !isa<TopKAttr>(router.getPolicy()) ||
      !(weight->isReduce("arith.maximumf") ||
        weight->isReduce("arith.maxnumf")))
    return false;
  return weight->operands[0]->extent == router.getNumExperts() &&
         weight->operands[1] ==
             elements.element(router.getSelect(),
                              {loops.token, weight->operands[0]});
}

/// The values of the chosen experts, as they are.
bool RouterWeights::matchScores(const Expr *weight) {
  if (isLargestScore(weight)) {
    weigh = router.getSelect();
    return true;
  }
  if (weight->kind != Expr::Element)
    return false;
  if (auto weights = weight->tensor.getDefiningOp<RoutingWeightsOp>()) {
    if (weights.getRouting() != router.getRouting() ||
        weight->operands != expert->operands)
      return false;
    weigh = router.getScores();
    return true;
  }
  // Gathered from a tensor [tokens, experts].
  auto type = cast<RankedTensorType>(weight->tensor.getType());
  if (type.getRank() != 2 || weight->operands[0] != loops.token ||
      weight->operands[1] != expert ||
      type.getDimSize(1) != router.getNumExperts() ||
      !(type.getElementType().isF32() || type.getElementType().isF64()))
    return false;
  weigh = weight->tensor;
  return true;
}

/// Whether `sum` adds up `term` of all slots.
bool RouterWeights::matchSum(const Expr *sum, const Expr *term) {
  sum = elements.unfoldAll(sum);
  if (loops.slot->extent == 1)
    return sum == elements.unfoldAll(term);
  return sum->isReduce("arith.addf") &&
         sum->operands[0]->extent == loops.slot->extent &&
         elements.unfoldAll(sum->operands[1]) ==
             elements.unfoldAll(atSlot(term, sum->operands[0]));
}

bool RouterWeights::matchSteps(const Expr *weight) {
  if (matchScores(weight))
    return true;
  const Expr *code = weight;
  while (const Expr *next = elements.unfold(code)) {
    code = next;
    if (matchScores(code))
      return true;
    if (code->kind != Expr::Element)
      break;
  }
  MLIRContext *context = exprs.getContext();
  // moe-raise-softmax makes one op of what it is spelled by.
  if (code->kind == Expr::Element)
    if (auto softmax = code->tensor.getDefiningOp<linalg::SoftmaxOp>();
        softmax && code->operands.size() == 2 && softmax.getDimension() == 1 &&
        code->operands[1] == loops.slot) {
      if (!matchSteps(elements.element(softmax.getInput(), code->operands)))
        return false;
      steps.push_back(SoftmaxAttr::get(context));
      return true;
    }
  if (code->is("arith.extf") || code->is("arith.truncf"))
    return matchSteps((*code)[0]);
  if (code->is("arith.mulf"))
    for (unsigned i = 0; i < 2; ++i)
      if (std::optional<double> factor = (*code)[i]->getFloat()) {
        if (!matchSteps((*code)[1 - i]))
          return false;
        steps.push_back(ScaleAttr::get(context, *factor));
        return true;
      }
  if (code->is("arith.divf")) {
    const Expr *value = (*code)[0], *divisor = elements.unfoldAll((*code)[1]);
    NormalizeKind kind = NormalizeKind::Sum;
    double number = 0;
    const Expr *sum = divisor;
    if (divisor->is("arith.addf") || divisor->is("arith.maximumf") ||
        divisor->is("arith.maxnumf"))
      for (unsigned i = 0; i < 2; ++i)
        if (std::optional<double> constant = (*divisor)[i]->getFloat()) {
          kind = divisor->is("arith.addf") ? NormalizeKind::Sum
                                           : NormalizeKind::Clamp;
          number = *constant;
          sum = (*divisor)[1 - i];
        }
    if (number >= 0 && matchSum(sum, value)) {
      if (!matchSteps(value))
        return false;
      steps.push_back(NormalizeAttr::get(context, kind, number));
      return true;
    }
    // 1 / (1 + exp(-v)).
    if (value->getFloat() == 1.0 && divisor->is("arith.addf"))
      for (unsigned i = 0; i < 2; ++i) {
        const Expr *power = elements.unfoldAll((*divisor)[1 - i]);
        if ((*divisor)[i]->getFloat() != 1.0 || !power->is("math.exp"))
          continue;
        const Expr *negative = elements.unfoldAll((*power)[0]);
        if (!negative->is("arith.negf") || !matchSteps((*negative)[0]))
          return false;
        steps.push_back(SigmoidAttr::get(context));
        return true;
      }
  }
  if (code->kind == Expr::Apply || code->kind == Expr::Reduce)
    return fail(weight, "no weighing is known that ends with " + code->name);
  return fail(weight, "weights are not made of scores of the chosen experts");
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

/// `expr` as a sum of the two largest elements, or as the largest, of
/// scores[token, group * size + v]; the scores have to be `scores`.
std::optional<GroupReduce>
RouterWeights::matchGroupScore(const Expr *expr, const Expr *token,
                               const Expr *group, int64_t size, Value scores) {
  expr = elements.unfoldAll(expr);
  auto isScore = [&](const Expr *element, const Expr *member) {
    return element ==
           elements.element(scores,
                            {token, exprs.linear(group, size, member, 1)});
  };
  if (expr->kind != Expr::Reduce)
    return std::nullopt;
  const Expr *variable = expr->operands[0], *term = expr->operands[1];
  bool isMax = expr->name == "arith.maximumf" || expr->name == "arith.maxnumf";
  if (isMax && variable->extent == size && isScore(term, variable))
    return GroupReduce::Max;
  if (expr->name != "arith.addf" || variable->extent != 2)
    return std::nullopt;
  // Of groups of two it is all of them.
  if (size == 2 && isScore(term, variable))
    return GroupReduce::Top2;
  auto weights = term->kind == Expr::Element
                     ? term->tensor.getDefiningOp<RoutingWeightsOp>()
                     : RoutingWeightsOp();
  auto best =
      weights ? weights.getRouting().getDefiningOp<RouterOp>() : RouterOp();
  if (!best || !isa<TopKAttr>(best.getPolicy()) || best.getWeighing() ||
      !best.getWeightsRegion().empty() || best.getNumExperts() != size ||
      best.getScores() != best.getSelect() || term->operands[1] != variable)
    return std::nullopt;
  const Expr *member = exprs.variable(size);
  return isScore(
             elements.element(best.getSelect(), {term->operands[0], member}),
             member)
             ? std::optional(GroupReduce::Top2)
             : std::nullopt;
}

/// Whether no element of the scores is below 0: a softmax, or 1 / (1 + exp(z)).
bool RouterWeights::areProbabilities(const Expr *score) {
  if (score->tensor.getDefiningOp<linalg::SoftmaxOp>())
    return true;
  const Expr *code = elements.unfoldAll(score);
  if (!code->is("arith.divf") || (*code)[0]->getFloat() != 1.0)
    return false;
  const Expr *sum = elements.unfoldAll((*code)[1]);
  return sum->is("arith.addf") &&
         llvm::any_of(llvm::seq<unsigned>(0, 2), [&](unsigned i) {
           return (*sum)[i]->getFloat() == 1.0 &&
                  elements.unfoldAll((*sum)[1 - i])->is("math.exp");
         });
}

/// Scores that are replaced by -infinity, or by 0 where they are probabilities,
/// unless the group of the expert is one of the best groups.
bool RouterWeights::matchGroups() {
  int64_t experts = router.getNumExperts();
  const Expr *token = exprs.variable(ShapedType::kDynamic),
             *column = exprs.variable(experts);
  const Expr *masked =
      elements.unfoldAll(elements.element(select, {token, column}));
  if (!masked->is("arith.select") || !isa<TopKAttr>(policy))
    return true;
  const Expr *condition = (*masked)[0];
  bool isInverted = false;
  if (condition->is("arith.xori") && (*condition)[1]->getInteger() == 1) {
    condition = (*condition)[0];
    isInverted = true;
  }
  const Expr *kept = (*masked)[isInverted ? 2 : 1],
             *other = (*masked)[isInverted ? 1 : 2];
  std::optional<double> replaced = other->getFloat();
  if (!replaced || (*replaced != 0 && *replaced != -INFINITY) ||
      kept->kind != Expr::Element ||
      kept->operands != SmallVector<const Expr *>{token, column} ||
      (*replaced == 0 && !areProbabilities(kept)))
    return true;
  // Whether a mask of the groups is not 0.
  if (condition->is("arith.cmpf")) {
    auto predicate =
        cast<arith::CmpFPredicateAttr>(condition->value).getValue();
    bool isNot = predicate == arith::CmpFPredicate::UNE ||
                 predicate == arith::CmpFPredicate::ONE;
    if (!isNot || (*condition)[1]->getFloat() != 0.0)
      return true;
    condition = (*condition)[0];
  }
  const Expr *mask = elements.unfoldAll(condition);
  const Expr *chosen = nullptr, *slot = nullptr;
  if (mask->isReduce("last") && mask->operands[2]->getFloat() == 1.0 &&
      mask->operands[3]->getFloat() == 0.0) {
    slot = mask->operands[0];
    chosen = mask->operands[1];
  } else if (mask->is("arith.select") && (*mask)[1]->getFloat() == 1.0 &&
             (*mask)[2]->getFloat() == 0.0) {
    // Of one group.
    slot = elements.getOnlySlot();
    chosen = (*mask)[0];
  }
  if (!chosen || !chosen->is("arith.cmpi") ||
      cast<arith::CmpIPredicateAttr>(chosen->value).getValue() !=
          arith::CmpIPredicate::eq)
    return true;
  for (unsigned i = 0; i < 2; ++i) {
    const Expr *group = (*chosen)[1 - i], *best = (*chosen)[i];
    auto indices = best->kind == Expr::Element
                       ? best->tensor.getDefiningOp<RoutingIndicesOp>()
                       : RoutingIndicesOp();
    auto groups =
        indices ? indices.getRouting().getDefiningOp<RouterOp>() : RouterOp();
    if (!groups || !isa<TopKAttr>(groups.getPolicy()) ||
        best->operands != SmallVector<const Expr *>{token, slot})
      continue;
    int64_t count = groups.getNumExperts(), keep = groups.getNumSlots();
    if (count == 0 || experts % count ||
        group != exprs.floorDiv(column, experts / count))
      continue;
    const Expr *some = exprs.variable(count);
    std::optional<GroupReduce> reduce =
        matchGroupScore(elements.element(groups.getSelect(), {token, some}),
                        token, some, experts / count, kept->tensor);
    int64_t slots = router.getNumSlots();
    if (!reduce || keep * (experts / count) < slots)
      continue;
    policy =
        GroupTopKAttr::get(exprs.getContext(), slots, count, keep, *reduce);
    // Values of the chosen are the same with and without the mask.
    if (weigh == select)
      weigh = kept->tensor;
    select = kept->tensor;
    return true;
  }
  return true;
}

std::string RouterWeights::describe() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << policy;
  if (!steps.empty())
    os << ", weighing " << ArrayAttr::get(policy.getContext(), steps);
  if (weigh != select)
    os << ", selected by other scores than weighed";
  return text;
}

Value RouterWeights::write(OpBuilder &b, Location loc) {
  return RouterOp::create(b, loc, cast<SelectionPolicyAttrInterface>(policy),
                          select, weigh, steps)
      .getRouting();
}
