//===- MinP.cpp - A fraction of the largest score ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.min_p: the rule of min-p sampling for experts. A pass for the largest
// score, then one compare a score.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include <limits>

using namespace mlir;
using namespace moe;

LogicalResult MinPAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               APFloat value) {
  if (!value.isFinite() || value.convertToDouble() < 0 ||
      value.convertToDouble() > 1)
    return emitError()
           << "expects a fraction of the largest score from 0 to 1, but it is "
           << value.convertToDouble();
  return success();
}

double MinPAttr::getFraction() const { return getValue().convertToDouble(); }

int64_t MinPAttr::getNumSlots(int64_t numExperts) const { return numExperts; }

LogicalResult MinPAttr::verifyPolicy(function_ref<InFlightDiagnostic()>,
                                     int64_t) const {
  return success();
}

SmallVector<Value> MinPAttr::buildMaskState(LaneSelection &lanes) const {
  ImplicitLocOpBuilder &b = lanes.b;
  Value lowest = lanes.f32(-std::numeric_limits<double>::infinity());
  Value largest =
      lanes.loop(0, lanes.experts, ValueRange{lowest},
                 [&](Value expert, ValueRange state) -> SmallVector<Value> {
                   Value score = lanes.load(lanes.scores, expert);
                   // Ordered: a NaN is larger than nothing.
                   Value larger = arith::CmpFOp::create(
                       b, arith::CmpFPredicate::OGT, score, state[0]);
                   return {arith::SelectOp::create(b, larger, score, state[0])};
                 })[0];
  return {arith::MulFOp::create(b, lanes.f32(getFraction()), largest)};
}

Value MinPAttr::buildMaskLanes(LaneSelection &lanes, ValueRange state, Value,
                               Value score) const {
  return arith::CmpFOp::create(lanes.b, arith::CmpFPredicate::OGE, score,
                               state[0]);
}
