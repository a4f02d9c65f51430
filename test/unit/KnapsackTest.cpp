//===- KnapsackTest.cpp - One option each within a budget ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Fit/Knapsack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace moe::fit;

namespace {

/// The least cost of all choices within the budget; infinite if there is none.
double tryAll(const std::vector<Item> &items, int64_t budget,
              size_t first = 0) {
  if (budget < 0)
    return INFINITY;
  if (first == items.size())
    return 0;
  double least = INFINITY;
  for (const Option &option : items[first])
    least = std::min(
        least, option.cost + tryAll(items, budget - option.bytes, first + 1));
  return least;
}

/// Items as formats make them, costs falling with bytes, or just anything.
std::vector<Item> makeItems(std::mt19937 &random, bool isSmooth) {
  auto below = [&](unsigned most) { return random() % most; };
  std::vector<Item> items(1 + below(6));
  for (Item &item : items) {
    double size = 1 + below(5);
    unsigned count = 1 + below(6);
    for (unsigned i = 0; i < count; ++i) {
      int64_t bytes = 1 + below(40);
      double cost = isSmooth ? size * std::exp2(-0.2 * bytes)
                             : static_cast<double>(below(1000)) / 7;
      item.push_back({bytes * static_cast<int64_t>(size), cost});
    }
  }
  return items;
}

void check(const std::vector<Item> &items, int64_t budget,
           const Choice &choice) {
  ASSERT_EQ(choice.options.size(), items.size());
  int64_t bytes = 0;
  double cost = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    bytes += items[i].at(choice.options[i]).bytes;
    cost += items[i].at(choice.options[i]).cost;
  }
  EXPECT_EQ(choice.bytes, bytes);
  EXPECT_NEAR(choice.cost, cost, 1e-9);
  EXPECT_LE(bytes, budget);
}

TEST(Knapsack, IsAsGoodAsTryingAll) {
  std::mt19937 random(1);
  int feasible = 0;
  for (int i = 0; i < 4000; ++i) {
    std::vector<Item> items = makeItems(random, i % 2);
    int64_t least = getLeastBytes(items);
    int64_t budget = least - 3 + static_cast<int64_t>(random() % 120);
    double expected = tryAll(items, budget);
    std::optional<Choice> choice = choose(items, budget);
    ASSERT_EQ(choice.has_value(), budget >= least);
    ASSERT_EQ(choice.has_value(), std::isfinite(expected));
    if (!choice)
      continue;
    ++feasible;
    check(items, budget, *choice);
    EXPECT_NEAR(choice->cost, expected, 1e-9);
    EXPECT_EQ(choice->gap, 0);
  }
  EXPECT_GT(feasible, 3000);
}

TEST(Knapsack, SaysHowGoodItIsWhenItDropsChoices) {
  std::mt19937 random(2);
  int inexact = 0;
  for (int i = 0; i < 1000; ++i) {
    std::vector<Item> items = makeItems(random, i % 2);
    int64_t budget = getLeastBytes(items) + static_cast<int64_t>(random() % 80);
    std::optional<Choice> choice = choose(items, budget, /*mostStates=*/2);
    ASSERT_TRUE(choice);
    check(items, budget, *choice);
    double expected = tryAll(items, budget);
    EXPECT_GE(choice->cost, expected - 1e-9);
    EXPECT_LE(choice->cost - choice->gap, expected + 1e-9);
    inexact += choice->cost > expected + 1e-9;
  }
  // Otherwise nothing was dropped, and nothing tested.
  EXPECT_GT(inexact, 0);
}

TEST(Knapsack, SolvesModelsOfManyLayers) {
  // Alike but for some per cent, as matrices of layers are.
  std::mt19937 random(3);
  std::vector<Item> items(120);
  for (Item &item : items)
    for (int bits = 2; bits < 18; ++bits)
      item.push_back({bits * 1000 + static_cast<int64_t>(random() % 100),
                      std::exp2(-2.0 * bits) * (100 + random() % 7)});
  std::optional<Choice> choice = choose(items, 120 * 4630);
  ASSERT_TRUE(choice);
  check(items, 120 * 4630, *choice);
  EXPECT_LE(choice->gap, 1e-3 * choice->cost);
}

TEST(Knapsack, TakesTheSmallerOfEquals) {
  std::optional<Choice> choice =
      choose({{{8, 1.0}, {4, 1.0}, {4, 1.0}}, {{5, 0.0}, {3, 0.0}}}, 100);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->options, (std::vector<size_t>{1, 1}));
}

} // namespace
