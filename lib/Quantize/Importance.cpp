//===- Importance.cpp - Which columns count ----------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Quantize/Quantize.h"

#include <numeric>

using namespace mlir;
using namespace moe;

/// As many rows of the mean expert are taken to be those of each: few rows tell
/// little, and none nothing.
static constexpr double kSharedRows = 8;
/// What a column counts at least, so that one that was never met is not free.
static constexpr double kLeast = 1e-3;

std::vector<std::vector<float>>
quantize::getImportance(const Profile::Weight &weight) {
  std::vector<double> shared(weight.columns);
  double rows = 0;
  for (const ActivationStatistics &expert : weight.experts) {
    rows += static_cast<double>(expert.rows);
    for (size_t k = 0; k < expert.meanSquares.size(); ++k)
      shared[k] += expert.rows * expert.meanSquares[k];
  }
  double sum = std::accumulate(shared.begin(), shared.end(), 0.0);
  if (!(sum > 0))
    return {};
  std::vector<std::vector<float>> result;
  for (const ActivationStatistics &expert : weight.experts) {
    std::vector<double> counts(weight.columns);
    double total = 0;
    for (size_t k = 0; k < counts.size(); ++k) {
      double own = expert.rows ? expert.rows * expert.meanSquares[k] : 0;
      counts[k] = own + kSharedRows * shared[k] / rows;
      total += counts[k];
    }
    double mean = total / static_cast<double>(counts.size());
    std::vector<float> &importance = result.emplace_back();
    for (double count : counts)
      importance.push_back(static_cast<float>(std::max(count / mean, kLeast)));
  }
  return result;
}

bool quantize::checkProfile(const Profile::Weight &met,
                            const ModelWeight &weight, std::string &problem) {
  if (met.columns == weight.columns() &&
      static_cast<int64_t>(met.experts.size()) == weight.allExperts())
    return true;
  func::FuncOp function = weight.function;
  problem = "the profile has " + std::to_string(met.experts.size()) +
            " experts with " + std::to_string(met.columns) + " columns of '" +
            weight.ownName() + "' of function '" + function.getSymName().str() +
            "', and the model " + std::to_string(weight.allExperts()) +
            " with " + std::to_string(weight.columns());
  return false;
}
