//===- TopP.cpp - The best experts until a sum ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.top_p: dynamic routing. All experts in order, then a running sum that
// masks the slots behind the one where it is enough.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult TopPAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               APFloat value, bool) {
  if (!value.isFinite())
    return emitError() << "expects a finite sum of scores";
  return success();
}

double TopPAttr::getP() const { return getValue().convertToDouble(); }

int64_t TopPAttr::getNumSlots(int64_t numExperts) const { return numExperts; }

LogicalResult TopPAttr::verifyPolicy(function_ref<InFlightDiagnostic()>,
                                     int64_t) const {
  return success();
}

void TopPAttr::buildSelectLanes(LaneSelection &lanes) const {
  ImplicitLocOpBuilder &b = lanes.b;
  int64_t experts = lanes.experts;
  Value keys = lanes.scratch(experts, b.getI32Type());
  lanes.buildTopK(
      experts,
      [&](Value expert) {
        return lanes.buildKeys(lanes.load(lanes.scores, expert));
      },
      lanes.indices, keys);
  Value enough = lanes.f32(getP()), unused = lanes.i32(-1);
  // Ordered compares: a sum that is NaN is enough.
  auto goesOn =
      getStrict() ? arith::CmpFPredicate::OLE : arith::CmpFPredicate::OLT;
  Value first = lanes.buildScores(lanes.load(keys, lanes.index(0)));
  Value all = arith::ConstantOp::create(
      b, SplatElementsAttr::get(lanes.maskType(), b.getBoolAttr(true)));
  lanes.loop(1, experts, ValueRange{first, all},
             [&](Value slot, ValueRange state) -> SmallVector<Value> {
               Value below = arith::CmpFOp::create(b, goesOn, state[0], enough);
               // Once it has stopped it stays so, whatever scores follow.
               Value used = arith::AndIOp::create(b, state[1], below);
               Value chosen = lanes.load(lanes.indices, slot);
               lanes.store(arith::SelectOp::create(b, used, chosen, unused),
                           lanes.indices, slot);
               Value score = lanes.buildScores(lanes.load(keys, slot));
               return {arith::AddFOp::create(b, state[0], score), used};
             });
}
