//===- Ranges.cpp - Ranges of experts in several formats ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Ranges.h"

#include <algorithm>
#include <limits>
#include <numeric>

using namespace moe::fit;

/// A range more has to spare so many parts of what is lost and paid for.
static constexpr double kRangePart = 0.01;

/// The cheapest segments when a byte costs `price`, and a range more `fee`.
static Segments findCheapest(const std::vector<int64_t> &bytes,
                             const std::vector<std::vector<double>> &losses,
                             size_t most, double price, double fee) {
  size_t types = bytes.size(), experts = losses.front().size();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  // For each expert, number of ranges so far and type: the least cost, and the
  // type of the expert before it.
  struct State {
    double cost = infinity;
    size_t before = 0;
  };
  std::vector<std::vector<State>> table(experts,
                                        std::vector<State>(most * types));
  for (size_t e = 0; e < experts; ++e)
    for (size_t r = 0; r < most; ++r)
      for (size_t t = 0; t < types; ++t) {
        State &state = table[e][r * types + t];
        double own = losses[t][e] + price * static_cast<double>(bytes[t]);
        if (e == 0) {
          state = {r == 0 ? own : infinity, t};
          continue;
        }
        state = {table[e - 1][r * types + t].cost + own, t};
        for (size_t other = 0; r > 0 && other < types; ++other) {
          double cost = table[e - 1][(r - 1) * types + other].cost + own + fee;
          if (other != t && cost < state.cost)
            state = {cost, other};
        }
      }
  std::vector<State> &last = table.back();
  size_t at = std::min_element(last.begin(), last.end(),
                               [](const State &a, const State &b) {
                                 return a.cost < b.cost;
                               }) -
              last.begin();
  size_t r = at / types, t = at % types;
  Segments segments;
  for (size_t e = experts; e-- > 0;) {
    size_t before = table[e][r * types + t].before;
    bool isFirst = e == 0 || before != t;
    if (isFirst)
      segments.insert(segments.begin(), {static_cast<int64_t>(e), t});
    if (e > 0 && before != t)
      --r;
    t = before;
  }
  return segments;
}

std::vector<Segments>
moe::fit::findSegments(const std::vector<int64_t> &bytes,
                       const std::vector<std::vector<double>> &losses,
                       size_t most) {
  std::vector<Segments> found;
  if (losses.empty() || losses.front().size() < 2)
    return found;
  auto experts = static_cast<double>(losses.front().size());
  std::vector<double> sums;
  for (const std::vector<double> &each : losses)
    sums.push_back(std::accumulate(each.begin(), each.end(), 0.0));
  std::vector<double> prices;
  for (size_t a = 0; a < bytes.size(); ++a)
    for (size_t b = 0; b < bytes.size(); ++b)
      if (bytes[a] < bytes[b] && sums[a] > sums[b])
        prices.push_back((sums[a] - sums[b]) /
                         (experts * static_cast<double>(bytes[b] - bytes[a])));
  std::sort(prices.begin(), prices.end());
  prices.erase(std::unique(prices.begin(), prices.end()), prices.end());
  for (double price : prices) {
    double all = std::numeric_limits<double>::infinity();
    for (size_t t = 0; t < bytes.size(); ++t)
      all = std::min(all,
                     sums[t] + price * experts * static_cast<double>(bytes[t]));
    Segments segments =
        findCheapest(bytes, losses, most, price, kRangePart * all);
    if (segments.size() > 1 &&
        std::find(found.begin(), found.end(), segments) == found.end())
      found.push_back(std::move(segments));
  }
  return found;
}
