//===- Balance.cpp - Losses and health of a routing, in float64 -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// moe.balance and the reference model of each metric, from the definitions.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "Models.h"
#include "SpecMath.h"
#include "moe-mlir/Reference/ReferenceBalance.h"
#include "moe/Moe.h"

#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace mlir;

#include "moe-mlir/Reference/ReferenceBalance.cpp.inc"

namespace moe::reference {

namespace {

using Numbers = std::vector<double>;

//===----------------------------------------------------------------------===//
// Pieces
//===----------------------------------------------------------------------===//

/// How often each expert is in slots [0, slots) of tokens [begin, end).
Numbers countChoices(const BalanceData &data, int64_t begin, int64_t end,
                     int64_t slots) {
  Numbers counts(data.experts, 0.0);
  for (int64_t t = begin; t < end; ++t)
    for (int64_t s = 0; s < slots; ++s) {
      int32_t expert = data.expertOf[t * data.slots + s];
      if (expert >= 0)
        counts[expert] += 1.0;
    }
  return counts;
}

/// The counts of the routing, or those given.
Numbers countsOf(const BalanceData &data) {
  if (const BalanceTensor *given = data.find("counts"))
    return given->values;
  return countChoices(data, 0, data.tokens, data.slots);
}

double sumOf(ArrayRef<double> values) {
  double sum = 0.0;
  for (double v : values)
    sum += v;
  return sum;
}

ArrayRef<double> rowOf(const BalanceTensor &tensor, int64_t row) {
  int64_t width = tensor.shape[1];
  return ArrayRef<double>(tensor.values).slice(row * width, width);
}

/// The mean of `loss(begin, end)` over groups of `length` tokens; one group if
/// `length` is 0, and 0 without tokens.
template <typename Fn>
double meanOverGroups(int64_t tokens, int64_t length, Fn loss) {
  if (tokens == 0)
    return 0.0;
  if (length == 0)
    length = tokens;
  double sum = 0.0;
  int64_t groups = 0;
  for (int64_t begin = 0; begin < tokens; begin += length, ++groups)
    sum += loss(begin, std::min(begin + length, tokens));
  return sum / groups;
}

/// E sum_e f_e P_e with f_e = n_e / (T k) and P_e = sums_e / T.
double balanceLoss(ArrayRef<double> counts, ArrayRef<double> sums,
                   int64_t tokens, int64_t k) {
  double loss = 0.0;
  for (size_t e = 0; e < counts.size(); ++e)
    loss += counts[e] / (static_cast<double>(tokens) * k) * (sums[e] / tokens);
  return counts.size() * loss;
}

/// f_e = n_e / sum n, all 0 without assignments.
Numbers sharesOf(ArrayRef<double> counts) {
  Numbers shares(counts.begin(), counts.end());
  if (double total = sumOf(counts))
    for (double &share : shares)
      share /= total;
  return shares;
}

double entropyOf(ArrayRef<double> shares) {
  double entropy = 0.0;
  for (double share : shares)
    if (share > 0.0)
      entropy -= share * std::log(share);
  return entropy;
}

double largestOf(ArrayRef<double> values) {
  return *std::max_element(values.begin(), values.end());
}

//===----------------------------------------------------------------------===//
// Losses
//===----------------------------------------------------------------------===//

template <typename Model, typename AttrT>
using MetricModel =
    ReferenceBalanceMetricAttrInterface::ExternalModel<Model, AttrT>;

struct SwitchLossModel : MetricModel<SwitchLossModel, SwitchLossAttr> {
  Numbers evaluate(Attribute attribute, const BalanceData &data) const {
    auto metric = cast<SwitchLossAttr>(attribute);
    const BalanceTensor &scores = *data.find("scores");
    int64_t k = metric.getFirst() ? 1
                : metric.getK()   ? metric.getK()
                                  : data.slots;
    int64_t slots = metric.getFirst() ? 1 : data.slots;
    return {meanOverGroups(
        data.tokens, metric.getLength(), [&](int64_t begin, int64_t end) {
          Numbers sums(data.experts, 0.0);
          for (int64_t t = begin; t < end; ++t)
            for (int64_t e = 0; e < data.experts; ++e)
              sums[e] += rowOf(scores, t)[e];
          return balanceLoss(countChoices(data, begin, end, slots), sums,
                             end - begin, k);
        })};
  }
};

struct SequenceLossModel : MetricModel<SequenceLossModel, SequenceLossAttr> {
  Numbers evaluate(Attribute attribute, const BalanceData &data) const {
    auto metric = cast<SequenceLossAttr>(attribute);
    const BalanceTensor &scores = *data.find("scores");
    int64_t k = metric.getK() ? metric.getK() : data.slots;
    double loss = meanOverGroups(
        data.tokens, metric.getLength(), [&](int64_t begin, int64_t end) {
          Numbers counts(data.experts, 0.0), sums(data.experts, 0.0);
          for (int64_t t = begin; t < end; ++t) {
            ArrayRef<double> row = rowOf(scores, t);
            SmallVector<int32_t> chosen;
            selectTopK(row, k, chosen);
            for (int32_t expert : chosen)
              counts[expert] += 1.0;
            double sum = sumOf(row);
            for (int64_t e = 0; e < data.experts; ++e)
              sums[e] += row[e] / sum;
          }
          return balanceLoss(counts, sums, end - begin, k);
        });
    return {metric.getAlpha() * loss};
  }
};

struct ZLossModel : MetricModel<ZLossModel, ZLossAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    const BalanceTensor &logits = *data.find("logits");
    double sum = 0.0;
    for (int64_t t = 0; t < data.tokens; ++t) {
      ArrayRef<double> row = rowOf(logits, t);
      double largest = row[0];
      for (double v : row)
        largest = maximum(largest, v);
      double exponentials = 0.0;
      for (double v : row)
        exponentials += std::exp(v - largest);
      double logSum = largest + std::log(exponentials);
      sum += logSum * logSum;
    }
    return {data.tokens ? sum / data.tokens : 0.0};
  }
};

