//===- RoutingHealth.cpp - Numbers of a routing ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// From the indices of a routing to counts, and from counts to the numbers that
// `moe.balance` computes, too, here in double precision. The thresholds of a
// collapse are the defaults of #moe.collapse.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Report/RoutingReport.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace moe;

/// How many of the last experts every token has in its last slots.
static int64_t countAlwaysOn(int64_t tokens, int64_t experts, int64_t slots,
                             const int32_t *indices) {
  // A handful of tokens agree by chance.
  if (tokens < 8)
    return 0;
  int64_t count = 0;
  for (; count + 1 < slots; ++count)
    for (int64_t t = 0; t < tokens; ++t)
      if (indices[(t + 1) * slots - 1 - count] != experts - 1 - count)
        return count;
  return count;
}

RoutingRecord RoutingRecord::fromIndices(std::string layer, int64_t tokens,
                                         int64_t experts, int64_t slots,
                                         const int32_t *indices,
                                         int64_t routedExperts,
                                         const float *weights) {
  RoutingRecord record;
  record.layer = std::move(layer);
  record.tokens = tokens;
  record.alwaysOn = routedExperts > 0 && routedExperts <= experts
                        ? experts - routedExperts
                        : countAlwaysOn(tokens, experts, slots, indices);
  record.experts = experts - record.alwaysOn;
  record.slots = std::max<int64_t>(slots - record.alwaysOn, 0);
  record.counts.assign(record.experts, 0);
  if (weights)
    record.weightSums.assign(record.experts, 0.0);
  record.tokensWith.assign(record.slots + 1, 0);
  for (int64_t t = 0; t < tokens; ++t) {
    int64_t used = 0;
    for (int64_t s = 0; s < slots; ++s) {
      int32_t expert = indices[t * slots + s];
      if (expert < 0 || expert >= record.experts)
        continue;
      ++record.counts[expert];
      if (weights)
        record.weightSums[expert] += weights[t * slots + s];
      ++used;
    }
    ++record.tokensWith[std::min(used, record.slots)];
  }
  return record;
}

int64_t RoutingRecord::assignments() const {
  int64_t sum = 0;
  for (int64_t count : counts)
    sum += count;
  return sum;
}

static std::vector<int64_t> findCommittee(const RoutingRecord &record) {
  std::vector<double> sums(record.counts.begin(), record.counts.end());
  if (!record.weightSums.empty())
    sums = record.weightSums;
  std::vector<int64_t> order(sums.size());
  std::iota(order.begin(), order.end(), 0);
  double all = 0;
  for (double &sum : sums)
    all += sum = std::max(sum, 0.0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return sums[a] > sums[b]; });
  double sum = 0;
  size_t members = 0;
  for (; members < order.size() && sum < RoutingHealth::committeeShare * all;
       ++members)
    sum += sums[order[members]];
  order.resize(members);
  return order;
}

RoutingHealth RoutingHealth::of(const RoutingRecord &record) {
  constexpr double spread = 0.1, mostShare = 0.5;
  constexpr int64_t ratio = 4, leastAssignments = 100;

  RoutingHealth health;
  health.committee = findCommittee(record);
  int64_t experts = record.experts, total = record.assignments();
  health.emptyTokens = record.tokensWith.empty() ? 0 : record.tokensWith[0];
  health.emptySlots = record.tokens * record.slots - total;
  health.deadExperts =
      std::count(record.counts.begin(), record.counts.end(), 0);
  if (record.tokens)
    health.meanExperts = static_cast<double>(total) / record.tokens;

  double entropy = 0.0, largest = 0.0, squares = 0.0, gini = 0.0;
  std::vector<int64_t> sorted(record.counts);
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < experts; ++i) {
    double share = total ? static_cast<double>(sorted[i]) / total : 0.0;
    if (share > 0.0)
      entropy -= share * std::log(share);
    largest = std::max(largest, share);
    double gap = share * experts - (total ? 1.0 : 0.0);
    squares += gap * gap;
    gini += static_cast<double>(2 * (i + 1) - experts - 1) * share;
  }
  health.entropy = experts > 1 ? entropy / std::log(experts) : 1.0;
  health.effectiveExperts = std::exp(entropy);
  health.maxOverMean = largest * experts;
  health.maxViolation = health.maxOverMean - 1.0;
  if (experts) {
    health.variation = std::sqrt(squares / experts);
    health.gini = gini / experts;
  }

  double k = health.meanExperts;
  if (k > 0.0)
    health.tokensNeeded =
        static_cast<int64_t>(std::ceil(leastAssignments * experts / k));
  if (total < leastAssignments * experts)
    return health;
  health.collapse = 0;
  if (k < experts && health.effectiveExperts < k + spread * (experts - k))
    health.collapse |= 1;
  if (largest > mostShare && experts >= ratio * k)
    health.collapse |= 2;
  return health;
}
