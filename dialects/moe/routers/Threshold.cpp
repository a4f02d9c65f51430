//===- Threshold.cpp - Every expert above one number ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.threshold.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult
ThresholdAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                      APFloat value, int64_t minK) {
  if (!value.isFinite())
    return emitError() << "expects a finite threshold";
  if (minK < 0 || minK > 1)
    return emitError() << "expects min_k to be 0 or 1, but it is " << minK;
  return success();
}

double ThresholdAttr::getThreshold() const {
  return getValue().convertToDouble();
}

int64_t ThresholdAttr::getNumSlots(int64_t numExperts) const {
  return numExperts;
}

LogicalResult ThresholdAttr::verifyPolicy(function_ref<InFlightDiagnostic()>,
                                          int64_t) const {
  return success();
}

Value ThresholdAttr::buildMaskLanes(LaneSelection &lanes, ValueRange, Value,
                                    Value score) const {
  return arith::CmpFOp::create(lanes.b, arith::CmpFPredicate::OGT, score,
                               lanes.f32(getThreshold()));
}
