//===- Comparison.cpp - Results and what rounding explains -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Comparison.h"

#include "moe-mlir/Support/RowMagnitude.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace moe::run;
using llvm::ArrayRef;
using llvm::format;
using moe::DType;
using moe::HostTensor;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// An error of six standard deviations is once in 5e8 elements; the factor is
/// for what the model of rounding leaves out.
constexpr double kDeviations = 6.0, kModelFactor = 1.5;

/// A factor that all elements share (a weight, a constant) is rounded a few
/// times in f32.
constexpr double kSharedFactor = 8 * 0x1p-24;

/// Rounding to the type of a result.
struct Format {
  double unit, largest;
};

Format formatOf(DType dtype) {
  switch (dtype) {
  case DType::F64:
    return {0x1p-53, std::numeric_limits<double>::max()};
  case DType::BF16:
    return {0x1p-8, 0x1.FEp+127};
  case DType::F16:
    return {0x1p-11, 65504.0};
  default:
    return {0x1p-24, std::numeric_limits<float>::max()};
  }
}

/// Below the normal numbers of f32 kernels may flush to zero.
constexpr double kLeast = 0x1p-126;

class Comparer {
public:
  Comparer(const HostTensor &got, const HostTensor &exact,
           ArrayRef<HostTensor> draws, int64_t width)
      : got(got), exact(exact), draws(draws), width(width),
        rounding(formatOf(got.dtype)) {}

  Comparison run() {
    int64_t rows = exact.numElements() / width;
    for (int64_t row = 0; row < rows; ++row)
      if (moe::isFloat(got.dtype))
        addRow(row);
      else
        addExactRow(row);
    finish();
    return std::move(result);
  }

private:
  /// The standard deviation of element `i`.
  double deviationOf(int64_t i, double value) const {
    double sum = 0.0;
    for (const HostTensor &draw : draws) {
      double error = draw.get(i) - value;
      sum += error * error;
    }
    // The type of the result rounds once more, and uniformly.
    double own = rounding.unit * value;
    return std::sqrt(std::max(sum / draws.size(), own * own / 3));
  }

