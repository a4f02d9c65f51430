//===- Losses.cpp - Losses of a routing ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The metrics of `moe.balance` that training minimises, and the step of the
// correction bias. Formulas are in MoeBalance.td.
//
//===----------------------------------------------------------------------===//

#include "MetricBuilder.h"

using namespace mlir;
using namespace moe;

static RankedTensorType scalarType(RoutingType routing) {
  return RankedTensorType::get({}, Float32Type::get(routing.getContext()));
}

static LogicalResult verifyChoices(function_ref<InFlightDiagnostic()> emitError,
                                   StringRef name, int64_t k,
                                   RoutingType routing) {
  if (k > routing.getExperts())
    return emitError() << name << " expects k of at most "
                       << routing.getExperts()
                       << ", the number of experts, but got " << k;
  return success();
}

/// The number of rows of a tensor, static or not.
static OpFoldResult numRows(MetricBuilder &b, Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(0))
    return b.getIndexAttr(type.getDimSize(0));
  return b.allRows(tensor).size;
}

/// sum_t of what `term` makes of each element of rows [T, E]: [E].
static Value sumRows(MetricBuilder &b, ArrayRef<Value> inputs,
                     ArrayRef<ArrayRef<unsigned>> maps, int64_t experts,
                     MetricBuilder::Body term) {
  return b.reduce(inputs, maps, /*kept=*/{1}, /*numLoops=*/2,
                  {b.getIndexAttr(experts)}, b.getF32Type(),
                  MetricBuilder::Combine::Add, term);
}

/// E sum_e (n_e / (tokens k)) (sums_e / tokens).
static Value buildBalanceLoss(MetricBuilder &b, Value counts, Value sums,
                              Value tokens, int64_t experts, int64_t k) {
  Value count = b.toF32(tokens);
  Value loss =
      b.mul(b.dotCounts(counts, sums), b.f32(static_cast<double>(experts) / k));
  return b.divByCount(b.divByCount(loss, count), count);
}

//===----------------------------------------------------------------------===//
// #moe.switch_loss
//===----------------------------------------------------------------------===//

SmallVector<BalanceInput> SwitchLossAttr::getMetricInputs() const {
  return {{"scores", "TE"}};
}

RankedTensorType SwitchLossAttr::getMetricType(RoutingType routing) const {
  return scalarType(routing);
}

LogicalResult
SwitchLossAttr::verifyMetric(function_ref<InFlightDiagnostic()> emitError,
                             RoutingType routing) const {
  return verifyChoices(emitError, "#moe.switch_loss", getK(), routing);
}

Value SwitchLossAttr::buildMetric(OpBuilder &builder, Location loc,
                                  Value routing, ArrayRef<Value> inputs) const {
  MetricBuilder b(builder, loc);
  auto type = cast<RoutingType>(routing.getType());
  int64_t experts = type.getExperts();
  int64_t k = getFirst() ? 1 : getK() ? getK() : type.getSlots();
  Value scores = inputs[0];
  Value indices;
  if (getFirst() || getLength())
    indices = RoutingIndicesOp::create(
        b,
        RankedTensorType::get({ShapedType::kDynamic, type.getSlots()},
                              b.getI32Type()),
        routing);
  Value loss = b.meanOverGroups(scores, getLength(), [&](TokenRange range) {
    Value rows = getLength() ? b.rowsOf(scores, range) : scores;
    Value sums = sumRows(b, {rows}, {{0, 1}}, experts,
                         [&](ValueRange args) { return b.readF32(args[0]); });
    Value counts =
        indices ? b.countIndices(indices, getFirst() ? 1 : type.getSlots(),
                                 experts, range)
                : b.counts(routing);
    return buildBalanceLoss(b, counts, sums, range.size, experts, k);
  });
  return b.toTensor(loss);
}

//===----------------------------------------------------------------------===//
// #moe.sequence_loss
//===----------------------------------------------------------------------===//

SmallVector<BalanceInput> SequenceLossAttr::getMetricInputs() const {
  return {{"scores", "TE"}};
}

RankedTensorType SequenceLossAttr::getMetricType(RoutingType routing) const {
  return scalarType(routing);
}

LogicalResult
SequenceLossAttr::verifyMetric(function_ref<InFlightDiagnostic()> emitError,
                               RoutingType routing) const {
  return verifyChoices(emitError, "#moe.sequence_loss", getK(), routing);
}

