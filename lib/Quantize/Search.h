//===- Search.h - Scales that make errors small ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A block of values x is stored as levels l and a scale s, and perhaps an
// offset m, and sum w (s l + m - x)^2 is to be small. For given levels the best
// s and m are a least-squares fit; which levels is tried: each trial is a scale
// that rounds x to levels, and is worth what is left after the fit. Loops are
// over floats without branches.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_QUANTIZE_SEARCH_H
#define MOE_LIB_QUANTIZE_SEARCH_H

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace moe::quantize {

/// Values, and what their errors count; a multiple of the lanes.
struct Span {
  const float *x, *w;
  int n;
};

/// Sums are kept in lanes, so that compilers may make vectors of loops over
/// them and the order of additions is one on every machine.
constexpr int lanes = 8;
struct LaneSum {
  float part[lanes] = {};

  float total() const {
    return ((part[0] + part[4]) + (part[1] + part[5])) +
           ((part[2] + part[6]) + (part[3] + part[7]));
  }
};

/// Calls `body(i, lane)` for each value.
template <typename Body> inline void forEach(const Span &span, Body body) {
  for (int i = 0; i < span.n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane)
      body(i + lane, lane);
}

/// What is smaller becomes zero: reciprocals of it are no numbers.
constexpr float leastMagnitude = 0x1p-120f;

/// To nearest even; of |value| < 2^22.
inline float roundLevel(float value) {
  constexpr float shift = 0x1.8p23f;
  return (value + shift) - shift;
}

/// NaN becomes `low`.
inline float clampTo(float low, float value, float high) {
  return std::min(high, std::max(low, value));
}

//===----------------------------------------------------------------------===//
// Levels
//===----------------------------------------------------------------------===//

/// Consecutive integers.
template <int Lowest, int Highest> struct Integers {
  static constexpr float lowest = Lowest, highest = Highest;
  static constexpr int count = Highest - Lowest + 1;

  static float level(int i) { return static_cast<float>(Lowest + i); }

  static float nearest(float x) {
    return roundLevel(clampTo(lowest, x, highest));
  }
  static int code(float x) { return static_cast<int>(nearest(x)) - Lowest; }
};

/// The entries of `Table::values`, ascending; ties go down. Codes are indices.
template <typename Table> struct TableLevels {
  static constexpr int count = sizeof(Table::values) / sizeof(float);
  static constexpr float lowest = Table::values[0],
                         highest = Table::values[count - 1];

  static float level(int i) { return Table::values[i]; }

  static float nearest(float x) {
    float level = lowest;
    for (int i = 1; i < count; ++i) {
      float step = Table::values[i] - Table::values[i - 1];
      float middle = (Table::values[i] + Table::values[i - 1]) / 2;
      level += x > middle ? step : 0.0f;
    }
    return level;
  }
  static int code(float x) {
    int index = 0;
    for (int i = 1; i < count; ++i)
      index += x > (Table::values[i] + Table::values[i - 1]) / 2;
    return index;
  }
};

//===----------------------------------------------------------------------===//
// One scale
//===----------------------------------------------------------------------===//

/// The first value of the largest magnitude.
inline float largestOf(const Span &span) {
  float largest = 0;
  for (int i = 0; i < span.n; ++i)
    if (std::fabs(span.x[i]) > std::fabs(largest))
      largest = span.x[i];
  return largest;
}

/// sum w (s l(x / s) - x)^2
template <typename Levels> float errorOf(const Span &span, float scale) {
  float inverse = std::fabs(scale) < leastMagnitude ? 0.0f : 1.0f / scale;
  LaneSum error;
  forEach(span, [&](int i, int lane) {
    float difference = scale * Levels::nearest(span.x[i] * inverse) - span.x[i];
    error.part[lane] += span.w[i] * difference * difference;
  });
  return error.total();
}

/// The best scale found, of either sign; 0 for zeros.
template <typename Levels> float fitScale(const Span &span) {
  float largest = largestOf(span);
  if (std::fabs(largest) < leastMagnitude)
    return 0;
  float best =
      largest / (std::fabs(Levels::lowest) > Levels::highest ? Levels::lowest
                                                             : Levels::highest);
  float bestGain = -1;
  auto tryInverse = [&](float inverse) {
    LaneSum products, squares;
    forEach(span, [&](int i, int lane) {
      float level = Levels::nearest(span.x[i] * inverse);
      float weighted = span.w[i] * level;
      products.part[lane] += weighted * span.x[i];
      squares.part[lane] += weighted * level;
    });
    float product = products.total(), square = squares.total();
    // The fit leaves sum w x^2 less this.
    float gain = product / square * product;
    if (!(square > 0) || !(gain > bestGain))
      return false;
    bestGain = gain;
    best = product / square;
    return true;
  };
  // What the largest value becomes: around the last levels, and of few any that
  // is not far from those.
  for (float end : {Levels::lowest, Levels::highest})
    for (float part : {1.5f, 1.25f, 1.12f, 1.06f, 1.03f, 0.97f, 0.94f, 0.91f,
                       0.87f, 0.82f, 0.76f})
      tryInverse(end * part / largest);
  constexpr float least = 0.4f * std::max(-Levels::lowest, Levels::highest);
  for (int i = 0; Levels::count <= 32 && i < Levels::count; ++i)
    if (std::fabs(Levels::level(i)) > least)
      tryInverse(Levels::level(i) / largest);
  for (int round = 0; round < 4 && tryInverse(1.0f / best); ++round) {
  }
  return best;
}

//===----------------------------------------------------------------------===//
// A scale and an offset
//===----------------------------------------------------------------------===//

struct Affine {
  float scale = 0, offset = 0;
};

/// sum w (s q + m - x)^2 with the nearest codes of 0 to `most`.
inline float errorOf(const Span &span, Affine affine, float most) {
  float inverse = affine.scale < leastMagnitude ? 0.0f : 1.0f / affine.scale;
  LaneSum error;
  forEach(span, [&](int i, int lane) {
    float code = (span.x[i] - affine.offset) * inverse;
    code = roundLevel(clampTo(0, code, most));
    float difference = affine.scale * code + affine.offset - span.x[i];
    error.part[lane] += span.w[i] * difference * difference;
  });
  return error.total();
}

/// The best found with codes of 0 to `most`, a scale that is not negative, and
/// an offset that is not positive unless `isFree`.
Affine fitAffine(const Span &span, float most, bool isFree);

/// The code of 0 to `most` nearest to (x - m) / s.
inline int codeOf(float x, float scale, float offset, int most) {
  if (scale < leastMagnitude)
    return 0;
  float code = (x - offset) / scale;
  return static_cast<int>(
      roundLevel(clampTo(0, code, static_cast<float>(most))));
}

} // namespace moe::quantize

#endif // MOE_LIB_QUANTIZE_SEARCH_H
