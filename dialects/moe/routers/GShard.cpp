//===- GShard.cpp - The best two, the second on a condition -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.gshard: GShard, GLaM, NLLB and Mesh-TensorFlow.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult GShardAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 SecondExpert second, FloatAttr threshold,
                                 bool raw) {
  StringRef name = stringifySecondExpert(second);
  if (second == SecondExpert::Threshold && !threshold)
    return emitError() << "expects a threshold with second = threshold, such "
                          "as threshold = 0.2";
  if (threshold && second != SecondExpert::Threshold &&
      second != SecondExpert::Random)
    return emitError() << "has a threshold, which means nothing with second = "
                       << name << "; it is for threshold and random";
  if (raw && second != SecondExpert::Random)
    return emitError() << "has raw = true, which means nothing with second = "
                       << name << "; it is for random";
  if (!threshold)
    return success();
  if (!threshold.getType().isF64())
    return emitError() << "expects a threshold of type f64, but got "
                       << threshold;
  // Probabilities are divided by it in f32.
  double value = threshold.getValueAsDouble();
  if (second == SecondExpert::Random && !(value > 1e-30 && value < 1e30))
    return emitError() << "expects a positive threshold with second = random, "
                          "which divides by it, but got "
                       << threshold;
  if (!threshold.getValue().isFinite())
    return emitError() << "expects a finite threshold, but got " << threshold;
  return success();
}

int64_t GShardAttr::getNumSlots(int64_t) const { return 2; }

LogicalResult
GShardAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                         int64_t numExperts) const {
  if (2 > numExperts)
    return emitError() << "expects " << *this << " to select at most all "
                       << numExperts << " experts, but it selects " << 2;
  return success();
}

LogicalResult
GShardAttr::verifyOperands(function_ref<InFlightDiagnostic()> emitError,
                           TypeRange operands, int64_t) const {
  if (getSecond() != SecondExpert::Random) {
    if (operands.empty())
      return success();
    return emitError() << "expects no operands in `using`, as " << *this
                       << " draws no random numbers, but has "
                       << operands.size();
  }
  auto type =
      operands.size() == 1 ? dyn_cast<ShapedType>(operands[0]) : ShapedType();
  if (type && type.hasRank() && type.getRank() == 1 &&
      type.getElementType().isF32())
    return success();
  auto diag = emitError() << "expects a random number of each token in "
                             "`using`, a tensor<?xf32>, but got ";
  if (operands.empty())
    return diag << "nothing";
  llvm::interleaveComma(operands, diag);
  return diag;
}

void GShardAttr::buildSelectLanes(LaneSelection &lanes) const {
  ImplicitLocOpBuilder &b = lanes.b;
  Value first = lanes.index(0), second = lanes.index(1);
  Value keys = lanes.scratch(2, b.getI32Type());
  lanes.buildTopK(
      2,
      [&](Value expert) {
        return lanes.buildKeys(lanes.load(lanes.scores, expert));
      },
      lanes.indices, keys);
  Value p1 = lanes.buildScores(lanes.load(keys, first));
  Value p2 = lanes.buildScores(lanes.load(keys, second));
  Value sum = arith::AddFOp::create(b, p1, p2);
  Value g1 = arith::DivFOp::create(b, p1, sum);
  Value g2 = arith::DivFOp::create(b, p2, sum);
  lanes.store(g1, lanes.values, first);
  lanes.store(g2, lanes.values, second);

  // No comparison holds for NaN: its token has no second expert.
  auto less = [&](Value x, Value y) -> Value {
    return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y);
  };
  Value used;
  switch (getSecond()) {
  case SecondExpert::All:
    return;
  case SecondExpert::None:
    lanes.store(lanes.i32(-1), lanes.indices, second);
    return;
  case SecondExpert::Threshold:
    used = less(lanes.f32(getThreshold().getValueAsDouble()), g2);
    break;
  case SecondExpert::Random: {
    Value p = getRaw() ? p2 : g2;
    Value limit;
    if (getThreshold())
      limit = arith::DivFOp::create(
          b, p, lanes.f32(getThreshold().getValueAsDouble()));
    else
      limit = arith::MulFOp::create(b, p, lanes.f32(2.0));
    used = less(lanes.operands[0], limit);
    break;
  }
  }
  Value expert = lanes.load(lanes.indices, second);
  lanes.store(arith::SelectOp::create(b, used, expert, lanes.i32(-1)),
              lanes.indices, second);
}