Value SequenceLossAttr::buildMetric(OpBuilder &builder, Location loc,
                                    Value routing,
                                    ArrayRef<Value> inputs) const {
  MetricBuilder b(builder, loc);
  auto type = cast<RoutingType>(routing.getType());
  int64_t experts = type.getExperts();
  int64_t k = getK() ? getK() : type.getSlots();
  Value scores = inputs[0];
  auto scoresType = cast<RankedTensorType>(scores.getType());
  if (!scoresType.getElementType().isF32()) {
    scores = b.map(
        {scores}, {{0, 1}}, {numRows(b, scores), b.getIndexAttr(experts)},
        b.getF32Type(), [&](ValueRange args) { return b.readF32(args[0]); });
  }
  // The loss is about the raw scores, whatever the layer selects by.
  Value raw =
      RouterOp::create(b, TopKAttr::get(b.getContext(), k), scores, scores);
  Value indices = RoutingIndicesOp::create(
      b, RankedTensorType::get({ShapedType::kDynamic, k}, b.getI32Type()), raw);
  // Of all rows at once: a buffer inside of the loop would have no size that is
  // known before the call.
  Value rowSums = b.reduce({scores}, {{0, 1}}, /*kept=*/{0}, /*numLoops=*/2,
                           {numRows(b, scores)}, b.getF32Type(),
                           MetricBuilder::Combine::Add,
                           [&](ValueRange args) { return args[0]; });
  Value loss = b.meanOverGroups(scores, getLength(), [&](TokenRange range) {
    Value rows = getLength() ? b.rowsOf(scores, range) : scores;
    Value divisors = getLength() ? b.rowsOf(rowSums, range) : rowSums;
    Value sums =
        sumRows(b, {rows, divisors}, {{0, 1}, {0}}, experts,
                [&](ValueRange args) { return b.div(args[0], args[1]); });
    Value counts = getLength() ? b.countIndices(indices, k, experts, range)
                               : b.counts(raw);
    return buildBalanceLoss(b, counts, sums, range.size, experts, k);
  });
  return b.toTensor(b.mul(loss, b.f32(getAlpha())));
}

//===----------------------------------------------------------------------===//
// #moe.z_loss, #moe.score_entropy
//===----------------------------------------------------------------------===//

SmallVector<BalanceInput> ZLossAttr::getMetricInputs() const {
  return {{"logits", "TE"}};
}

RankedTensorType ZLossAttr::getMetricType(RoutingType routing) const {
  return scalarType(routing);
}

/// The mean over tokens of a [T] tensor.
static Value buildTokenMean(MetricBuilder &b, Value values,
                            MetricBuilder::Body term) {
  Value sum = b.reduceAll({values}, {{0}}, 1, b.getF32Type(),
                          MetricBuilder::Combine::Add, term);
  return b.toTensor(b.divByCount(sum, b.toF32(b.allRows(values).size)));
}

Value ZLossAttr::buildMetric(OpBuilder &builder, Location loc, Value,
                             ArrayRef<Value> inputs) const {
  MetricBuilder b(builder, loc);
  Value logits = inputs[0];
  OpFoldResult tokens = numRows(b, logits);
  Type f32 = b.getF32Type();
  Value largest = b.reduce({logits}, {{0, 1}}, {0}, 2, {tokens}, f32,
                           MetricBuilder::Combine::Max,
                           [&](ValueRange args) { return b.readF32(args[0]); });
  Value sums = b.reduce(
      {logits, largest}, {{0, 1}, {0}}, {0}, 2, {tokens}, f32,
      MetricBuilder::Combine::Add, [&](ValueRange args) -> Value {
        return math::ExpOp::create(b, b.sub(b.readF32(args[0]), args[1]));
      });
  Value squares =
      b.map({largest, sums}, {{0}, {0}}, {tokens}, f32, [&](ValueRange args) {
        Value lse = b.add(args[0], math::LogOp::create(b, args[1]));
        return b.mul(lse, lse);
      });
  return buildTokenMean(b, squares, [&](ValueRange args) { return args[0]; });
}

SmallVector<BalanceInput> ScoreEntropyAttr::getMetricInputs() const {
  return {{"scores", "TE"}};
}

RankedTensorType ScoreEntropyAttr::getMetricType(RoutingType routing) const {
  return scalarType(routing);
}

