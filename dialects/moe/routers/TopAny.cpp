//===- TopAny.cpp - Every expert above its threshold ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.top_any: DynMoE's gating. One compare a score, no order at all.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult TopAnyAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t minK, Fallback) {
  if (minK < 0 || minK > 1)
    return emitError() << "expects min_k to be 0 or 1, but it is " << minK;
  return success();
}

int64_t TopAnyAttr::getNumSlots(int64_t numExperts) const { return numExperts; }

LogicalResult TopAnyAttr::verifyPolicy(function_ref<InFlightDiagnostic()>,
                                       int64_t) const {
  return success();
}

LogicalResult
TopAnyAttr::verifyOperands(function_ref<InFlightDiagnostic()> emitError,
                           TypeRange operands, int64_t numExperts) const {
  auto type =
      operands.size() == 1 ? dyn_cast<ShapedType>(operands[0]) : ShapedType();
  if (type && type.hasRank() && type.getRank() == 1 &&
      type.getDimSize(0) == numExperts && type.getElementType().isF32())
    return success();
  auto diag = emitError() << "expects the thresholds of the " << numExperts
                          << " experts in `using`, a tensor<" << numExperts
                          << "xf32>, but got ";
  if (operands.empty())
    return diag << "nothing";
  llvm::interleaveComma(operands, diag);
  return diag;
}

Value TopAnyAttr::buildMaskLanes(LaneSelection &lanes, ValueRange, Value expert,
                                 Value score) const {
  Value threshold =
      memref::LoadOp::create(lanes.b, lanes.operands[0], ValueRange{expert});
  return arith::CmpFOp::create(lanes.b, arith::CmpFPredicate::OGT, score,
                               lanes.splat(threshold));
}

Value TopAnyAttr::buildMaskValue(LaneSelection &lanes, Value count,
                                 Value fellBack, Value best) const {
  Value k = arith::SIToFPOp::create(lanes.b, lanes.f32Type(), count);
  Value share = arith::DivFOp::create(lanes.b, lanes.f32(1.0), k);
  if (getFallback() == Fallback::One)
    return share;
  return arith::SelectOp::create(lanes.b, fellBack, best, share);
}
