//===- Health.cpp - How evenly a routing uses its experts ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The metrics of `moe.balance` that follow from the counts of experts.
//
//===----------------------------------------------------------------------===//

#include "MetricBuilder.h"

#include <cmath>

using namespace mlir;
using namespace moe;

using Combine = MetricBuilder::Combine;

namespace {

/// The counts of a routing, and numbers that several metrics need of them.
struct Load {
  MetricBuilder &b;
  int64_t experts;
  Value counts;

  Load(MetricBuilder &b, Value routing, ArrayRef<Value> inputs)
      : b(b), experts(cast<RoutingType>(routing.getType()).getExperts()),
        counts(b.counts(routing, inputs[0])) {}

  /// Reduces what `term` makes of each count.
  Value reduce(Type element, Combine combine, function_ref<Value(Value)> term) {
    return b.reduceAll({counts}, {{0}}, 1, element, combine,
                       [&](ValueRange args) { return term(args[0]); });
  }

  /// H = -sum_e f_e ln f_e.
  Value entropy() {
    Value total = b.total(counts);
    Value sum = reduce(b.getF32Type(), Combine::Add, [&](Value count) {
      Value share = b.divByCount(b.toF32(count), total);
      // 0 ln 0 is 0.
      Value isUsed =
          arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, count, b.i32(0));
      Value safe = arith::SelectOp::create(b, isUsed, share, b.f32(1.0));
      return b.mul(safe, math::LogOp::create(b, safe));
    });
    return b.sub(b.f32(0.0), sum);
  }

  Value largest() {
    return b.toF32(reduce(b.getI32Type(), Combine::Max,
                          [&](Value count) { return count; }));
  }

  /// E max_e f_e.
  Value maxOverMean() {
    return b.divByCount(b.mul(largest(), b.f32(experts)), b.total(counts));
  }
};

} // namespace

static RankedTensorType scalarOf(RoutingType routing, bool isFloat) {
  MLIRContext *context = routing.getContext();
  Type element = IntegerType::get(context, 32);
  if (isFloat)
    element = Float32Type::get(context);
  return RankedTensorType::get({}, element);
}

/// A metric of counts that is one number: `BODY` builds it from `load`.
#define MOE_COUNT_METRIC(CLASS, IS_FLOAT, ...)                                 \
  SmallVector<BalanceInput> CLASS::getMetricInputs() const {                   \
    return {{"counts", "E", /*isFloat=*/false, /*isOptional=*/true}};          \
  }                                                                            \
  RankedTensorType CLASS::getMetricType(RoutingType routing) const {           \
    return scalarOf(routing, IS_FLOAT);                                        \
  }                                                                            \
  Value CLASS::buildMetric(OpBuilder &builder, Location loc, Value routing,    \
                           ArrayRef<Value> inputs) const {                     \
    MetricBuilder b(builder, loc);                                             \
    Load load(b, routing, inputs);                                             \
    return b.toTensor([&]() -> Value __VA_ARGS__());                           \
  }

MOE_COUNT_METRIC(NormalizedEntropyAttr, true, {
  if (load.experts == 1)
    return b.f32(1.0);
  return b.mul(load.entropy(), b.f32(1.0 / std::log(load.experts)));
})

MOE_COUNT_METRIC(EffectiveExpertsAttr, true,
                 { return math::ExpOp::create(b, load.entropy()); })

MOE_COUNT_METRIC(MaxOverMeanAttr, true, { return load.maxOverMean(); })

MOE_COUNT_METRIC(MaxViolationAttr, true,
                 { return b.sub(load.maxOverMean(), b.f32(1.0)); })

MOE_COUNT_METRIC(CoefficientOfVariationAttr, true, {
  Value total = b.total(load.counts);
  // Without assignments all shares are 0, and so is their mean.
  Value hasAny =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, total, b.f32(0.0));
  Value mean = arith::SelectOp::create(b, hasAny, b.f32(1.0), b.f32(0.0));
  Value squares = load.reduce(b.getF32Type(), Combine::Add, [&](Value count) {
    Value scaled = b.mul(b.toF32(count), b.f32(load.experts));
    Value gap = b.sub(b.divByCount(scaled, total), mean);
    return b.mul(gap, gap);
  });
  return math::SqrtOp::create(b, b.mul(squares, b.f32(1.0 / load.experts)));
})