Value ScoreEntropyAttr::buildMetric(OpBuilder &builder, Location loc, Value,
                                    ArrayRef<Value> inputs) const {
  MetricBuilder b(builder, loc);
  Value sums = b.reduce(
      {inputs[0]}, {{0, 1}}, {0}, 2, {numRows(b, inputs[0])}, b.getF32Type(),
      MetricBuilder::Combine::Add, [&](ValueRange args) {
        Value p = b.readF32(args[0]);
        // The smallest normal number: 0 log 0 is 0.
        Value above = arith::MaximumFOp::create(b, p, b.f32(0x1p-126));
        return b.mul(p, math::LogOp::create(b, above));
      });
  return buildTokenMean(b, sums, [&](ValueRange args) -> Value {
    return arith::NegFOp::create(b, args[0]);
  });
}

//===----------------------------------------------------------------------===//
// DynMoE
//===----------------------------------------------------------------------===//

SmallVector<BalanceInput> DynMoELossAttr::getMetricInputs() const {
  return {{"similarity", "HE"},
          {"active", "E", /*isFloat=*/true, /*isOptional=*/true}};
}

RankedTensorType DynMoELossAttr::getMetricType(RoutingType routing) const {
  return scalarType(routing);
}

Value DynMoELossAttr::buildMetric(OpBuilder &builder, Location loc,
                                  Value routing, ArrayRef<Value> inputs) const {
  MetricBuilder b(builder, loc);
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  OpFoldResult size = b.getIndexAttr(experts);
  Type f32 = b.getF32Type();
  auto combine = MetricBuilder::Combine::Add;
  Value similarity = inputs[0];

  Value squares = b.reduce({similarity}, {{0, 1}}, {1}, 2, {size}, f32, combine,
                           [&](ValueRange args) {
                             Value v = b.readF32(args[0]);
                             return b.mul(v, v);
                           });
  Value norms = b.map({squares}, {{0}}, {size}, f32, [&](ValueRange args) {
    return math::SqrtOp::create(b, args[0]);
  });
  // Loops: h, i, j.
  Value gram = b.reduce({similarity, similarity}, {{0, 1}, {0, 2}}, {1, 2}, 3,
                        {size, size}, f32, combine, [&](ValueRange args) {
                          return b.mul(b.readF32(args[0]), b.readF32(args[1]));
                        });
  SmallVector<Value> terms{gram, norms, norms};
  const unsigned both[] = {0, 1}, row[] = {0}, column[] = {1};
  SmallVector<ArrayRef<unsigned>> maps{both, row, column};
  if (inputs[1]) {
    terms.append({inputs[1], inputs[1]});
    maps.append({row, column});
  }
  Value sum =
      b.reduceAll(terms, maps, 2, f32, combine, [&](ValueRange args) -> Value {
        auto clamp = [&](Value norm) -> Value {
          return arith::MaximumFOp::create(b, norm, b.f32(1e-12));
        };
        Value i = linalg::IndexOp::create(b, 0);
        Value j = linalg::IndexOp::create(b, 1);
        Value isDiagonal =
            arith::CmpIOp::create(b, arith::CmpIPredicate::eq, i, j);
        Value identity =
            arith::SelectOp::create(b, isDiagonal, b.f32(1.0), b.f32(0.0));
        Value cosine = b.div(b.div(args[0], clamp(args[1])), clamp(args[2]));
        Value v = b.sub(cosine, identity);
        if (args.size() > 3)
          v = b.mul(v, b.mul(b.readF32(args[3]), b.readF32(args[4])));
        return b.mul(v, v);
      });
  Value diversity = math::SqrtOp::create(b, sum);
  Value simplicity = b.reduceAll({norms}, {{0}}, 1, f32, combine,
                                 [&](ValueRange args) { return args[0]; });
  simplicity = b.mul(simplicity, b.f32(1.0 / experts));
  return b.toTensor(b.add(diversity, simplicity));
}

RankedTensorType DynMoELoadLossAttr::getMetricType(RoutingType routing) const {
  return scalarType(routing);
}

