//===- SpecMath.cpp - The mathematics of MoE layers -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Written from the definitions, for reading.
//
//===----------------------------------------------------------------------===//

#include "SpecMath.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace llvm;

namespace moe::reference {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

bool ranksBefore(double a, int64_t indexA, double b, int64_t indexB) {
  bool nanA = std::isnan(a), nanB = std::isnan(b);
  if (nanA != nanB)
    return nanB;
  if (!nanA && a != b)
    return a > b;
  return indexA < indexB;
}

SmallVector<int64_t> rank(ArrayRef<double> scores) {
  SmallVector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return ranksBefore(scores[a], a, scores[b], b);
  });
  return order;
}

void selectTopK(ArrayRef<double> scores, int64_t k,
                SmallVectorImpl<int32_t> &slots) {
  SmallVector<int64_t> order = rank(scores);
  for (int64_t i = 0; i < k; ++i)
    slots.push_back(static_cast<int32_t>(order[i]));
}

static double scoreGroup(ArrayRef<double> members, GroupScore groupScore) {
  if (any_of(members, [](double v) { return std::isnan(v); }))
    return kNaN;
  SmallVector<int64_t> order = rank(members);
  if (groupScore == GroupScore::Max)
    return members[order[0]];
  return members[order[0]] + members[order[1]];
}

void selectGroupTopK(ArrayRef<double> scores, int64_t k, int64_t groups,
                     int64_t keep, GroupScore groupScore,
                     SmallVectorImpl<int32_t> &slots) {
  int64_t size = static_cast<int64_t>(scores.size()) / groups;
  SmallVector<double> groupScores;
  for (int64_t g = 0; g < groups; ++g)
    groupScores.push_back(scoreGroup(scores.slice(g * size, size), groupScore));
  SmallVector<int64_t> order = rank(groupScores);
  SmallVector<double> masked(scores.size(), -kInfinity);
  for (int64_t i = 0; i < keep; ++i)
    for (int64_t e = order[i] * size; e < (order[i] + 1) * size; ++e)
      masked[e] = scores[e];
  selectTopK(masked, k, slots);
}

void softmax(MutableArrayRef<double> values) {
  double largest = -kInfinity;
  for (double v : values)
    largest = maximum(largest, v);
  // inf - inf is NaN and reaches every value through the sum.
  double sum = 0;
  for (double &v : values) {
    v = std::exp(v - largest);
    sum += v;
  }
  for (double &v : values)
    v /= sum;
}

static double sumOf(ArrayRef<double> values) {
  double sum = 0;
  for (double v : values)
    sum += v;
  return sum;
}

void normalizeSum(MutableArrayRef<double> values, double eps) {
  double divisor = sumOf(values) + eps;
  for (double &v : values)
    v /= divisor;
}

void normalizeClamp(MutableArrayRef<double> values, double smallest) {
  double divisor = maximum(sumOf(values), smallest);
  for (double &v : values)
    v /= divisor;
}

void normalizeP(MutableArrayRef<double> values, double p) {
  double sum = 0;
  for (double v : values)
    sum += std::pow(std::fabs(v), p);
  double norm = std::pow(sum, 1.0 / p);
  for (double &v : values)
    v /= norm;
}

double sigmoid(double v) {
  // The exponential of a negative number cannot overflow.
  double e = std::exp(-std::fabs(v));
  return v >= 0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

double silu(double v) { return v * sigmoid(v); }

double gelu(double v) { return 0.5 * v * (1.0 + std::erf(v / std::sqrt(2.0))); }

double geluTanh(double v) {
  const double pi = 3.14159265358979323846;
  return 0.5 * v *
         (1.0 + std::tanh(std::sqrt(2.0 / pi) * (v + 0.044715 * v * v * v)));
}

double quickGelu(double v) { return v * sigmoid(1.702 * v); }

double relu(double v) { return maximum(v, 0.0); }

double clampedSwiglu(double gate, double up, double alpha, double limit,
                     double offset) {
  double g = minimum(gate, limit);
  double u = maximum(minimum(up, limit), -limit);
  return g * sigmoid(alpha * g) * (u + offset);
}

double minimum(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return kNaN;
  if (a == b) // -0 is below +0.
    return std::signbit(a) ? a : b;
  return a < b ? a : b;
}

double maximum(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return kNaN;
  if (a == b)
    return std::signbit(a) ? b : a;
  return a > b ? a : b;
}

} // namespace moe::reference
