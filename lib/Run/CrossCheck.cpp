//===- CrossCheck.cpp - Comparing two code generators -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/CrossCheck.h"

#include "moe-mlir/Support/RowMagnitude.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>

using namespace moe::run;
using llvm::ArrayRef;
using llvm::format;
using moe::HostTensor;

/// The tokens that two calls routed to other experts, which layers in front of
/// a router may cause by rounding.
static std::vector<bool> findRoutedOtherwise(const RoutingTrace &a,
                                             const RoutingTrace &b) {
  std::vector<bool> differs;
  for (auto [x, y] : llvm::zip(a.routings, b.routings)) {
    if (x.tokens != y.tokens || x.slots != y.slots)
      continue;
    differs.resize(std::max<size_t>(differs.size(), x.tokens));
    for (int64_t i = 0, e = x.tokens * x.slots; i < e; ++i)
      if (x.expertOf[i] != y.expertOf[i])
        differs[i / x.slots] = true;
  }
  return differs;
}

/// Whether rounding explains that the two differ by `difference`; NaN and
/// infinities have to be the same.
static bool isNear(double a, double b, double bound) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(a) && std::isnan(b);
  return a == b || std::fabs(a - b) <= bound;
}

static void compareRow(CrossCheckedResult &check, const HostTensor &got,
                       const HostTensor &other, int64_t row, int64_t width) {
  bool isExact = !moe::isFloat(got.dtype);
  double size = moe::rowMagnitude(other, row * width, (row + 1) * width);
  for (int64_t c = 0; c < width; ++c) {
    double a = got.get(row * width + c), b = other.get(row * width + c);
    double difference = std::fabs(a - b) / size;
    if (std::isfinite(difference))
      check.difference = std::max(check.difference, difference);
    if (isNear(a, b, isExact ? 0.0 : check.allowed * size) ||
        !check.complaint.empty())
      continue;
    llvm::raw_string_ostream(check.complaint)
        << "[" << row << ", " << c << "] is " << format("%.9g", a)
        << ", by the other generator " << format("%.9g", b);
  }
}

std::vector<CrossCheckedResult>
moe::run::crossCheck(const Call &call, const RoutingTrace &routings,
                     const Call &other, const RoutingTrace &otherRoutings,
                     const Verification &sample) {
  std::vector<bool> differs = findRoutedOtherwise(routings, otherRoutings);
  std::vector<CrossCheckedResult> checks;
  for (const auto &[i, got] : llvm::enumerate(call.results())) {
    CrossCheckedResult check;
    const ResultCheck &sampled = sample.results[i];
    check.name = sampled.name;
    // Both are that far from the exact result.
    check.allowed = 2 * sampled.comparison.allowed;
    int64_t elements = got.numElements();
    int64_t width =
        got.shape.empty() || (sampled.isRows && got.shape.size() == 1)
            ? 1
            : got.shape.back();
    int64_t rows = width ? elements / width : 0;
    int64_t tokens = sampled.isRows && !got.shape.empty() ? got.shape[0] : 0;
    for (int64_t row = 0; row < rows; ++row) {
      size_t token = tokens ? row / (rows / tokens) : differs.size();
      if (token < differs.size() && differs[token]) {
        ++check.leftOut;
        continue;
      }
      compareRow(check, got, other.results()[i], row, width);
      ++check.rows;
    }
    checks.push_back(std::move(check));
  }
  return checks;
}