Value DynMoELoadLossAttr::buildMetric(OpBuilder &builder, Location loc,
                                      Value routing, ArrayRef<Value>) const {
  MetricBuilder b(builder, loc);
  auto type = cast<RoutingType>(routing.getType());
  int64_t experts = type.getExperts();
  Value indices = RoutingIndicesOp::create(
      b,
      RankedTensorType::get({ShapedType::kDynamic, type.getSlots()},
                            b.getI32Type()),
      routing);
  Value tokens = b.numTokens(routing);
  Value zero = b.index(0), one = b.index(1), slots = b.index(type.getSlots());

  // sum_t mask_te / k_t, and the number of tokens with k_t > 0.
  Value empty = tensor::EmptyOp::create(
      b, ArrayRef<OpFoldResult>{b.getIndexAttr(experts)}, b.getF32Type());
  Value zeros = linalg::FillOp::create(b, b.f32(0.0), empty).getResult(0);
  auto isUsed = [&](Value expert) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::sge, expert,
                                 b.i32(0));
  };
  auto loop = scf::ForOp::create(
      b, zero, tokens, one, ValueRange{zeros, b.i32(0)},
      [&](OpBuilder &, Location, Value token, ValueRange outer) {
        auto expertIn = [&](Value slot) -> Value {
          return tensor::ExtractOp::create(b, indices, ValueRange{token, slot});
        };
        auto counting = scf::ForOp::create(
            b, zero, slots, one, b.i32(0),
            [&](OpBuilder &, Location, Value slot, ValueRange inner) {
              Value used = arith::ExtUIOp::create(b, b.getI32Type(),
                                                  isUsed(expertIn(slot)));
              scf::YieldOp::create(b, b.add(inner.front(), used));
            });
        Value k = counting.getResult(0);
        Value atLeastOne = arith::MinSIOp::create(b, k, b.i32(1));
        Value share = b.divByCount(b.f32(1.0), b.toF32(k));
        auto adding = scf::ForOp::create(
            b, zero, slots, one, outer.front(),
            [&](OpBuilder &, Location, Value slot, ValueRange inner) {
              Value expert = expertIn(slot);
              Value added =
                  arith::SelectOp::create(b, isUsed(expert), share, b.f32(0.0));
              Value place = arith::IndexCastOp::create(
                  b, b.getIndexType(),
                  arith::MaxSIOp::create(b, expert, b.i32(0)));
              Value sum = tensor::ExtractOp::create(b, inner.front(), place);
              Value next = tensor::InsertOp::create(b, b.add(sum, added),
                                                    inner.front(), place);
              scf::YieldOp::create(b, next);
            });
        scf::YieldOp::create(
            b, ValueRange{adding.getResult(0), b.add(outer[1], atLeastOne)});
      });
  Value counts = b.counts(routing);
  Value active = b.toF32(loop.getResult(1));
  Value load = b.mul(b.dotCounts(counts, loop.getResult(0)), b.f32(experts));
  load = b.divByCount(b.divByCount(load, active), active);
  Value efficiency = b.divByCount(b.mul(b.total(counts), b.f32(1.0 / experts)),
                                  b.toF32(tokens));
  return b.toTensor(b.add(load, efficiency));
}

//===----------------------------------------------------------------------===//
// #moe.bias_update
//===----------------------------------------------------------------------===//

SmallVector<BalanceInput> BiasUpdateAttr::getMetricInputs() const {
  return {{"bias", "E"},
          {"counts", "E", /*isFloat=*/false, /*isOptional=*/true}};
}

RankedTensorType BiasUpdateAttr::getMetricType(RoutingType routing) const {
  return RankedTensorType::get({routing.getExperts()},
                               Float32Type::get(routing.getContext()));
}

Value BiasUpdateAttr::buildMetric(OpBuilder &builder, Location loc,
                                  Value routing, ArrayRef<Value> inputs) const {
  MetricBuilder b(builder, loc);
  int64_t experts = cast<RoutingType>(routing.getType()).getExperts();
  Value counts = b.counts(routing, inputs[1]);
  Type i64 = b.getI64Type();
  Value sum = b.reduceAll({counts}, {{0}}, 1, i64, MetricBuilder::Combine::Add,
                          [&](ValueRange args) -> Value {
                            return arith::ExtSIOp::create(b, i64, args[0]);
                          });
  // sign(mean - n) = sign(sum - E n), which is exact.
  return b.map({inputs[0], counts}, {{0}, {0}}, {b.getIndexAttr(experts)},
               b.getF32Type(), [&](ValueRange args) -> Value {
                 Value load = arith::ExtSIOp::create(b, i64, args[1]);
                 Value scale = arith::ConstantIntOp::create(b, i64, experts);
                 Value gap = b.sub(sum, b.mul(load, scale));
                 Value zero = arith::ConstantIntOp::create(b, i64, 0);
                 auto compare = [&](arith::CmpIPredicate predicate) -> Value {
                   return arith::CmpIOp::create(b, predicate, gap, zero);
                 };
                 Value step = arith::SelectOp::create(
                     b, compare(arith::CmpIPredicate::sgt), b.f32(getGamma()),
                     arith::SelectOp::create(b,
                                             compare(arith::CmpIPredicate::slt),
                                             b.f32(-getGamma()), b.f32(0.0)));
                 return b.add(b.readF32(args[0]), step);
               });
}
