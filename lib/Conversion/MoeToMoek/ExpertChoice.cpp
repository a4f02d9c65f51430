//===- ExpertChoice.cpp - #moe.expert_choice to its kernel ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "BatchPolicies.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace moe;

/// The tokens that each expert takes, an index; at most the number of tokens.
static Value buildCapacity(OpBuilder &b, Location loc, ExpertChoiceAttr policy,
                           Value tokens, int64_t experts) {
  if (!policy.getFactor()) {
    Value capacity =
        arith::ConstantIndexOp::create(b, loc, policy.getCapacity());
    return arith::MinUIOp::create(b, loc, capacity, tokens);
  }
  // In f64 and in this order, like getCapacityOf.
  Type f64 = b.getF64Type();
  auto constant = [&](double v) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF64FloatAttr(v));
  };
  Value count = arith::UIToFPOp::create(
      b, loc, f64, arith::IndexCastOp::create(b, loc, b.getI64Type(), tokens));
  Value share = arith::MulFOp::create(
      b, loc, count, constant(policy.getFactor().getValueAsDouble()));
  share = arith::DivFOp::create(b, loc, share, constant(experts));
  Value rounded = math::RoundEvenOp::create(b, loc, share);
  // Clamped before it becomes an integer: a factor may be very large.
  Value atLeastOne = arith::MaximumFOp::create(b, loc, rounded, constant(1.0));
  Value fits = arith::MinimumFOp::create(b, loc, atLeastOne, count);
  return arith::IndexCastOp::create(
      b, loc, b.getIndexType(),
      arith::FPToSIOp::create(b, loc, b.getI64Type(), fits));
}

namespace {
struct ExpertChoiceLowering
    : BatchPolicyLoweringAttrInterface::ExternalModel<ExpertChoiceLowering,
                                                      ExpertChoiceAttr> {
  Value buildIndices(Attribute policy, OpBuilder &b, Location loc, Value scores,
                     ValueRange, int64_t slots) const {
    Value tokens = getDim(b, loc, scores, 0);
    Value capacity =
        buildCapacity(b, loc, cast<ExpertChoiceAttr>(policy), tokens, slots);
    Value out = buildEmptyRows(b, loc, tokens, slots, b.getI32Type());
    return moek::ExpertChoiceOp::create(b, loc, TypeRange{out.getType()},
                                        capacity, scores, ValueRange{out})
        .getResult(0);
  }
};
} // namespace

void moe::attachExpertChoiceLowering(MLIRContext *context) {
  ExpertChoiceAttr::attachInterface<ExpertChoiceLowering>(*context);
}
