//===- Search.cpp - Scales that make errors small --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Search.h"

namespace moe::quantize {

namespace {

/// The sums that a fit of x = s q + m needs.
struct Moments {
  float w = 0, q = 0, qq = 0, x = 0, xq = 0;

  /// Fits; false if the codes are all alike.
  bool fit(bool isFree, Affine &affine) const {
    float determinant = w * qq - q * q;
    if (determinant > 0) {
      affine.scale = (w * xq - x * q) / determinant;
      affine.offset = (qq * x - q * xq) / determinant;
    }
    bool isAllowed = determinant > 0 && (isFree || affine.offset <= 0);
    if (!isAllowed && !isFree && qq > 0)
      affine = {xq / qq, 0};
    return (isAllowed || (!isFree && qq > 0)) && affine.scale > 0;
  }

  /// What the fit takes off sum w x^2.
  float gain(Affine a) const {
    return 2 * (a.scale * xq + a.offset * x) - a.scale * a.scale * qq -
           2 * a.scale * a.offset * q - a.offset * a.offset * w;
  }
};

} // namespace

Affine fitAffine(const Span &span, float most, bool isFree) {
  float low = span.x[0], high = span.x[0];
  for (int i = 1; i < span.n; ++i) {
    low = std::min(low, span.x[i]);
    high = std::max(high, span.x[i]);
  }
  if (!isFree)
    low = std::min(low, 0.0f);
  if (!(high - low > leastMagnitude))
    return {0, low};
  Affine best{(high - low) / most, low};
  float bestGain = -INFINITY;
  Moments sums;
  LaneSum ws, xs;
  forEach(span, [&](int i, int lane) {
    ws.part[lane] += span.w[i];
    xs.part[lane] += span.w[i] * span.x[i];
  });
  sums.w = ws.total();
  sums.x = xs.total();
  auto tryAffine = [&](float inverse, float offset) {
    LaneSum q, qq, xq;
    forEach(span, [&](int i, int lane) {
      float x = span.x[i];
      float code = roundLevel(clampTo(0, (x - offset) * inverse, most));
      float weighted = span.w[i] * code;
      q.part[lane] += weighted;
      qq.part[lane] += weighted * code;
      xq.part[lane] += weighted * x;
    });
    sums.q = q.total();
    sums.qq = qq.total();
    sums.xq = xq.total();
    Affine fit;
    if (!sums.fit(isFree, fit))
      return false;
    float gain = sums.gain(fit);
    if (!(gain > bestGain))
      return false;
    bestGain = gain;
    best = fit;
    return true;
  };
  // Ranges somewhat smaller than that of the values: the outermost are cut off.
  tryAffine(most / (high - low), low);
  for (float below : {0.0f, 0.05f, 0.12f, 0.22f, 0.36f})
    for (float above : {0.0f, 0.05f, 0.12f, 0.22f, 0.36f}) {
      float from = low + (high - low) * below, to = high - (high - low) * above;
      if (!isFree)
        from = std::min(from, 0.0f);
      tryAffine(most / (to - from), from);
    }
  for (int round = 0; round < 4 && tryAffine(1.0f / best.scale, best.offset);
       ++round) {
  }
  return best;
}

} // namespace moe::quantize