struct ScoreEntropyModel : MetricModel<ScoreEntropyModel, ScoreEntropyAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    const BalanceTensor &scores = *data.find("scores");
    double sum = 0.0;
    for (int64_t t = 0; t < data.tokens; ++t)
      for (double p : rowOf(scores, t))
        sum -= p * std::log(maximum(p, 1e-300));
    return {data.tokens ? sum / data.tokens : 0.0};
  }
};

struct DynMoELossModel : MetricModel<DynMoELossModel, DynMoELossAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    const BalanceTensor &matrix = *data.find("similarity");
    const BalanceTensor *active = data.find("active");
    int64_t experts = data.experts, hidden = matrix.shape[0];
    Numbers norms(experts, 0.0);
    for (int64_t h = 0; h < hidden; ++h)
      for (int64_t e = 0; e < experts; ++e)
        norms[e] +=
            matrix.values[h * experts + e] * matrix.values[h * experts + e];
    for (double &norm : norms)
      norm = std::sqrt(norm);
    double diversity = 0.0;
    for (int64_t i = 0; i < experts; ++i)
      for (int64_t j = 0; j < experts; ++j) {
        double product = 0.0;
        for (int64_t h = 0; h < hidden; ++h)
          product +=
              matrix.values[h * experts + i] / std::max(norms[i], 1e-12) *
              (matrix.values[h * experts + j] / std::max(norms[j], 1e-12));
        double gap = product - (i == j ? 1.0 : 0.0);
        if (active)
          gap *= active->values[i] * active->values[j];
        diversity += gap * gap;
      }
    return {std::sqrt(diversity) + sumOf(norms) / experts};
  }
};

struct DynMoELoadLossModel
    : MetricModel<DynMoELoadLossModel, DynMoELoadLossAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    Numbers shares(data.experts, 0.0), counts(data.experts, 0.0);
    double active = 0.0;
    for (int64_t t = 0; t < data.tokens; ++t) {
      Numbers mask = countChoices(data, t, t + 1, data.slots);
      double k = sumOf(mask);
      if (k == 0.0)
        continue;
      active += 1.0;
      for (int64_t e = 0; e < data.experts; ++e) {
        shares[e] += mask[e] / k;
        counts[e] += mask[e];
      }
    }
    double load = 0.0;
    for (int64_t e = 0; e < data.experts && active; ++e)
      load += shares[e] / active * (counts[e] / active);
    double entries = static_cast<double>(data.tokens) * data.experts;
    double efficiency = entries ? sumOf(counts) / entries : 0.0;
    return {data.experts * load + efficiency};
  }
};

