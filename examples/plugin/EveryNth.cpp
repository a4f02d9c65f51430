//===- EveryNth.cpp - A selection policy outside of the project -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #acme.every_nth: three functions, and every pass and tool of MoE-MLIR can
// work with it, as they see the interface only.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using namespace acme;

#include "AcmeDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "AcmeAttrs.cpp.inc"

void AcmeDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "AcmeAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "AcmeOps.cpp.inc"
      >();
}

LogicalResult EveryNthAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t n, int64_t k) {
  if (n < 1 || k < 1)
    return emitError() << "expects n and k to be at least 1, but they are " << n
                       << " and " << k;
  return success();
}

int64_t EveryNthAttr::getNumSlots(int64_t) const { return getK(); }

LogicalResult
EveryNthAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                           int64_t numExperts) const {
  int64_t candidates = (numExperts + getN() - 1) / getN();
  if (getK() > candidates)
    return emitError() << "expects #acme.every_nth to select at most the "
                       << candidates
                       << " experts that take part, but it selects " << getK();
  return success();
}

moe::SelectedExperts EveryNthAttr::buildSelect(OpBuilder &b, Location loc,
                                               Value scores,
                                               ValueRange) const {
  // Top-k of the scores that take part, then back to the experts' numbers.
  // moe::buildTopK brings the order that all policies have, NaN and ties
  // included.
  int64_t numExperts = cast<VectorType>(scores.getType()).getNumElements();
  SmallVector<int64_t> candidates;
  for (int64_t expert = 0; expert < numExperts; expert += getN())
    candidates.push_back(expert);
  Value taking = vector::ShuffleOp::create(b, loc, scores, scores, candidates);
  Value best = moe::buildTopK(b, loc, taking, getK());
  Value n = arith::ConstantOp::create(
      b, loc,
      DenseElementsAttr::get(cast<VectorType>(best.getType()),
                             b.getI32IntegerAttr(getN())));
  return Value(arith::MulIOp::create(b, loc, best, n));
}

// The same once more, obviously right rather than fast.
LogicalResult EveryNthAttr::select(ArrayRef<double> scores,
                                   SmallVectorImpl<int32_t> &slots) const {
  SmallVector<int32_t> candidates;
  for (size_t expert = 0; expert < scores.size(); expert += getN())
    candidates.push_back(expert);
  llvm::stable_sort(candidates, [&](int32_t a, int32_t b) {
    if (std::isnan(scores[a]) || std::isnan(scores[b]))
      return !std::isnan(scores[a]) && std::isnan(scores[b]);
    return scores[a] > scores[b];
  });
  slots.append(candidates.begin(), candidates.begin() + getK());
  return success();
}
