//===- Reweigh.cpp - moe.routing.reweigh to loops ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One token after another, the weights of all slots as a vector.
//
//===----------------------------------------------------------------------===//

#include "BatchPolicies.h"
#include "Patterns.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace moe;

/// The weights `[T, K]` after `steps`; null on failure.
static Value buildReweighed(OpBuilder &b, Location loc, ArrayAttr steps,
                            Value indices, Value weights) {
  int64_t slots = cast<RankedTensorType>(weights.getType()).getDimSize(1);
  VectorType floats = VectorType::get({slots}, b.getF32Type());
  VectorType ints = VectorType::get({slots}, b.getI32Type());
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value noExpert = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(-1));
  Value noWeight = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f));
  Value tokens = getDim(b, loc, weights, 0);
  Value out = buildEmptyRows(b, loc, tokens, slots, b.getF32Type());
  auto loop = scf::ForOp::create(b, loc, zero, tokens, one, ValueRange{out});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> place{loop.getInductionVar(), zero};
  AffineMap row = AffineMap::get(2, 0, b.getAffineDimExpr(1));
  auto read = [&](VectorType type, Value from, Value padding) -> Value {
    return vector::TransferReadOp::create(b, loc, type, from, place, padding,
                                          row, ArrayRef<bool>{true});
  };
  Value noExperts = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(ints, b.getI32IntegerAttr(0)));
  Value used = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge,
                                     read(ints, indices, noExpert), noExperts);
  Value value = read(floats, weights, noWeight);
  for (auto step : steps.getAsRange<WeighingAttrInterface>())
    if (value)
      value = step.buildWeights(b, loc, value, used);
  if (!value)
    return {};
  Value noWeights = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(floats, b.getF32FloatAttr(0.0f)));
  value = arith::SelectOp::create(b, loc, used, value, noWeights);
  Value written =
      vector::TransferWriteOp::create(b, loc, value, loop.getRegionIterArg(0),
                                      place, row, ArrayRef<bool>{true})
          .getResult();
  scf::YieldOp::create(b, loc, written);
  return loop.getResult(0);
}

namespace {
struct ConvertReweigh : MoePattern<RoutingReweighOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(RoutingReweighOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    moek::RoutingParts routing(adaptor.getRouting());
    Value weights = buildReweighed(b, op.getLoc(), op.getWeighing(),
                                   routing.indices, routing.weights);
    if (!weights)
      return failure();
    replaceRouting(b, op,
                   buildIndex(b, op.getLoc(), routing.indices, weights,
                              op.getResult().getType()));
    return success();
  }
};
} // namespace

void moe::populateReweighPatterns(const TypeConverter &converter,
                                  RewritePatternSet &patterns) {
  patterns.add<ConvertReweigh>(converter, patterns.getContext());
}
