//===- InputWeights.cpp - Weights in front of the experts ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "InputWeights.h"

#include "ScalarCode.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// Masks
//===----------------------------------------------------------------------===//

/// The part of `expr` that is a choice by a comparison with `expert`. Null if
/// there is none, or if `expert` stands elsewhere, or if there are several.
static const Expr *findChoice(const Expr *expr, const Expr *expert) {
  if (!expr->dependsOn(expert))
    return nullptr;
  if (expr->isReduce("last") || expr->is("arith.select"))
    return expr;
  if (expr->kind != Expr::Apply)
    return nullptr;
  const Expr *found = nullptr;
  for (const Expr *operand : expr->operands) {
    if (!operand->dependsOn(expert))
      continue;
    const Expr *choice = findChoice(operand, expert);
    if (!choice || (found && found != choice))
      return nullptr;
    found = choice;
  }
  return found;
}

std::optional<ChosenWeight> moe::raise::matchChosenWeight(Elements &elements,
                                                          const Expr *weight,
                                                          const Expr *expert) {
  Exprs &exprs = elements.exprs;
  const Expr *code = elements.unfoldDeep(weight);
  const Expr *choice = findChoice(code, expert);
  if (!choice)
    return std::nullopt;
  bool isList = choice->isReduce("last");
  ArrayRef<const Expr *> parts(choice->operands);
  const Expr *slot = isList ? parts.front() : elements.getOnlySlot();
  parts = parts.take_back(3);
  const Expr *condition = parts[0], *value = parts[1], *other = parts[2];
  if (!condition->is("arith.cmpi") ||
      cast<arith::CmpIPredicateAttr>(condition->value).getValue() !=
          arith::CmpIPredicate::eq ||
      value->dependsOn(expert) || other->dependsOn(expert))
    return std::nullopt;
  for (unsigned i = 0; i < 2; ++i) {
    const Expr *chosen = (*condition)[1 - i];
    auto indices = chosen->kind == Expr::Element
                       ? chosen->tensor.getDefiningOp<RoutingIndicesOp>()
                       : RoutingIndicesOp();
    // Experts of a token are different ones.
    if ((*condition)[i] != expert || !indices || chosen->operands[1] != slot ||
        chosen->operands[0]->dependsOn(slot))
      continue;
    RoutingType type = indices.getRouting().getType();
    std::optional<Interval> range = exprs.getRange(chosen);
    if (type.getExperts() != expert->extent || !range || range->low < 0 ||
        type.getSlots() != slot->extent)
      continue;
    std::optional<double> rest =
        evaluate(exprs.substitute(code, choice, other));
    if (rest != 0.0)
      return std::nullopt;
    return ChosenWeight{slot, chosen, exprs.substitute(code, choice, value)};
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// What experts make of zeros
//===----------------------------------------------------------------------===//

/// What all elements are where all rows are 0; nothing if they are different,
/// or if that depends on weights.
static std::optional<double> getForZeros(Value value);

static std::optional<double> getForZeros(linalg::LinalgOp op) {
  ScalarCode code(op.getContext());
  llvm::DenseMap<Value, const Expr *> leaves;
  for (OpOperand *input : op.getDpsInputOperands()) {
    Value argument = op.getMatchingBlockArgument(input);
    std::optional<double> number = getForZeros(input->get());
    if (number && isa<FloatType>(argument.getType()))
      leaves[argument] =
          code.exprs.constant(FloatAttr::get(argument.getType(), *number));
  }
  for (Value argument : op.getBlock()->getArguments())
    if (!leaves.contains(argument))
      leaves[argument] = code.exprs.load(argument, {});
  const Expr *result =
      code.read(op.getBlock()->getTerminator()->getOperand(0), leaves);
  return result ? evaluate(result) : std::nullopt;
}

static std::optional<double> getForZeros(FFNOp op) {
  if (op.getGateBias() || op.getUpBias() || op.getDownBias() ||
      getForZeros(op.getX()) != 0.0)
    return std::nullopt;
  Block scratch;
  OpBuilder b(op.getContext());
  b.setInsertionPointToEnd(&scratch);
  ScalarCode code(op.getContext());
  Type type = op.getAccumulatorType();
  llvm::DenseMap<Value, const Expr *> leaves;
  for (unsigned i = 0; i < (op.isGated() ? 2 : 1); ++i)
    leaves[scratch.addArgument(type, op.getLoc())] =
        code.exprs.constant(FloatAttr::get(type, 0));
  const Expr *h = code.read(
      op.buildActivationBody(b, op.getLoc(), scratch.getArguments()), leaves);
  return h && evaluate(h) == 0.0 ? std::optional(0.0) : std::nullopt;
}

static std::optional<double> getForZeros(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getArgNumber() == 0 ? std::optional(0.0) : std::nullopt;
  Operation *op = value.getDefiningOp();
  if (auto ffn = dyn_cast<FFNOp>(op))
    return getForZeros(ffn);
  // Rows are the first operand, zeros where the sum starts.
  if (auto product = dyn_cast<linalg::ContractOp>(op))
    return getForZeros(product.getInputs()[0]) == 0.0 ? std::optional(0.0)
                                                      : std::nullopt;
  auto structured = dyn_cast<linalg::LinalgOp>(op);
  return structured &&
                 structured.getNumLoops() == structured.getNumParallelLoops()
             ? getForZeros(structured)
             : std::nullopt;
}

bool moe::raise::isZeroForZeros(Value result) {
  return getForZeros(result) == 0.0;
}
