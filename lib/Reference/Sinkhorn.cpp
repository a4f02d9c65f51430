//===- Sinkhorn.cpp - Balanced plans in float64 -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The reference model of #moe.sinkhorn: the iteration as it is defined, on
// exp(z). Compiled code works in f32 and may end an iteration earlier or later
// where the error is near the tolerance.
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

/// d0 c d1, [tokens, experts].
static std::vector<double> makePlan(const PolicyInputs &inputs,
                                    double tolerance, int64_t iterations) {
  const double eps = 1e-8;
  int64_t tokens = inputs.tokens, experts = inputs.experts;
  std::vector<double> c(tokens * experts), d0(tokens), d1(experts, 1.0);
  for (int64_t i = 0; i < tokens * experts; ++i)
    c[i] = std::exp(inputs.scores[i]);
  for (int64_t n = 0; n < iterations; ++n) {
    for (int64_t t = 0; t < tokens; ++t) {
      double sum = 0.0;
      for (int64_t e = 0; e < experts; ++e)
        sum += c[t * experts + e] * d1[e];
      d0[t] = 1.0 / tokens / (sum + eps);
    }
    double error = 0.0;
    for (int64_t e = 0; e < experts; ++e) {
      double sum = 0.0;
      for (int64_t t = 0; t < tokens; ++t)
        sum += d0[t] * c[t * experts + e];
      double next = 1.0 / experts / (sum + eps);
      error += std::abs(d1[e] - next);
      d1[e] = next;
    }
    // A NaN is not above the tolerance.
    if (!(error / experts > tolerance))
      break;
  }
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t e = 0; e < experts; ++e)
      c[t * experts + e] *= d0[t] * d1[e];
  return c;
}

namespace {
struct SinkhornModel
    : ReferencePolicyAttrInterface::ExternalModel<SinkhornModel, SinkhornAttr> {
  LogicalResult selectAll(Attribute attribute, const PolicyInputs &inputs,
                          PolicyChoice &choice) const {
    auto policy = cast<SinkhornAttr>(attribute);
    std::vector<double> plan =
        makePlan(inputs, policy.getTolerance(), policy.getIterations());
    for (int64_t t = 0; t < inputs.tokens; ++t) {
      SmallVector<int32_t> best;
      selectTopK(ArrayRef(plan).slice(t * inputs.experts, inputs.experts),
                 inputs.slots, best);
      std::copy(best.begin(), best.end(),
                choice.experts.begin() + t * inputs.slots);
    }
    return success();
  }

  /// A plan may be an iteration apart, which moves it by a few times the
  /// tolerance; a change of z moves entries by as much of themselves.
  double scoreSlack(Attribute attribute) const {
    return 10 * cast<SinkhornAttr>(attribute).getTolerance();
  }
};
} // namespace

void attachSinkhornModel(MLIRContext *context) {
  SinkhornAttr::attachInterface<SinkhornModel>(*context);
}

} // namespace moe::reference
