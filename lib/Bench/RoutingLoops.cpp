//===- RoutingLoops.cpp - Routing in plain C++ -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The baseline: loops that a compiler may vectorize for the CPU it runs on,
// with scores in the layout that is best for them, and no intrinsics.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Routing.h"

#include "moe-mlir/Run/MachineLimits.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace moe;
using namespace moe::bench;
using namespace moe::run;

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MOE_CLONES                                                             \
  __attribute__((target_clones("arch=skylake-avx512", "avx2", "default"),      \
                 optimize("O3")))
#else
#define MOE_CLONES
#endif

/// Who fires, and the best expert of those for whom none does; then one list
/// after another, without branches on data.
MOE_CLONES static void topAny(const RoutingCase &what, const float *scores,
                              const float *thresholds, int32_t *fallback,
                              float *best, int32_t *offsets, int32_t *tokens) {
  const int64_t n = what.tokens;
  std::fill(fallback, fallback + n, 0);
  std::fill(best, best + n, -std::numeric_limits<float>::infinity());
  // The best expert where none fired yet; -1 once one has.
  for (int64_t e = 0; e < what.experts; ++e) {
    const float *row = scores + e * n;
    for (int64_t t = 0; t < n; ++t) {
      bool fires = row[t] > thresholds[e];
      bool better = row[t] > best[t];
      int32_t id = better ? static_cast<int32_t>(e) : fallback[t];
      fallback[t] = fires || fallback[t] < 0 ? -1 : id;
      best[t] = better ? row[t] : best[t];
    }
  }
  int32_t count = 0;
  for (int64_t e = 0; e < what.experts; ++e) {
    offsets[e] = count;
    const float *row = scores + e * n;
    for (int64_t t = 0; t < n; ++t) {
      tokens[count] = t;
      count += (row[t] > thresholds[e]) | (fallback[t] == e);
    }
  }
  offsets[what.experts] = count;
}

static bool isBefore(float a, float b) {
  return a > b || (std::isnan(b) && !std::isnan(a));
}

/// The best `k` of `experts` by insertion.
static void insertBest(const float *row, int64_t experts, int64_t k,
                       const bool *taken, int32_t *chosen) {
  float values[64];
  int64_t have = 0;
  for (int64_t e = 0; e < experts; ++e) {
    float value =
        taken && !taken[e] ? -std::numeric_limits<float>::infinity() : row[e];
    if (have == k && !isBefore(value, values[k - 1]))
      continue;
    int64_t at = have < k ? have++ : k - 1;
    for (; at > 0 && isBefore(value, values[at - 1]); --at) {
      values[at] = values[at - 1];
      chosen[at] = chosen[at - 1];
    }
    values[at] = value;
    chosen[at] = e;
  }
}

static void keepGroups(const RoutingCase &what, const float *row, bool *taken) {
  const int64_t size = what.experts / what.groups;
  std::vector<float> scores(what.groups);
  for (int64_t g = 0; g < what.groups; ++g) {
    float first = -std::numeric_limits<float>::infinity(), second = first;
    for (int64_t i = 0; i < size; ++i) {
      float value = row[g * size + i];
      second = std::max(second, std::min(first, value));
      first = std::max(first, value);
    }
    scores[g] = first + second;
  }
  std::vector<int32_t> kept(what.keptGroups);
  insertBest(scores.data(), what.groups, what.keptGroups, nullptr, kept.data());
  std::fill(taken, taken + what.experts, false);
  for (int32_t g : kept)
    std::fill(taken + g * size, taken + (g + 1) * size, true);
}

void bench::routePlainly(const RoutingCase &what, const float *scores,
                         const float *thresholds, RoutingLists &lists) {
  const int64_t n = what.tokens;
  lists.offsets.assign(what.experts + 1, 0);
  if (what.kind == RoutingCase::TopAny) {
    // One more: an entry is written before it is known to count.
    lists.tokens.resize(n * what.experts + 1);
    std::vector<int32_t> fallback(n);
    std::vector<float> best(n);
    topAny(what, scores, thresholds, fallback.data(), best.data(),
           lists.offsets.data(), lists.tokens.data());
    return;
  }
  std::vector<int32_t> chosen(n * what.slots);
  std::vector<char> taken(what.experts);
  for (int64_t t = 0; t < n; ++t) {
    const float *row = scores + t * what.experts;
    auto *mask = reinterpret_cast<bool *>(taken.data());
    bool grouped = what.kind == RoutingCase::GroupTopK;
    if (grouped)
      keepGroups(what, row, mask);
    insertBest(row, what.experts, what.slots, grouped ? mask : nullptr,
               &chosen[t * what.slots]);
  }
  for (int32_t e : chosen)
    ++lists.offsets[e + 1];
  for (int64_t e = 0; e < what.experts; ++e)
    lists.offsets[e + 1] += lists.offsets[e];
  std::vector<int32_t> next(lists.offsets.begin(), lists.offsets.end() - 1);
  lists.tokens.resize(chosen.size());
  for (int64_t t = 0; t < n; ++t)
    for (int64_t s = 0; s < what.slots; ++s)
      lists.tokens[next[chosen[t * what.slots + s]]++] = t;
}
