//===- NearestCentroid.cpp - The most similar centroids ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.nearest_centroid: the router of a mixture of document experts.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult
NearestCentroidAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                            int64_t n, FloatAttr temperature) {
  if (n < 1)
    return emitError() << "expects at least one expert of a query, but got "
                       << n;
  if (!temperature)
    return success();
  if (!temperature.getType().isF64())
    return emitError() << "expects a temperature of type f64, but got "
                       << temperature;
  // Similarities are divided by it in f32.
  double value = temperature.getValueAsDouble();
  if (!(value > 1e-30 && value < 1e30))
    return emitError() << "expects a positive temperature, but got "
                       << temperature;
  return success();
}

int64_t NearestCentroidAttr::getNumSlots(int64_t) const { return getN(); }

LogicalResult
NearestCentroidAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t numExperts) const {
  if (getN() > numExperts)
    return emitError() << "expects " << *this << " to select at most all "
                       << numExperts << " experts, but it selects " << getN();
  return success();
}

void NearestCentroidAttr::buildSelectLanes(LaneSelection &lanes) const {
  ImplicitLocOpBuilder &b = lanes.b;
  int64_t n = getN();
  Value keys;
  if (getTemperature())
    keys = lanes.scratch(n, b.getI32Type());
  lanes.buildTopK(
      n,
      [&](Value expert) {
        return lanes.buildKeys(lanes.load(lanes.scores, expert));
      },
      lanes.indices, keys);
  if (!getTemperature()) {
    Value share = lanes.f32(1.0 / n);
    lanes.loop(0, n, {}, [&](Value slot, ValueRange) {
      lanes.store(share, lanes.values, slot);
      return SmallVector<Value>();
    });
    return;
  }
  // The softmax over the slots; the first holds the maximum.
  Value temperature = lanes.f32(getTemperature().getValueAsDouble());
  auto scaled = [&](Value slot) -> Value {
    Value similarity = lanes.buildScores(lanes.load(keys, slot));
    return arith::DivFOp::create(b, similarity, temperature);
  };
  Value largest = scaled(lanes.index(0));
  Value sum =
      lanes.loop(0, n, ValueRange{lanes.f32(0.0)},
                 [&](Value slot, ValueRange sum) -> SmallVector<Value> {
                   Value e = math::ExpOp::create(
                       b, arith::SubFOp::create(b, scaled(slot), largest));
                   lanes.store(e, lanes.values, slot);
                   return {arith::AddFOp::create(b, sum[0], e)};
                 })[0];
  lanes.loop(0, n, {}, [&](Value slot, ValueRange) {
    Value e = lanes.load(lanes.values, slot);
    lanes.store(arith::DivFOp::create(b, e, sum), lanes.values, slot);
    return SmallVector<Value>();
  });
}
