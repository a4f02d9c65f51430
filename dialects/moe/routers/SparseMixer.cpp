//===- SparseMixer.cpp - Two rounds against near rivals ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.sparse_mixer: the router of Phi-3.5-MoE.
//
// The softmax of the best value among those that are near is one over a sum of
// exponentials, so that each round is one pass over the experts.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult
SparseMixerAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                        APFloat value) {
  if (!value.isFinite() || value.isNegative())
    return emitError() << "expects eps to be at least 0";
  return success();
}

double SparseMixerAttr::getEps() const { return getValue().convertToDouble(); }

int64_t SparseMixerAttr::getNumSlots(int64_t) const { return 2; }

LogicalResult
SparseMixerAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                              int64_t numExperts) const {
  if (2 > numExperts)
    return emitError() << "expects " << *this << " to select at most all "
                       << numExperts << " experts, but it selects " << 2;
  return success();
}

void SparseMixerAttr::buildSelectLanes(LaneSelection &lanes) const {
  ImplicitLocOpBuilder &b = lanes.b;
  Value first = lanes.index(0), second = lanes.index(1);
  Value keys = lanes.scratch(2, b.getI32Type());
  lanes.buildTopK(
      2,
      [&](Value expert) {
        return lanes.buildKeys(lanes.load(lanes.scores, expert));
      },
      lanes.indices, keys);
  Value chosen = lanes.load(lanes.indices, first);
  Value best[] = {lanes.buildScores(lanes.load(keys, first)),
                  lanes.buildScores(lanes.load(keys, second))};
  Value zero = lanes.f32(0.0), one = lanes.f32(1.0);
  Value limit = lanes.f32(2.0 * getEps());

  // exp(z - m) of an expert that is not far from m, else 0.
  auto term = [&](Value z, Value m) -> Value {
    Value gap = arith::SubFOp::create(b, m, z);
    Value size = math::AbsFOp::create(b, z);
    // A NaN of either is in the gap, too.
    Value above = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, size, m);
    Value scale = arith::SelectOp::create(b, above, size, m);
    Value ratio = arith::DivFOp::create(b, gap, scale);
    Value far =
        arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, ratio, limit);
    Value e = math::ExpOp::create(b, arith::SubFOp::create(b, z, m));
    return arith::SelectOp::create(b, far, zero, e);
  };
  SmallVector<Value> sums = lanes.loop(
      0, lanes.experts, ValueRange{zero, zero},
      [&](Value expert, ValueRange sums) -> SmallVector<Value> {
        Value z = lanes.load(lanes.scores, expert);
        Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                              chosen, lanes.splatIndex(expert));
        Value rest =
            arith::SelectOp::create(b, isFirst, zero, term(z, best[1]));
        return {arith::AddFOp::create(b, sums[0], term(z, best[0])),
                arith::AddFOp::create(b, sums[1], rest)};
      });
  lanes.store(arith::DivFOp::create(b, one, sums[0]), lanes.values, first);
  lanes.store(arith::DivFOp::create(b, one, sums[1]), lanes.values, second);
}
