//===- Knapsack.h - One option each within a budget ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The multiple-choice knapsack problem: of each item one of its options, so
// that all fit into so many bytes and cost the least in all.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_FIT_KNAPSACK_H
#define MOE_MLIR_FIT_KNAPSACK_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace moe::fit {

struct Option {
  int64_t bytes = 0;
  double cost = 0;
};

/// What an item may be; never empty.
using Item = std::vector<Option>;

struct Choice {
  /// The option of each item.
  std::vector<size_t> options;
  int64_t bytes = 0;
  double cost = 0;
  /// No choice costs less than `cost` by more than that; 0 of the best one.
  double gap = 0;
};

/// The bytes of the smallest options.
int64_t getLeastBytes(const std::vector<Item> &items);

/// The best choice within `budget`; nothing if even the smallest options are
/// more. Among equals that of the fewest bytes, then of the earlier options.
/// With more than `mostStates` partial choices in sight the most promising ones
/// are followed, and `gap` says what that may have cost.
std::optional<Choice> choose(const std::vector<Item> &items, int64_t budget,
                             size_t mostStates = size_t(1) << 16);

} // namespace moe::fit

#endif // MOE_MLIR_FIT_KNAPSACK_H
