//===- Knapsack.cpp - One option each within a budget -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Partial choices are extended by one item after another. One that has as many
// bytes as another and costs more is dropped, and so is one that cannot become
// better than what a greedy choice found: a price for a byte, that of the
// linear relaxation, bounds what the rest costs at least.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Fit/Knapsack.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace moe::fit;

namespace {

/// An option that is worth its bytes, by its number.
struct Candidate {
  size_t number;
  int64_t bytes;
  double cost;
};

/// From one option of an item to a larger and better one.
struct Step {
  size_t item;
  size_t to;
  int64_t bytes;
  double gain;
};

struct State {
  int64_t bytes;
  double cost;
  /// In the states before, and the candidate that was added.
  size_t parent, candidate;
};

} // namespace

/// Options that cost less than all that are smaller.
static std::vector<Candidate> getCandidates(const Item &item) {
  std::vector<Candidate> all;
  for (size_t i = 0; i < item.size(); ++i)
    all.push_back({i, item[i].bytes, item[i].cost});
  std::stable_sort(
      all.begin(), all.end(), [](const Candidate &a, const Candidate &b) {
        return a.bytes != b.bytes ? a.bytes < b.bytes : a.cost < b.cost;
      });
  std::vector<Candidate> kept;
  for (const Candidate &each : all)
    if (kept.empty() || each.cost < kept.back().cost)
      kept.push_back(each);
  return kept;
}

/// The steps between candidates on the convex hull, with ever less gain a byte.
static void addSteps(const std::vector<Candidate> &candidates, size_t item,
                     std::vector<Step> &steps) {
  auto gainPerByte = [&](size_t from, size_t to) {
    return (candidates[from].cost - candidates[to].cost) /
           static_cast<double>(candidates[to].bytes - candidates[from].bytes);
  };
  std::vector<size_t> hull;
  for (size_t i = 0; i < candidates.size(); ++i) {
    while (hull.size() > 1 &&
           gainPerByte(hull[hull.size() - 2], i) >=
               gainPerByte(hull[hull.size() - 2], hull.back()))
      hull.pop_back();
    hull.push_back(i);
  }
  for (size_t i = 1; i < hull.size(); ++i)
    steps.push_back({item, hull[i],
                     candidates[hull[i]].bytes - candidates[hull[i - 1]].bytes,
                     candidates[hull[i - 1]].cost - candidates[hull[i]].cost});
}

namespace {

class Solver {
public:
  Solver(const std::vector<Item> &items, int64_t budget, size_t mostStates)
      : budget(budget), mostStates(mostStates) {
    for (const Item &item : items)
      candidates.push_back(getCandidates(item));
  }

  Choice run() {
    findGreedy();
    findBounds();
    std::vector<std::vector<State>> layers = {{{0, 0, 0, 0}}};
    for (size_t i = 0; i < candidates.size(); ++i)
      layers.push_back(extend(layers.back(), i));
    const std::vector<State> &last = layers.back();
    // By bytes, and the last costs the least.
    if (!last.empty() && isBetter(last.back().cost, last.back().bytes)) {
      size_t at = last.size() - 1;
      for (size_t i = candidates.size(); i > 0; --i) {
        const State &state = layers[i][at];
        best[i - 1] = state.candidate;
        at = state.parent;
      }
    }
    return finish();
  }

private:
  bool isBetter(double cost, int64_t bytes) const {
    return cost < bestCost || (cost == bestCost && bytes < bestBytes);
  }

  /// The steps of most gain for a byte that fit. The first that does not says
  /// what a byte is worth.
  void findGreedy() {
    best.assign(candidates.size(), 0);
    for (const std::vector<Candidate> &each : candidates) {
      bestBytes += each.front().bytes;
      bestCost += each.front().cost;
    }
    std::vector<Step> steps;
    for (size_t i = 0; i < candidates.size(); ++i)
      addSteps(candidates[i], i, steps);
    auto worth = [](const Step &step) {
      return step.gain / static_cast<double>(step.bytes);
    };
    std::stable_sort(
        steps.begin(), steps.end(),
        [&](const Step &a, const Step &b) { return worth(a) > worth(b); });
    // Behind a step that did not fit the later ones of its item wait.
    std::vector<bool> isStuck(candidates.size());
    for (const Step &step : steps) {
      if (isStuck[step.item])
        continue;
      if (bestBytes + step.bytes > budget) {
        if (price == 0)
          price = worth(step);
        isStuck[step.item] = true;
        continue;
      }
      best[step.item] = step.to;
      bestBytes += step.bytes;
      bestCost -= step.gain;
    }
    // Without the rounding of sums of steps.
    bestCost = 0;
    for (size_t i = 0; i < candidates.size(); ++i)
      bestCost += candidates[i][best[i]].cost;
  }