struct BiasUpdateModel : MetricModel<BiasUpdateModel, BiasUpdateAttr> {
  Numbers evaluate(Attribute attribute, const BalanceData &data) const {
    double gamma = cast<BiasUpdateAttr>(attribute).getGamma();
    Numbers bias = data.find("bias")->values, counts = countsOf(data);
    double mean = sumOf(counts) / data.experts;
    for (int64_t e = 0; e < data.experts; ++e)
      if (counts[e] != mean)
        bias[e] += counts[e] < mean ? gamma : -gamma;
    return bias;
  }
};

//===----------------------------------------------------------------------===//
// Health
//===----------------------------------------------------------------------===//

struct ExpertCountsModel : MetricModel<ExpertCountsModel, ExpertCountsAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    return countChoices(data, 0, data.tokens, data.slots);
  }
};

struct NormalizedEntropyModel
    : MetricModel<NormalizedEntropyModel, NormalizedEntropyAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    if (data.experts == 1)
      return {1.0};
    return {entropyOf(sharesOf(countsOf(data))) / std::log(data.experts)};
  }
};

struct EffectiveExpertsModel
    : MetricModel<EffectiveExpertsModel, EffectiveExpertsAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    return {std::exp(entropyOf(sharesOf(countsOf(data))))};
  }
};

struct MaxOverMeanModel : MetricModel<MaxOverMeanModel, MaxOverMeanAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    return {largestOf(sharesOf(countsOf(data))) * data.experts};
  }
};

struct MaxViolationModel : MetricModel<MaxViolationModel, MaxViolationAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    return {largestOf(sharesOf(countsOf(data))) * data.experts - 1.0};
  }
};

struct CoefficientOfVariationModel
    : MetricModel<CoefficientOfVariationModel, CoefficientOfVariationAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    Numbers shares = sharesOf(countsOf(data));
    double mean = sumOf(shares) / data.experts, variance = 0.0;
    for (double share : shares)
      variance += (share - mean) * (share - mean);
    return {std::sqrt(variance / data.experts) * data.experts};
  }
};

struct DeadExpertsModel : MetricModel<DeadExpertsModel, DeadExpertsAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    return {static_cast<double>(llvm::count(countsOf(data), 0.0))};
  }
};

struct GiniModel : MetricModel<GiniModel, GiniAttr> {
  Numbers evaluate(Attribute, const BalanceData &data) const {
    Numbers shares = sharesOf(countsOf(data));
    std::sort(shares.begin(), shares.end());
    double sum = 0.0;
    for (int64_t i = 0; i < data.experts; ++i)
      sum += static_cast<double>(2 * (i + 1) - data.experts - 1) * shares[i];
    return {sum / data.experts};
  }
};

struct CollapseModel : MetricModel<CollapseModel, CollapseAttr> {
  Numbers evaluate(Attribute attribute, const BalanceData &data) const {
    auto metric = cast<CollapseAttr>(attribute);
    Numbers counts = countsOf(data), shares = sharesOf(counts);
    double experts = data.experts;
    if (sumOf(counts) < metric.getAssignments() * experts)
      return {-1.0};
    double k = metric.getK();
    if (k == 0.0 && data.tokens)
      k = sumOf(countChoices(data, 0, data.tokens, data.slots)) / data.tokens;
    double effective = std::exp(entropyOf(shares));
    double state = 0.0;
    if (k < experts && effective < k + metric.getSpread() * (experts - k))
      state += 1.0;
    if (largestOf(shares) > metric.getShare() &&
        experts >= metric.getRatio() * k)
      state += 2.0;
    return {state};
  }
};

} // namespace

