//===- Statistics.h - Medians of repeated timings --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What repeated timings are condensed to, and how many repeats a row gets.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_STATISTICS_H
#define MOE_MLIR_RUN_STATISTICS_H

#include <algorithm>
#include <cstdint>
#include <vector>

namespace moe::run {

/// The middle value; of an even count, the mean of the two middle ones. 0 for
/// none.
inline double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  if (values.size() % 2)
    return values[middle];
  return 0.5 * (values[middle - 1] + values[middle]);
}

/// How often to run something that takes `seconds`: for about a second, at
/// least 7 times and at most 101, but not longer than `limit` seconds in all
/// where a round (it and what is interleaved with it) takes `roundSeconds`.
/// Always odd, so that the median is a time that was measured.
inline int chooseRepeats(double seconds, double roundSeconds, double limit) {
  auto atMost = [](double value, double bound) {
    return static_cast<int64_t>(std::min(value, bound));
  };
  int64_t wanted = atMost(1.0 / std::max(seconds, 1e-9), 100);
  wanted = std::max<int64_t>(wanted, 7);
  int64_t affordable = atMost(limit / std::max(roundSeconds, 1e-9), 1e6);
  return std::max<int64_t>(1, std::min(wanted, affordable)) | 1;
}

} // namespace moe::run

#endif // MOE_MLIR_RUN_STATISTICS_H
