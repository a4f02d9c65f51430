//===- RouterWeights.cpp - A router from index notation ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "RouterWeights.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

bool RouterWeights::fail(const Expr *at, const Twine &why) {
  if (!obstacle) {
    Location loc = at && at->kind == Expr::Element ? at->tensor.getLoc()
                                                   : expert->tensor.getLoc();
    obstacle = {loc, why.str()};
  }
  return false;
}

const Expr *RouterWeights::atSlot(const Expr *expr, const Expr *slot) {
  return exprs.substitute(expr, loops.slot, slot);
}

bool RouterWeights::match(const Expr *weight) {
  auto indices = expert->tensor.getDefiningOp<RoutingIndicesOp>();
  router =
      indices ? indices.getRouting().getDefiningOp<RouterOp>() : RouterOp();
  if (!router)
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

/// The values of the chosen experts, as they are.
bool RouterWeights::matchScores(const Expr *weight) {
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
  return sum->isReduce("arith.addf") &&
         sum->operands[0]->extent == loops.slot->extent &&
         elements.unfoldAll(sum->operands[1]) ==
             elements.unfoldAll(atSlot(term, sum->operands[0]));
}

/// exp(v - max v) / sum exp(v - max v) over the slots.
bool RouterWeights::matchSoftmax(const Expr *code) {
  const Expr *power = elements.unfoldAll((*code)[0]);
  if (!power->is("math.exp") || !matchSum((*code)[1], (*code)[0]))
    return false;
  const Expr *difference = elements.unfoldAll((*power)[0]);
  if (!difference->is("arith.subf"))
    return false;
  const Expr *largest = elements.unfoldAll((*difference)[1]);
  if (!largest->isReduce("arith.maximumf") &&
      !largest->isReduce("arith.maxnumf"))
    return false;
  const Expr *value = (*difference)[0];
  if (elements.unfoldAll(largest->operands[1]) !=
      elements.unfoldAll(atSlot(value, largest->operands[0])))
    return false;
  if (!matchSteps(value))
    return false;
  steps.push_back(SoftmaxAttr::get(exprs.getContext()));
  return true;
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
  // Softmax over the slots as one op.
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
    if (matchSoftmax(code))
      return true;
    if (obstacle)
      return false;
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

bool RouterWeights::matchGroups() { return true; }

Value RouterWeights::write(OpBuilder &b, Location loc) {
  return RouterOp::create(b, loc, cast<SelectionPolicyAttrInterface>(policy),
                          select, weigh, steps)
      .getRouting();
}
