//===- Reweigh.cpp - moe.routing.reweigh ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Directly behind a router it is more of the routing kernel's region of
// weights, else a loop: one token after another, the weights of all slots as a
// vector.
//
//===----------------------------------------------------------------------===//

#include "BatchPolicies.h"
#include "Patterns.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace moe;

/// The weights of one token: `values`, times `factors` if they are there, after
/// the steps of `op`; null on failure.
static Value buildSteps(OpBuilder &b, RoutingReweighOp op, Value values,
                        Value factors, Value used) {
  if (factors)
    values = arith::MulFOp::create(b, op.getLoc(), values, factors);
  if (!op.getWeighing())
    return values;
  for (auto step : op.getWeighing()->getAsRange<WeighingAttrInterface>())
    if (values)
      values = step.buildWeights(b, op.getLoc(), values, used);
  return values;
}

/// The routing of `route` reweighed by `op` inside of the kernel; null on
/// failure.
static moek::RouteOp buildFused(OpBuilder &b, RoutingReweighOp op,
                                moek::RouteOp route, Value scales) {
  SmallVector<Value> perExpert(route.getPerExpert());
  if (scales)
    perExpert.push_back(scales);
  moek::RouteOp fused =
      buildExtendedRoute(b, route, op.getResult().getType(), /*always=*/0,
                         Value(), IntegerAttr(), perExpert);
  OpBuilder::InsertionGuard guard(b);
  Block &weigh = fused.getWeigh().front();
  Operation *yield = weigh.getTerminator();
  b.setInsertionPoint(yield);
  Value factors, used;
  if (!fused.getPolicy().fillsAllSlots(fused.getExperts()))
    used = weigh.getArgument(1);
  Value values = yield->getOperand(0);
  if (scales)
    factors = weigh.addArgument(values.getType(), op.getLoc());
  Value weights = buildSteps(b, op, values, factors, used);
  if (!weights)
    return {};
  yield->setOperand(0, weights);
  return fused;
}

/// The weights `[T, K]` of `op`; null on failure.
static Value buildReweighed(OpBuilder &b, RoutingReweighOp op, Value scales,
                            Value indices, Value weights) {
  Location loc = op.getLoc();
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
  Value noWeights = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(floats, b.getF32FloatAttr(0.0f)));
  Value value = read(floats, weights, noWeight), factors;
  if (scales) {
    factors = noWeights;
    for (int64_t slot = 0; slot < slots; ++slot) {
      Value expert = tensor::ExtractOp::create(
          b, loc, indices,
          ValueRange{place[0], arith::ConstantIndexOp::create(b, loc, slot)});
      Value first = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
      expert = arith::IndexCastOp::create(
          b, loc, b.getIndexType(),
          arith::MaxSIOp::create(b, loc, expert, first));
      factors = vector::InsertOp::create(
          b, loc, tensor::ExtractOp::create(b, loc, scales, expert), factors,
          slot);
    }
    factors = arith::SelectOp::create(b, loc, used, factors, noWeights);
  }
  value = buildSteps(b, op, value, factors, used);
  if (!value)
    return {};
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
    Value scales = getSingle(adaptor.getScales());
    if (scales)
      scales = convertElements(b, op.getLoc(), scales, b.getF32Type());
    if (moek::RouteOp route = getExtensibleRoute(op.getRouting(), routing)) {
      moek::RouteOp fused = buildFused(b, op, route, scales);
      if (!fused)
        return failure();
      replaceRouting(b, op, fused.getRoutingResults());
      return success();
    }
    Value weights =
        buildReweighed(b, op, scales, routing.indices, routing.weights);
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
