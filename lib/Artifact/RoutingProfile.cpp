//===- RoutingProfile.cpp - What a router did -------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/RoutingProfile.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/bit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace moe;

/// Bits of an f32 that the weights of one bin do not share.
static constexpr int kBinBits = 20;

int32_t RoutingProfile::binOf(double weight) {
  auto single = static_cast<float>(weight);
  if (single == 0.0f)
    return 0;
  auto bits = llvm::bit_cast<uint32_t>(std::fabs(single));
  auto bin = static_cast<int32_t>(bits >> kBinBits);
  return single < 0 ? -1 - bin : bin;
}

std::pair<double, double> RoutingProfile::edgesOf(int32_t bin) {
  auto edge = [](int32_t number) -> double {
    return llvm::bit_cast<float>(static_cast<uint32_t>(number) << kBinBits);
  };
  if (bin < 0)
    return {-edge(-bin), -edge(-1 - bin)};
  return {edge(bin), edge(bin + 1)};
}

/// To a multiple of 2^-30, halves to even.
static double roundToGrid(double weight) {
  return std::ldexp(std::nearbyint(std::ldexp(weight, 30)), -30);
}

bool RoutingProfile::add(int64_t count, const int32_t *indices,
                         const double *weights, std::string &error) {
  auto fail = [&](int64_t t, const std::string &what) {
    error = "token " + std::to_string(t) + " " + what;
    return false;
  };
  for (int64_t t = 0; t < count; ++t)
    for (int64_t s = 0; s < slots; ++s) {
      int32_t expert = indices[t * slots + s];
      if (expert < -1 || expert >= experts)
        return fail(t, "has expert " + std::to_string(expert) +
                           "; experts are 0 to " + std::to_string(experts - 1));
      if (expert < 0)
        continue;
      for (int64_t other = 0; other < s; ++other)
        if (indices[t * slots + other] == expert)
          return fail(t, "has expert " + std::to_string(expert) + " twice");
      if (!std::isfinite(static_cast<float>(weights[t * slots + s])))
        return fail(t, "has a weight for expert " + std::to_string(expert) +
                           " that is not finite");
    }

  bool isFirst = weightBins.empty();
  llvm::SmallVector<int32_t> chosen;
  for (int64_t t = 0; t < count; ++t) {
    chosen.clear();
    for (int64_t s = 0; s < slots; ++s) {
      int32_t expert = indices[t * slots + s];
      if (expert < 0)
        continue;
      double weight = weights[t * slots + s];
      double single = static_cast<float>(weight);
      ++counts[expert];
      weightSums[expert] += roundToGrid(weight);
      ++weightBins[binOf(weight)];
      leastWeight = isFirst ? single : std::min(leastWeight, single);
      largestWeight = isFirst ? single : std::max(largestWeight, single);
      isFirst = false;
      chosen.push_back(expert);
    }
    ++tokensWith[chosen.size()];
    std::sort(chosen.begin(), chosen.end());
    for (size_t i = 0; i < chosen.size(); ++i)
      for (size_t j = i + 1; j < chosen.size(); ++j)
        ++pairs[{chosen[i], chosen[j]}];
  }
  tokens += count;
  return true;
}

void RoutingProfile::merge(const RoutingProfile &other) {
  if (!other.weightBins.empty()) {
    bool isFirst = weightBins.empty();
    leastWeight =
        isFirst ? other.leastWeight : std::min(leastWeight, other.leastWeight);
    largestWeight = isFirst ? other.largestWeight
                            : std::max(largestWeight, other.largestWeight);
  }
  tokens += other.tokens;
  for (int64_t e = 0; e < experts; ++e) {
    counts[e] += other.counts[e];
    weightSums[e] += other.weightSums[e];
  }
  for (int64_t k = 0; k <= slots; ++k)
    tokensWith[k] += other.tokensWith[k];
  for (auto [bin, count] : other.weightBins)
    weightBins[bin] += count;
  for (auto [pair, count] : other.pairs)
    pairs[pair] += count;
}

int64_t RoutingProfile::assignments() const {
  return std::accumulate(counts.begin(), counts.end(), int64_t(0));
}

const std::vector<double> &RoutingProfile::quantileShares() {
  static const std::vector<double> shares{0, 0.05, 0.25, 0.5, 0.75, 0.95, 1};
  return shares;
}

std::vector<double> RoutingProfile::quantiles() const {
  std::vector<double> result;
  int64_t all = assignments();
  if (all == 0)
    return result;
  for (double share : quantileShares()) {
    if (share == 0 || share == 1) {
      result.push_back(share == 0 ? leastWeight : largestWeight);
      continue;
    }
    auto place = static_cast<int64_t>(std::ceil(share * all));
    int64_t before = 0;
    for (auto [bin, count] : weightBins) {
      before += count;
      if (before < place)
        continue;
      auto [begin, end] = edgesOf(bin);
      result.push_back(
          bin == 0 ? 0.0
                   : std::clamp((begin + end) / 2, leastWeight, largestWeight));
      break;
    }
  }
  return result;
}
