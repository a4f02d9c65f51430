//===- RaggedRouters.cpp - Any number of experts a token --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Reference models of the policies for which every token has its own number of
// experts: thresholds, fractions and sums of scores, experts that choose
// tokens.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "SpecMath.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"

#include <cmath>
#include <limits>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

namespace {

/// The distance of two numbers; infinite where rounding changes nothing.
double distance(double a, double b) {
  double d = std::fabs(a - b);
  return std::isfinite(d) ? d : std::numeric_limits<double>::infinity();
}

/// One slot an expert: slot e of `slots` is e or -1.
int64_t countChosen(ArrayRef<int32_t> slots) {
  return count_if(slots, [](int32_t slot) { return slot >= 0; });
}

struct TopAnyModel
    : ReferencePolicyAttrInterface::ExternalModel<TopAnyModel, TopAnyAttr> {
  LogicalResult selectAll(Attribute attribute, const PolicyInputs &inputs,
                          PolicyChoice &choice) const {
    auto policy = cast<TopAnyAttr>(attribute);
    ArrayRef<double> thresholds = inputs.operands[0].data;
    for (int64_t t = 0; t < inputs.tokens; ++t) {
      ArrayRef<double> scores = inputs.row(t);
      int32_t *slots = &choice.experts[t * inputs.slots];
      double *values = &choice.values[t * inputs.slots];
      int64_t k = 0;
      for (int64_t e = 0; e < inputs.experts; ++e)
        if (scores[e] > thresholds[e]) {
          slots[e] = static_cast<int32_t>(e);
          ++k;
        }
      for (int64_t e = 0; e < inputs.experts; ++e)
        if (slots[e] >= 0)
          values[e] = 1.0 / static_cast<double>(k);
      if (k == 0 && policy.getMinK() == 1) {
        int64_t best = rank(scores).front();
        slots[best] = static_cast<int32_t>(best);
        values[best] =
            policy.getFallback() == Fallback::Score ? scores[best] : 1.0;
      }
    }
    return success();
  }
};

struct ThresholdModel
    : ReferencePolicyAttrInterface::ExternalModel<ThresholdModel,
                                                  ThresholdAttr> {
  LogicalResult select(Attribute attribute, ArrayRef<double> scores,
                       SmallVectorImpl<int32_t> &slots) const {
    auto policy = cast<ThresholdAttr>(attribute);
    for (auto [e, score] : enumerate(scores))
      slots.push_back(score > policy.getThreshold() ? static_cast<int32_t>(e)
                                                    : -1);
    if (countChosen(slots) == 0 && policy.getMinK() == 1) {
      int64_t best = rank(scores).front();
      slots[best] = static_cast<int32_t>(best);
    }
    return success();
  }
};

struct MinPModel
    : ReferencePolicyAttrInterface::ExternalModel<MinPModel, MinPAttr> {
  static double findLeast(MinPAttr policy, ArrayRef<double> scores) {
    double largest = -std::numeric_limits<double>::infinity();
    for (double score : scores)
      if (!std::isnan(score))
        largest = std::max(largest, score);
    return policy.getFraction() * largest;
  }
  LogicalResult select(Attribute attribute, ArrayRef<double> scores,
                       SmallVectorImpl<int32_t> &slots) const {
    double least = findLeast(cast<MinPAttr>(attribute), scores);
    for (auto [e, score] : enumerate(scores))
      slots.push_back(score >= least ? static_cast<int32_t>(e) : -1);
    if (countChosen(slots) == 0) {
      int64_t best = rank(scores).front();
      slots[best] = static_cast<int32_t>(best);
    }
    return success();
  }
};

struct TopPModel
    : ReferencePolicyAttrInterface::ExternalModel<TopPModel, TopPAttr> {
  /// The number of experts in use, and how far the sums are from `p`.
  static int64_t countUsed(TopPAttr policy, ArrayRef<double> scores,
                           ArrayRef<int64_t> order, double &gap) {
    double sum = 0.0;
    for (auto [j, expert] : enumerate(order)) {
      if (j > 0) {
        gap = std::min(gap, distance(sum, policy.getP()));
        if (!(policy.getStrict() ? sum <= policy.getP() : sum < policy.getP()))
          return j;
      }
      sum += scores[expert];
    }
    return order.size();
  }
  LogicalResult select(Attribute attribute, ArrayRef<double> scores,
                       SmallVectorImpl<int32_t> &slots) const {
    SmallVector<int64_t> order = rank(scores);
    double gap = 0.0;
    int64_t used = countUsed(cast<TopPAttr>(attribute), scores, order, gap);
    for (auto [j, expert] : enumerate(order))
      slots.push_back(
          static_cast<int64_t>(j) < used ? static_cast<int32_t>(expert) : -1);
    return success();
  }
};

struct ExpertChoiceModel
    : ReferencePolicyAttrInterface::ExternalModel<ExpertChoiceModel,
                                                  ExpertChoiceAttr> {
  /// How many tokens an expert takes: halves round to even numbers.
  static int64_t findCapacity(ExpertChoiceAttr policy,
                              const PolicyInputs &inputs) {
    double capacity = static_cast<double>(policy.getCapacity());
    if (policy.getFactor())
      capacity = std::nearbyint(static_cast<double>(inputs.tokens) *
                                policy.getFactor().getValueAsDouble() /
                                static_cast<double>(inputs.experts));
    capacity = std::max(capacity, 1.0);
    return static_cast<int64_t>(
        std::min(capacity, static_cast<double>(inputs.tokens)));
  }
  static std::vector<double> getColumn(const PolicyInputs &inputs,
                                       int64_t expert) {
    std::vector<double> column;
    for (int64_t t = 0; t < inputs.tokens; ++t)
      column.push_back(inputs.row(t)[expert]);
    return column;
  }
  LogicalResult selectAll(Attribute attribute, const PolicyInputs &inputs,
                          PolicyChoice &choice) const {
    int64_t capacity = findCapacity(cast<ExpertChoiceAttr>(attribute), inputs);
    for (int64_t e = 0; e < inputs.experts; ++e) {
      SmallVector<int64_t> order = rank(getColumn(inputs, e));
      for (int64_t i = 0; i < capacity; ++i)
        choice.experts[order[i] * inputs.slots + e] = static_cast<int32_t>(e);
    }
    return success();
  }
};

} // namespace

void attachRaggedRouterModels(MLIRContext *context) {
  TopAnyAttr::attachInterface<TopAnyModel>(*context);
  ThresholdAttr::attachInterface<ThresholdModel>(*context);
  MinPAttr::attachInterface<MinPModel>(*context);
  TopPAttr::attachInterface<TopPModel>(*context);
  ExpertChoiceAttr::attachInterface<ExpertChoiceModel>(*context);
}

} // namespace moe::reference
