//===- Summary.cpp - What a profile says, for people ----------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Profile/Summary.h"

using namespace moe;

static RoutingRecord makeRecord(std::string layer, const RoutingProfile &seen) {
  RoutingRecord record;
  record.layer = std::move(layer);
  record.tokens = seen.tokens;
  record.experts = seen.experts;
  record.slots = seen.slots;
  record.counts = seen.counts;
  record.weightSums = seen.weightSums;
  record.tokensWith = seen.tokensWith;
  return record;
}

RoutingReport moe::profile::summarize(const Profile &profile) {
  RoutingReport report;
  for (const Profile::Function &function : profile.functions) {
    for (size_t i = 0; i < function.routings.size(); ++i) {
      std::string number =
          function.routings.size() > 1 ? " #" + std::to_string(i + 1) : "";
      report.records.push_back(
          makeRecord(function.name + number, function.routings[i]));
    }
    for (const Profile::Weight &weight : function.weights) {
      std::optional<double> all = weight.density();
      if (!all || *all == 1)
        continue;
      RoutingReport::Density density{function.name, weight.name, *all, {}};
      for (size_t e = 0; e < weight.experts.size(); ++e)
        density.experts.push_back(weight.density(e).value_or(-1));
      report.densities.push_back(std::move(density));
    }
  }
  return report;
}