  /// Of the items from each on: bytes at least, and cost and price of bytes.
  void findBounds() {
    size_t count = candidates.size();
    restBytes.assign(count + 1, 0);
    restCost.assign(count + 1, 0);
    for (size_t i = count; i > 0; --i) {
      double least = std::numeric_limits<double>::infinity();
      for (const Candidate &each : candidates[i - 1])
        least = std::min(least,
                         each.cost + price * static_cast<double>(each.bytes));
      restBytes[i - 1] = restBytes[i] + candidates[i - 1].front().bytes;
      restCost[i - 1] = restCost[i] + least;
    }
  }

  /// What a choice costs at least that has so much from the items before
  /// `next`.
  double bound(const State &state, size_t next) const {
    return state.cost + restCost[next] -
           price * static_cast<double>(budget - state.bytes);
  }

  std::vector<State> extend(const std::vector<State> &states, size_t item) {
    std::vector<State> all;
    // Rounding of a bound must not drop what is as good.
    double limit = bestCost + 1e-12 * (std::abs(bestCost) +
                                       price * static_cast<double>(budget));
    for (size_t parent = 0; parent < states.size(); ++parent)
      for (size_t i = 0; i < candidates[item].size(); ++i) {
        const Candidate &each = candidates[item][i];
        State state{states[parent].bytes + each.bytes,
                    states[parent].cost + each.cost, parent, i};
        if (state.bytes + restBytes[item + 1] <= budget &&
            bound(state, item + 1) <= limit)
          all.push_back(state);
      }
    std::stable_sort(
        all.begin(), all.end(), [](const State &a, const State &b) {
          return a.bytes != b.bytes ? a.bytes < b.bytes : a.cost < b.cost;
        });
    std::vector<State> kept;
    for (const State &state : all)
      if (kept.empty() || state.cost < kept.back().cost)
        kept.push_back(state);
    if (kept.size() > mostStates)
      thin(kept, item + 1);
    return kept;
  }

  void thin(std::vector<State> &states, size_t next) {
    std::vector<double> bounds;
    for (const State &state : states)
      bounds.push_back(bound(state, next));
    std::vector<double> sorted = bounds;
    std::nth_element(sorted.begin(), sorted.begin() + mostStates, sorted.end());
    // What is dropped may have been this good.
    double limit = sorted[mostStates];
    dropped = std::min(dropped, limit);
    size_t ties =
        mostStates - std::count_if(bounds.begin(), bounds.end(),
                                   [&](double each) { return each < limit; });
    std::vector<State> kept;
    for (size_t i = 0; i < states.size(); ++i) {
      bool isTie = bounds[i] == limit && ties > 0;
      ties -= isTie;
      if (bounds[i] < limit || isTie)
        kept.push_back(states[i]);
    }
    states = std::move(kept);
  }

  Choice finish() const {
    Choice choice;
    for (size_t i = 0; i < candidates.size(); ++i) {
      const Candidate &each = candidates[i][best[i]];
      choice.options.push_back(each.number);
      choice.bytes += each.bytes;
      choice.cost += each.cost;
    }
    choice.gap = std::max(0.0, choice.cost - dropped);
    return choice;
  }

  int64_t budget;
  size_t mostStates;
  std::vector<std::vector<Candidate>> candidates;
  std::vector<size_t> best;
  int64_t bestBytes = 0;
  double bestCost = 0, price = 0;
  std::vector<int64_t> restBytes;
  std::vector<double> restCost;
  double dropped = std::numeric_limits<double>::infinity();
};

} // namespace

int64_t moe::fit::getLeastBytes(const std::vector<Item> &items) {
  int64_t bytes = 0;
  for (const Item &item : items)
    bytes += std::min_element(item.begin(), item.end(),
                              [](const Option &a, const Option &b) {
                                return a.bytes < b.bytes;
                              })
                 ->bytes;
  return bytes;
}

std::optional<Choice> moe::fit::choose(const std::vector<Item> &items,
                                       int64_t budget, size_t mostStates) {
  if (getLeastBytes(items) > budget)
    return std::nullopt;
  return Solver(items, budget, mostStates).run();
}
