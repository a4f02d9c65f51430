//===- ScalarCode.cpp - Scalar ops as expressions -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ScalarCode.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace mlir;
using namespace moe::raise;

const Expr *
ScalarCode::read(Value value,
                 const llvm::DenseMap<Value, const Expr *> &leaves) {
  if (const Expr *leaf = leaves.lookup(value))
    return leaf;
  TypedAttr constant;
  if (matchPattern(value, m_Constant(&constant)))
    return isa<FloatAttr, IntegerAttr>(constant) ? exprs.constant(constant)
                                                 : nullptr;
  Operation *op = value.getDefiningOp();
  if (!op || op->getNumResults() != 1 || op->getNumRegions() ||
      !isMemoryEffectFree(op))
    return nullptr;
  SmallVector<const Expr *> operands;
  for (Value operand : op->getOperands()) {
    operands.push_back(read(operand, leaves));
    if (!operands.back())
      return nullptr;
  }
  Attribute detail;
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    detail = compare.getPredicateAttr();
  else if (auto floats = dyn_cast<arith::CmpFOp>(op))
    detail = floats.getPredicateAttr();
  return exprs.apply(op->getName().getStringRef(), value.getType(), operands,
                     detail);
}

void ScalarCode::collectFactors(const Expr *expr, bool isUnder,
                                Quotient &quotient) {
  if (std::optional<double> number = expr->getFloat()) {
    quotient.factor =
        isUnder ? quotient.factor / *number : quotient.factor * *number;
    return;
  }
  if (expr->is("arith.mulf") || expr->is("arith.divf")) {
    collectFactors((*expr)[0], isUnder, quotient);
    collectFactors((*expr)[1], isUnder != expr->is("arith.divf"), quotient);
    return;
  }
  if (expr->is("arith.negf")) {
    quotient.factor = -quotient.factor;
    collectFactors((*expr)[0], isUnder, quotient);
    return;
  }
  (isUnder ? quotient.under : quotient.over).push_back(normalize(expr));
}

const Expr *ScalarCode::normalize(const Expr *expr) {
  if (expr->kind != Expr::Apply)
    return expr;
  if (const Expr *known = normalized.lookup(expr))
    return known;
  const Expr *result = nullptr;
  if (expr->is("arith.mulf") || expr->is("arith.divf") ||
      expr->is("arith.negf")) {
    Quotient quotient;
    collectFactors(expr, /*isUnder=*/false, quotient);
    auto multiply = [&](SmallVectorImpl<const Expr *> &factors,
                        const Expr *start) {
      llvm::sort(factors,
                 [](const Expr *a, const Expr *b) { return a->id < b->id; });
      for (const Expr *factor : factors)
        start = exprs.apply("arith.mulf", expr->type, {start, factor});
      return start;
    };
    const Expr *one = exprs.constant(FloatAttr::get(expr->type, 1));
    const Expr *factor =
        exprs.constant(FloatAttr::get(expr->type, quotient.factor));
    result = exprs.apply(
        "arith.divf", expr->type,
        {multiply(quotient.over, factor), multiply(quotient.under, one)});
  } else {
    SmallVector<const Expr *> operands;
    for (const Expr *operand : expr->operands)
      operands.push_back(normalize(operand));
    result = exprs.apply(expr->name, expr->type, operands, expr->value);
    // A clamp is max(min(v, high), low), and not the other way round.
    for (unsigned i = 0; i < 2 && result->is("arith.minimumf"); ++i) {
      const Expr *inner = (*result)[i], *high = (*result)[1 - i];
      for (unsigned j = 0; j < 2 && inner->is("arith.maximumf"); ++j) {
        std::optional<double> low = (*inner)[j]->getFloat();
        if (!low || !high->getFloat() || !(*low <= *high->getFloat()))
          continue;
        const Expr *lower =
            exprs.apply("arith.minimumf", expr->type, {(*inner)[1 - j], high});
        result =
            exprs.apply("arith.maximumf", expr->type, {lower, (*inner)[j]});
        inner = result;
        break;
      }
    }
  }
  return normalized[expr] = result;
}

std::optional<double> moe::raise::evaluate(const Expr *expr) {
  if (expr->kind == Expr::Constant)
    return expr->getFloat();
  if (expr->kind != Expr::Apply)
    return std::nullopt;
  SmallVector<double> v;
  for (const Expr *operand : expr->operands) {
    std::optional<double> value = evaluate(operand);
    if (!value)
      return std::nullopt;
    v.push_back(*value);
  }
  using Result = std::optional<double>;
  if (v.size() == 1)
    return llvm::StringSwitch<Result>(expr->name)
        .Case("arith.negf", -v[0])
        .Case("math.exp", std::exp(v[0]))
        .Case("math.tanh", std::tanh(v[0]))
        .Case("math.erf", std::erf(v[0]))
        .Case("math.sin", std::sin(v[0]))
        .Case("math.sqrt", std::sqrt(v[0]))
        .Case("math.absf", std::fabs(v[0]))
        .Cases({"arith.extf", "arith.truncf"}, v[0])
        .Default(std::nullopt);
  if (v.size() == 2)
    return llvm::StringSwitch<Result>(expr->name)
        .Case("arith.addf", v[0] + v[1])
        .Case("arith.subf", v[0] - v[1])
        .Case("arith.mulf", v[0] * v[1])
        .Case("arith.divf", v[0] / v[1])
        .Cases({"arith.maximumf", "arith.maxnumf"}, std::fmax(v[0], v[1]))
        .Cases({"arith.minimumf", "arith.minnumf"}, std::fmin(v[0], v[1]))
        .Default(std::nullopt);
  return std::nullopt;
}