void attachBalanceModels(MLIRContext *context) {
  SwitchLossAttr::attachInterface<SwitchLossModel>(*context);
  SequenceLossAttr::attachInterface<SequenceLossModel>(*context);
  ZLossAttr::attachInterface<ZLossModel>(*context);
  ScoreEntropyAttr::attachInterface<ScoreEntropyModel>(*context);
  DynMoELossAttr::attachInterface<DynMoELossModel>(*context);
  DynMoELoadLossAttr::attachInterface<DynMoELoadLossModel>(*context);
  BiasUpdateAttr::attachInterface<BiasUpdateModel>(*context);
  ExpertCountsAttr::attachInterface<ExpertCountsModel>(*context);
  NormalizedEntropyAttr::attachInterface<NormalizedEntropyModel>(*context);
  EffectiveExpertsAttr::attachInterface<EffectiveExpertsModel>(*context);
  MaxOverMeanAttr::attachInterface<MaxOverMeanModel>(*context);
  MaxViolationAttr::attachInterface<MaxViolationModel>(*context);
  CoefficientOfVariationAttr::attachInterface<CoefficientOfVariationModel>(
      *context);
  DeadExpertsAttr::attachInterface<DeadExpertsModel>(*context);
  GiniAttr::attachInterface<GiniModel>(*context);
  CollapseAttr::attachInterface<CollapseModel>(*context);
}

//===----------------------------------------------------------------------===//
// moe.balance
//===----------------------------------------------------------------------===//

/// Reads the inputs; those of tokens have to have as many as the routing.
static LogicalResult readInputs(Machine &machine, BalanceOp op,
                                BalanceData &data) {
  for (auto [nameAttr, value] : zip_equal(op.getInputNames(), op.getInputs())) {
    StringRef name = cast<StringAttr>(nameAttr).getValue();
    ArrayPtr array = machine.getArray(value);
    for (Attribute attr : op.getMetrics())
      for (const BalanceInput &input :
           cast<BalanceMetricAttrInterface>(attr).getMetricInputs()) {
        size_t dim = input.shape.find('T');
        if (input.name == name && dim != StringRef::npos &&
            array->shape[dim] != data.tokens)
          return op.emitOpError("has ")
                 << array->shape[dim] << " tokens in input '" << name
                 << "'; the routing has " << data.tokens;
      }
    BalanceTensor &tensor = data.inputs[name];
    tensor.shape.assign(array->shape.begin(), array->shape.end());
    tensor.values.resize(array->numElements());
    if (isFloatLike(value.getType())) {
      loadFloats(*array, 0, tensor.values.size(), tensor.values.data());
      continue;
    }
    for (auto [i, element] : enumerate(tensor.values))
      element = static_cast<double>(loadElement(*array, i).i);
  }
  return success();
}

static LogicalResult executeBalance(Machine &machine, BalanceOp op) {
  RoutingPtr routing = machine.getRouting(op.getRouting());
  BalanceData data;
  data.tokens = routing->tokens;
  data.experts = routing->experts;
  data.slots = routing->slots;
  data.expertOf = routing->expertOf;
  if (failed(readInputs(machine, op, data)))
    return failure();
  for (auto [attr, result] : zip_equal(op.getMetrics(), op.getResults())) {
    auto model = dyn_cast<ReferenceBalanceMetricAttrInterface>(attr);
    if (!model)
      return op.emitOpError("cannot be interpreted: ")
             << attr << " has no reference model; its dialect has to implement "
             << "or attach "
                "moe::reference::ReferenceBalanceMetricAttrInterface";
    auto type = cast<RankedTensorType>(result.getType());
    std::vector<double> values = model.evaluate(data);
    FailureOr<MutableArrayPtr> array =
        machine.allocate(op, type, type.getShape());
    if (failed(array))
      return failure();
    if (static_cast<int64_t>(values.size()) != (*array)->numElements())
      return op.emitOpError("got ") << values.size() << " elements of " << attr
                                    << " for a result of " << type;
    // A few operations on sums over all scores.
    double units = 4.0 + std::sqrt(double(data.tokens) * data.experts);
    if (isFloatLike(type))
      for (double &value : values)
        value = machine.rounding.round(value, NumberFormat::get(type), units);
    for (auto [i, value] : enumerate(values))
      storeElement(**array, i,
                   isFloatLike(type) ? makeFloat(value)
                                     : makeInt(static_cast<int64_t>(value)));
    machine.set(result, *array);
  }
  return success();
}

void addBalanceOp(HandlerTable &table) { table.add<BalanceOp>(executeBalance); }

} // namespace moe::reference
