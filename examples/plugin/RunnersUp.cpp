//===- RunnersUp.cpp - A selection policy in lanes --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #acme.runners_up: selects for as many tokens as a vector has lanes, as the
// policies of MoE-MLIR do. What is the same for a token and a vector of them is
// written once, and no branch depends on data.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

#include <cmath>

using namespace mlir;
using namespace acme;

LogicalResult
RunnersUpAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t k) {
  if (k < 1)
    return emitError() << "expects k to be at least 1, but it is " << k;
  return success();
}

int64_t RunnersUpAttr::getNumSlots(int64_t) const { return getK(); }

LogicalResult
RunnersUpAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                            int64_t numExperts) const {
  if (getK() >= numExperts)
    return emitError() << "expects #acme.runners_up to select less than all "
                       << numExperts << " experts, but it selects " << getK();
  return success();
}

void RunnersUpAttr::buildSelectLanes(moe::LaneSelection &lanes) const {
  // Row j of `best` holds the experts of rank j of all tokens. Keys bring the
  // order that all policies have, NaN and ties included.
  Value best = lanes.scratch(getK() + 1, lanes.b.getI32Type());
  lanes.buildTopK(
      getK() + 1,
      [&](Value expert) {
        return lanes.buildKeys(lanes.load(lanes.scores, expert));
      },
      best);
  for (int64_t slot = 0; slot < getK(); ++slot)
    lanes.store(lanes.load(best, lanes.index(slot + 1)), lanes.indices,
                lanes.index(slot));
}

LogicalResult RunnersUpAttr::select(ArrayRef<double> scores,
                                    SmallVectorImpl<int32_t> &slots) const {
  SmallVector<int32_t> experts;
  for (size_t expert = 0; expert < scores.size(); ++expert)
    experts.push_back(expert);
  llvm::stable_sort(experts, [&](int32_t a, int32_t b) {
    if (std::isnan(scores[a]) || std::isnan(scores[b]))
      return !std::isnan(scores[a]) && std::isnan(scores[b]);
    return scores[a] > scores[b];
  });
  slots.append(experts.begin() + 1, experts.begin() + 1 + getK());
  return success();
}