MOE_COUNT_METRIC(DeadExpertsAttr, false, {
  return load.reduce(b.getI32Type(), Combine::Add, [&](Value count) -> Value {
    Value isDead =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq, count, b.i32(0));
    return arith::ExtUIOp::create(b, b.getI32Type(), isDead);
  });
})

MOE_COUNT_METRIC(GiniAttr, true, {
  // Of integers, so exact; the pairs spare a sort.
  Type i64 = b.getI64Type();
  Value sum = b.reduceAll(
      {load.counts, load.counts}, {{0}, {1}}, 2, i64, Combine::Add,
      [&](ValueRange args) -> Value {
        Value larger = arith::MaxSIOp::create(b, args[0], args[1]);
        Value smaller = arith::MinSIOp::create(b, args[0], args[1]);
        return arith::ExtSIOp::create(b, i64, b.sub(larger, smaller));
      });
  Value scaled = b.mul(b.toF32(sum), b.f32(0.5 / load.experts));
  return b.divByCount(scaled, b.total(load.counts));
})

MOE_COUNT_METRIC(CollapseAttr, false, {
  Value total = b.total(load.counts);
  Value k;
  if (getK()) {
    k = b.f32(getK());
  } else {
    Value assignments = b.total(b.counts(routing));
    k = b.divByCount(assignments, b.toF32(b.numTokens(routing)));
  }
  Value experts = b.f32(load.experts);
  auto compare = [&](arith::CmpFPredicate predicate, Value x,
                     Value y) -> Value {
    return arith::CmpFOp::create(b, predicate, x, y);
  };
  Value least = b.add(k, b.mul(b.f32(getSpread()), b.sub(experts, k)));
  // Tokens that go to all experts leave nothing to be uneven; without the
  // second condition, rounding would decide.
  Value isNarrow = arith::AndIOp::create(
      b,
      compare(arith::CmpFPredicate::OLT, math::ExpOp::create(b, load.entropy()),
              least),
      compare(arith::CmpFPredicate::OLT, k, experts));
  Value isTop = compare(arith::CmpFPredicate::OGT, load.largest(),
                        b.mul(b.f32(getShare()), total));
  Value hasMany =
      compare(arith::CmpFPredicate::OGE, experts, b.mul(b.f32(getRatio()), k));
  Value isDominated = arith::AndIOp::create(b, isTop, hasMany);
  Value flags =
      b.add(arith::SelectOp::create(b, isNarrow, b.i32(1), b.i32(0)),
            arith::SelectOp::create(b, isDominated, b.i32(2), b.i32(0)));
  Value isEnough =
      compare(arith::CmpFPredicate::OGE, total,
              b.f32(static_cast<double>(getAssignments()) * load.experts));
  return arith::SelectOp::create(b, isEnough, flags, b.i32(-1));
})

#undef MOE_COUNT_METRIC

//===----------------------------------------------------------------------===//
// #moe.expert_counts
//===----------------------------------------------------------------------===//

RankedTensorType ExpertCountsAttr::getMetricType(RoutingType routing) const {
  return RankedTensorType::get({routing.getExperts()},
                               IntegerType::get(routing.getContext(), 32));
}

Value ExpertCountsAttr::buildMetric(OpBuilder &builder, Location loc,
                                    Value routing, ArrayRef<Value>) const {
  MetricBuilder b(builder, loc);
  return b.counts(routing);
}

LogicalResult
CollapseAttr::verifyMetric(function_ref<InFlightDiagnostic()> emitError,
                           RoutingType routing) const {
  if (getK() > routing.getExperts())
    return emitError() << "#moe.collapse expects k of at most "
                       << routing.getExperts()
                       << ", the number of experts, but got " << getK();
  return success();
}
