//===- TokenRouters.cpp - Routers with data of their own --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Reference models of the policies that look at more of a token than the order
// of its scores: numbers of experts, random numbers, ids, distances between
// scores.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "SpecMath.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"
#include <cmath>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

namespace {

struct TokenKModel
    : ReferencePolicyAttrInterface::ExternalModel<TokenKModel, TokenKAttr> {
  LogicalResult selectAll(Attribute, const PolicyInputs &inputs,
                          PolicyChoice &choice) const {
    for (int64_t t = 0; t < inputs.tokens; ++t) {
      int64_t k = static_cast<int64_t>(inputs.operands[0].data[t]);
      k = std::min(std::max<int64_t>(k, 0), inputs.slots);
      SmallVector<int32_t> best;
      selectTopK(inputs.row(t), k, best);
      std::copy(best.begin(), best.end(),
                choice.experts.begin() + t * inputs.slots);
    }
    return success();
  }
};

struct GShardModel
    : ReferencePolicyAttrInterface::ExternalModel<GShardModel, GShardAttr> {
  LogicalResult selectAll(Attribute attribute, const PolicyInputs &inputs,
                          PolicyChoice &choice) const {
    auto policy = cast<GShardAttr>(attribute);
    for (int64_t t = 0; t < inputs.tokens; ++t) {
      ArrayRef<double> p = inputs.row(t);
      SmallVector<int32_t> best;
      selectTopK(p, 2, best);
      double sum = p[best[0]] + p[best[1]];
      double g1 = p[best[0]] / sum, g2 = p[best[1]] / sum;
      bool second = true;
      switch (policy.getSecond()) {
      case SecondExpert::All:
        break;
      case SecondExpert::None:
        second = false;
        break;
      case SecondExpert::Threshold:
        second = g2 > policy.getThreshold().getValueAsDouble();
        break;
      case SecondExpert::Random: {
        double share = policy.getRaw() ? p[best[1]] : g2;
        double limit = policy.getThreshold()
                           ? share / policy.getThreshold().getValueAsDouble()
                           : 2 * share;
        second = inputs.operands[0].data[t] < limit;
        break;
      }
      }
      choice.experts[2 * t] = best[0];
      choice.values[2 * t] = g1;
      if (!second)
        continue;
      choice.experts[2 * t + 1] = best[1];
      choice.values[2 * t + 1] = g2;
    }
    return success();
  }
};

struct SparseMixerModel
    : ReferencePolicyAttrInterface::ExternalModel<SparseMixerModel,
                                                  SparseMixerAttr> {
  LogicalResult selectAll(Attribute attribute, const PolicyInputs &inputs,
                          PolicyChoice &choice) const {
    double eps = cast<SparseMixerAttr>(attribute).getEps();
    for (int64_t t = 0; t < inputs.tokens; ++t) {
      ArrayRef<double> z = inputs.row(t);
      SmallVector<int32_t> best;
      selectTopK(z, 2, best);
      for (int64_t round = 0; round < 2; ++round) {
        double m = z[best[round]];
        // The softmax over what is left and not far, at its best.
        double sum = 0.0;
        for (int64_t e = 0; e < inputs.experts; ++e) {
          if (round == 1 && e == best[0])
            continue;
          bool isFar = (m - z[e]) / maximum(std::abs(z[e]), m) > 2 * eps;
          if (!isFar)
            sum += std::exp(z[e] - m);
        }
        choice.experts[2 * t + round] = best[round];
        choice.values[2 * t + round] = 1.0 / sum;
      }
    }
    return success();
  }
};

struct HashModel
    : ReferencePolicyAttrInterface::ExternalModel<HashModel, HashAttr> {
  LogicalResult selectAll(Attribute attribute, const PolicyInputs &inputs,
                          PolicyChoice &choice) const {
    auto policy = cast<HashAttr>(attribute);
    bool isMod = policy.getKind() == HashKind::Mod;
    auto fail = [&](int64_t token, const Twine &what) {
      choice.error = ("token " + Twine(token) + " has " + what).str();
      return failure();
    };
    int64_t ids = isMod ? 0 : inputs.operands[1].shape[0];
    for (int64_t t = 0; t < inputs.tokens; ++t) {
      int64_t id = static_cast<int64_t>(inputs.operands[0].data[t]);
      if (id < 0 || (!isMod && id >= ids))
        return fail(
            t, "the id " + Twine(id) + "; ids are " +
                   (isMod ? Twine("0 and above") : "0 to " + Twine(ids - 1)));
      if (isMod) {
        choice.experts[t] = id % inputs.experts;
        continue;
      }
      for (int64_t s = 0; s < inputs.slots; ++s) {
        auto expert = static_cast<int64_t>(
            inputs.operands[1].data[id * inputs.slots + s]);
        if (expert < 0 || expert >= inputs.experts)
          return fail(t, "the id " + Twine(id) +
                             ", whose row of the table has expert " +
                             Twine(expert) + "; experts are 0 to " +
                             Twine(inputs.experts - 1));
        for (int64_t other = 0; other < s; ++other)
          if (choice.experts[t * inputs.slots + other] == expert)
            return fail(t, "the id " + Twine(id) +
                               ", whose row of the table has expert " +
                               Twine(expert) + " twice");
        choice.experts[t * inputs.slots + s] = expert;
      }
    }
    return success();
  }
};

struct NearestCentroidModel
    : ReferencePolicyAttrInterface::ExternalModel<NearestCentroidModel,
                                                  NearestCentroidAttr> {
  LogicalResult selectAll(Attribute attribute, const PolicyInputs &inputs,
                          PolicyChoice &choice) const {
    auto policy = cast<NearestCentroidAttr>(attribute);
    int64_t n = policy.getN();
    for (int64_t t = 0; t < inputs.tokens; ++t) {
      SmallVector<int32_t> best;
      selectTopK(inputs.row(t), n, best);
      SmallVector<double> weights(n, 1.0 / n);
      if (FloatAttr temperature = policy.getTemperature()) {
        for (int64_t i = 0; i < n; ++i)
          weights[i] = inputs.row(t)[best[i]] / temperature.getValueAsDouble();
        softmax(weights);
      }
      std::copy(best.begin(), best.end(), choice.experts.begin() + t * n);
      std::copy(weights.begin(), weights.end(), choice.values.begin() + t * n);
    }
    return success();
  }
};

} // namespace

void attachTokenRouterModels(MLIRContext *context) {
  TokenKAttr::attachInterface<TokenKModel>(*context);
  GShardAttr::attachInterface<GShardModel>(*context);
  SparseMixerAttr::attachInterface<SparseMixerModel>(*context);
  HashAttr::attachInterface<HashModel>(*context);
  NearestCentroidAttr::attachInterface<NearestCentroidModel>(*context);
}

} // namespace moe::reference
