//===- RoutingReport.h - Routings as a page to look at ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Collects the routings of layers, as the trace hook of the runtime shows them,
// and writes them as one HTML page: load of experts, experts per token, health.
// The page needs nothing but itself: no scripts, fonts or styles from
// elsewhere.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REPORT_ROUTINGREPORT_H
#define MOE_MLIR_REPORT_ROUTINGREPORT_H

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace moe {

/// One routing of one layer.
struct RoutingRecord {
  /// What the page calls it.
  std::string layer;
  /// The policy as the IR writes it; empty when it is not known.
  std::string policy;
  /// Whether a slot can only be empty because an assignment was dropped.
  enum class Slots { Unknown, AllFilled, ChosenByToken };
  Slots slotUse = Slots::Unknown;

  int64_t tokens = 0, experts = 0, slots = 0;
  /// Assignments of each expert.
  std::vector<int64_t> counts;
  /// Sums of the weights of each expert; empty when they are not known.
  std::vector<double> weightSums;
  /// Number of tokens that go to k experts, for k = 0 ... slots.
  std::vector<int64_t> tokensWith;
  /// Experts behind the others that every token visits; they are in none of the
  /// numbers above.
  int64_t alwaysOn = 0;
  /// What made the router collapse, in words; empty if nobody knows, or if it
  /// has not.
  std::string cause;

  /// From the trace hook's arrays. `routedExperts` is how many experts the
  /// router chooses from; those behind them are always on. 0: whatever every
  /// token has in the last slots is.
  static RoutingRecord fromIndices(std::string layer, int64_t tokens,
                                   int64_t experts, int64_t slots,
                                   const int32_t *indices,
                                   int64_t routedExperts = 0,
                                   const float *weights = nullptr);

  int64_t assignments() const;
};

/// Numbers that say how evenly experts are used; see docs/routing-health.md.
struct RoutingHealth {
  double meanExperts = 0;      ///< Assignments of a token.
  double entropy = 0;          ///< H / ln E.
  double effectiveExperts = 0; ///< exp(H).
  double maxOverMean = 0;
  double maxViolation = 0; ///< MaxVio: max / mean - 1.
  double variation = 0;    ///< Standard deviation over mean.
  double gini = 0;
  int64_t deadExperts = 0;
  int64_t emptyTokens = 0; ///< Tokens without an expert.
  int64_t emptySlots = 0;
  /// -1: too few assignments to say; otherwise bit 0: load of few experts, bit
  /// 1: one expert has more than half of it.
  int collapse = -1;
  /// Tokens from which on `collapse` can be said.
  int64_t tokensNeeded = 0;
  /// The fewest experts with `committeeShare` of the summed weight, the one of
  /// the largest sum first, the lower of two equal; sums below 0 count as 0.
  /// Of assignments, where weights are not known.
  std::vector<int64_t> committee;
  static constexpr double committeeShare = 0.95;

  static RoutingHealth of(const RoutingRecord &record);
};

struct RoutingReport {
  /// What the page is about; a model's name.
  std::string title;
  /// Further lines of the header: name and text.
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<RoutingRecord> records;

  /// How many values that a matrix was multiplied with were not 0.
  struct Density {
    std::string layer, weight;
    double all = 1;
    /// Of each expert; below 0 where there were no rows.
    std::vector<double> experts;
  };
  /// Of matrices that met zeros.
  std::vector<Density> densities;

  std::string html() const;
  /// Tables to read in a terminal.
  std::string text() const;
};

} // namespace moe

#endif // MOE_MLIR_REPORT_ROUTINGREPORT_H
