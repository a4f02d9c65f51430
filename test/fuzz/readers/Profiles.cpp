//===- Profiles.cpp - Profiles ----------------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Reader.h"

#include "moe-mlir/Artifact/Profile.h"

#include "llvm/Support/raw_ostream.h"

using namespace moe;

static std::string write(const Profile &profile) {
  std::string text;
  llvm::raw_string_ostream os(text);
  writeProfile(os, profile);
  return text;
}

/// What is accepted is read as it is written, and can be added up.
void fuzz::readProfile(std::string_view bytes) {
  Profile profile, again, sum;
  std::string error;
  std::string path = asFile(bytes, "in.json");
  if (!moe::readProfile(path, profile, error))
    return checkRefusal(error, bytes);
  std::string text = write(profile);
  path = asFile(text, "out.json");
  if (!moe::readProfile(path, again, error))
    fail("refuses what it wrote: " + error);
  if (write(again) != text)
    fail("does not write again what it read");
  sum = again;
  if (!sum.merge(profile, error))
    fail("refuses the sum of a profile with itself: " + error);
  for (size_t f = 0; f < sum.functions.size(); ++f)
    for (size_t i = 0; i < sum.functions[f].routings.size(); ++i) {
      const RoutingProfile &twice = sum.functions[f].routings[i];
      const RoutingProfile &once = profile.functions[f].routings[i];
      if (twice.assignments() != 2 * once.assignments() ||
          twice.quantiles() != once.quantiles())
        fail("a sum of two that is not twice the one");
    }
}

std::vector<std::string> fuzz::profileSeeds() {
  return {R"({"schema": "moe-profile", "version": 1, "functions": [
    {"name": "layer_0", "weights": [{"name": "down", "columns": 2, "experts": [
      {"rows": 3, "mean_squares": [0.5, 2], "nonzero": 5},
      {"rows": 0, "mean_squares": []}]}],
     "routings": [{"experts": 3, "slots": 2, "tokens": 4, "assignments": 6,
       "counts": [3, 2, 1], "weight_sums": [1.5, 0.25, -0.5],
       "tokens_with": [0, 2, 2], "pairs": [[0, 1, 1], [0, 2, 1]],
       "weights": {"least": -0.5, "largest": 0.75, "quantiles": [],
         "bins": [[-1009, 1], [992, 2], [1008, 2], [1012, 1]]}}]},
    {"name": "layer_1", "weights": []}]})",
          R"({"schema":"moe-profile","version":1,"functions":[]})"};
}
