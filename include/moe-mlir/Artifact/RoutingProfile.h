//===- RoutingProfile.h - What a router did ----------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Sums over the tokens that a router saw. All are of integers, or exact in
// double: two halves of the tokens, merged, give what all of them give.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_ROUTINGPROFILE_H
#define MOE_MLIR_ARTIFACT_ROUTINGPROFILE_H

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace moe {

struct RoutingProfile {
  /// E and K.
  int64_t experts = 0, slots = 0;
  int64_t tokens = 0;
  /// Assignments of each expert.
  std::vector<int64_t> counts;
  /// Sums of the weights of each expert, each rounded to a multiple of 2^-30,
  /// so that the order does not matter below 2^23.
  std::vector<double> weightSums;
  /// Tokens that go to k experts, for k = 0 ... K.
  std::vector<int64_t> tokensWith;
  /// Assignments by binOf() their weight.
  std::map<int32_t, int64_t> weightBins;
  /// The least and the largest weight, as f32; 0 without assignments.
  double leastWeight = 0, largestWeight = 0;
  /// Tokens that go to two experts i < j, where there are any.
  std::map<std::pair<int32_t, int32_t>, int64_t> pairs;

  RoutingProfile() = default;
  RoutingProfile(int64_t experts, int64_t slots)
      : experts(experts), slots(slots), counts(experts), weightSums(experts),
        tokensWith(slots + 1) {}

  /// Adds tokens: `indices` and `weights` are [tokens, slots], an index of -1
  /// marks an unused slot. False, and nothing added, if an index is out of
  /// range, twice in a row, or a weight is not finite.
  bool add(int64_t tokens, const int32_t *indices, const double *weights,
           std::string &error);

  /// Adds what another router of as many experts and slots did.
  void merge(const RoutingProfile &other);

  int64_t assignments() const;

  /// Weights that the shares of `quantileShares` of the assignments are not
  /// above: the middle of the bin of the assignment in that place, not beyond
  /// the least and the largest. None without assignments.
  std::vector<double> quantiles() const;
  static const std::vector<double> &quantileShares();

  /// The bin of a weight: of its f32 bits all but the last 20, which are
  /// eight bins for each power of two; below zero, -1 - that of the magnitude.
  static int32_t binOf(double weight);
  /// Where a bin begins and ends; the smaller one first.
  static std::pair<double, double> edgesOf(int32_t bin);
};

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_ROUTINGPROFILE_H
