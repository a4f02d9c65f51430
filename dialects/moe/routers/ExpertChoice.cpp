//===- ExpertChoice.cpp - Every expert takes its best tokens ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.expert_choice. Tokens compete with each other, so it has no builders for
// one token.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include <cmath>

using namespace mlir;
using namespace moe;

LogicalResult
ExpertChoiceAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                         int64_t capacity, FloatAttr factor) {
  if (capacity < 0)
    return emitError() << "expects a positive capacity, but it is " << capacity;
  if (!factor) {
    if (capacity == 0)
      return emitError()
             << "expects how many tokens an expert takes: a positive "
                "`capacity`, or a `factor` of tokens / experts";
    return success();
  }
  if (capacity != 0)
    return emitError() << "expects either `capacity` or `factor`, but has both";
  if (!factor.getType().isF64())
    return emitError() << "expects the factor as an f64, but it is of "
                       << factor.getType();
  if (!factor.getValue().isFinite() || factor.getValueAsDouble() <= 0)
    return emitError() << "expects a finite positive factor";
  return success();
}

int64_t ExpertChoiceAttr::getCapacityOf(int64_t tokens, int64_t experts) const {
  if (!getFactor())
    return std::min(getCapacity(), tokens);
  double share = static_cast<double>(tokens) * getFactor().getValueAsDouble() /
                 static_cast<double>(experts);
  // Halves to even, whatever the mode of the host is set to.
  double below = std::floor(share), rounded = below;
  double over = share - below;
  if (over > 0.5 || (over == 0.5 && std::fmod(below, 2.0) != 0.0))
    rounded += 1.0;
  rounded = std::max(rounded, 1.0);
  // Compared before it becomes an integer: a factor may be very large.
  return rounded >= static_cast<double>(tokens) ? tokens
                                                : static_cast<int64_t>(rounded);
}

int64_t ExpertChoiceAttr::getNumSlots(int64_t numExperts) const {
  return numExperts;
}

LogicalResult ExpertChoiceAttr::verifyPolicy(function_ref<InFlightDiagnostic()>,
                                             int64_t) const {
  return success();
}
