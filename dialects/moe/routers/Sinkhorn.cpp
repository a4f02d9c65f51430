//===- Sinkhorn.cpp - The best experts of a balanced plan -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.sinkhorn. The plan is a kernel of its own; routing then takes the best
// entries of its rows.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult SinkhornAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t k, APFloat tol, int64_t iterations) {
  if (k < 1)
    return emitError() << "expects at least one expert of a token, but got "
                       << k;
  if (!tol.isFinite() || tol.isNegative())
    return emitError() << "expects a tolerance of at least 0";
  if (iterations < 1)
    return emitError() << "expects at least one iteration, but got "
                       << iterations;
  return success();
}

double SinkhornAttr::getTolerance() const { return getTol().convertToDouble(); }

int64_t SinkhornAttr::getNumSlots(int64_t) const { return getK(); }

LogicalResult
SinkhornAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                           int64_t numExperts) const {
  if (getK() > numExperts)
    return emitError() << "expects " << *this << " to select at most all "
                       << numExperts << " experts, but it selects " << getK();
  return success();
}