  void addExactRow(int64_t row) {
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      ++result.compared;
      bool isSame = got.get(i) == exact.get(i);
      offer(i, isSame ? 0.0 : kInfinity, isSame ? 0.0 : kInfinity, 0.0, 1.0);
    }
  }

  void addRow(int64_t row) {
    double magnitude = 0.0, spread = 0.0;
    std::vector<double> deviations(width, 0.0);
    int64_t finite = 0;
    for (int64_t c = 0; c < width; ++c) {
      double value = exact.get(row * width + c);
      if (!std::isfinite(value))
        continue;
      deviations[c] = deviationOf(row * width + c, value);
      if (!std::isfinite(deviations[c]))
        continue;
      ++finite;
      magnitude += value * value;
      spread += deviations[c] * deviations[c];
    }
    double rowDeviation = finite ? std::sqrt(spread / finite) : 0.0;
    double rowSize = moe::rowMagnitude(exact, row * width, (row + 1) * width);
    double allowed =
        allowedDeviations(static_cast<double>(draws.size()) * finite);

    double projection = 0.0, independent = 0.0, square = 0.0;
    std::vector<double> drawn(draws.size(), 0.0);
    bool isWhole = finite == width && magnitude > 0.0;
    for (int64_t c = 0; c < width; ++c) {
      int64_t i = row * width + c;
      double value = exact.get(i), other = got.get(i);
      ++result.compared;
      double deviation = std::max(deviations[c], rowDeviation);
      double bound = allowed * deviation + kLeast;
      if (std::isfinite(value))
        bound += rounding.unit * std::fabs(value);
      double error = errorOf(i, value, other);
      // What may be of another kind by rounding may be anything.
      double ratio = error == 0.0 || !std::isfinite(bound) ? 0.0
                     : std::isfinite(error)                ? error / bound
                                                           : kInfinity;
      offer(i, ratio, error, bound, rowSize);
      if (!std::isfinite(error) || !std::isfinite(value) || deviation == 0.0)
        continue;
      square += error * error;
      projection += (other - value) * value;
      independent += value * value * deviations[c] * deviations[c];
      for (auto [d, sum] : llvm::enumerate(drawn))
        sum += (draws[d].get(i) - value) * value;
      isWhole &= std::isfinite(deviation);
    }
    if (!isWhole)
      return;
    addMean(row, std::sqrt(square / spread), spread);
    ++numScales;
    scale += projection / magnitude;
    independentScale += independent / magnitude / magnitude;
    double mean = 0.0;
    for (double sum : drawn)
      mean += sum / magnitude * sum / magnitude / draws.size();
    scaleSpread += mean;
  }

  /// The root mean square of a row's errors, in parts of its deviation.
  void addMean(int64_t row, double mean, double spread) {
    if (!(spread > 0.0))
      return;
    if (mean > worstMean) {
      worstMean = mean;
      worstRow = row;
    }
    for (const HostTensor &draw : draws) {
      double sum = 0.0;
      for (int64_t i = row * width; i < (row + 1) * width; ++i) {
        double error = draw.get(i) - exact.get(i);
        sum += error * error;
      }
      // The mean of all draws is 1.
      drawnVariance += (sum / spread - 1) * (sum / spread - 1);
      ++numDrawn;
    }
  }

  /// How large the mean of a row may be. How much those of draws vary tells how
  /// many independent errors there are in a row (Satterthwaite): errors of a
  /// weight are the whole row's, others an element's own.
  double allowedMean() const {
    double n = static_cast<double>(numDrawn);
    double draw = static_cast<double>(draws.size());
    // From few draws the variance may be an underestimate.
    double variance =
        drawnVariance / n * draw / (draw - 1) * (1 + 3 * std::sqrt(2 / n));
    double freedom = std::clamp(2 / variance, 1.0, double(width));
    // Wilson and Hilferty's approximation to the quantile of chi-square.
    double part = 2 / (9 * freedom);
    return std::pow(1 - part + kDeviations * std::sqrt(part), 1.5);
  }

  /// Infinite where the two are not of one kind.
  double errorOf(int64_t i, double value, double other) const {
    if (std::isnan(value) || std::isnan(other))
      return std::isnan(value) && std::isnan(other) ? 0.0 : kInfinity;
    if (value == other)
      return 0.0;
    // Beyond the largest number the type has infinity only.
    bool overflows = std::fabs(value) > rounding.largest;
    if (overflows && std::isinf(other))
      return std::signbit(value) == std::signbit(other) ? 0.0 : kInfinity;
    return std::fabs(value - other);
  }

  void offer(int64_t i, double ratio, double error, double bound,
             double rowSize) {
    // The first is a worst one even if it is exact.
    if (at >= 0 && !(ratio > result.worst))
      return;
    at = i;
    result.worst = ratio;
    result.error = error / rowSize;
    result.allowed = bound / rowSize;
  }

  void finish() {
    llvm::raw_string_ostream os(result.complaint);
    if (result.worst > 1.0) {
      os << "[" << at / width << ", " << at % width << "] is "
         << format("%.9g", got.get(at)) << " instead of "
         << format("%.9g", exact.get(at));
      if (std::isfinite(result.error))
        os << ", off by " << format("%.3g", result.error)
           << " of its row, where rounding explains "
           << format("%.3g", result.allowed);
      return;
    }
    if (numScales) {
      double rows = static_cast<double>(numScales);
      double mean = scale / rows;
      double bound =
          std::max(allowedDeviations(draws.size() * rows) *
                       std::sqrt(scaleSpread) / rows,
                   allowedDeviations(kInfinity) * std::sqrt(independentScale) /
                       rows) +
          (got.dtype == DType::F64 ? 8 * rounding.unit : kSharedFactor);
      if (!(std::fabs(mean) <= bound)) {
        os << "all of it is " << format("%.9g", 1.0 + mean)
           << " times what it should be, where rounding explains 1 +- "
           << format("%.3g", bound);
        return;
      }
    }
    if (numDrawn && worstMean > allowedMean())
      os << "row " << worstRow << " is off by " << format("%.3g", worstMean)
         << " times what rounding explains in the mean, at most "
         << format("%.3g", allowedMean());
  }

  const HostTensor &got, &exact;
  ArrayRef<HostTensor> draws;
  int64_t width;
  Format rounding;
  Comparison result;
  int64_t at = -1;
  double worstMean = 0.0, drawnVariance = 0.0;
  int64_t worstRow = 0, numDrawn = 0;
  double scale = 0.0, independentScale = 0.0, scaleSpread = 0.0;
  int64_t numScales = 0;
};

} // namespace

double moe::run::allowedDeviations(double draws) {
  // Student's t at the probability of six deviations, by Wallace's
  // approximation to it.
  if (!(draws < 1e6))
    return kModelFactor * kDeviations;
  double z = kDeviations * (8 * draws + 3) / (8 * draws + 1);
  return kModelFactor * std::sqrt(draws * std::expm1(z * z / draws));
}

Comparison moe::run::compare(const HostTensor &got, const HostTensor &exact,
                             ArrayRef<HostTensor> draws, int64_t width) {
  return Comparer(got, exact, draws, std::max<int64_t>(width, 1)).run();
}
