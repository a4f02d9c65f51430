//===- RoutingTables.cpp - Who does the work, as tables -------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "RoutingTables.h"
#include "Html.h"

#include <algorithm>
#include <numeric>

using namespace moe;
using namespace moe::report;

/// How many experts a row names.
static constexpr size_t mostNamed = 12;

static double sumOf(const std::vector<double> &values) {
  return std::accumulate(
      values.begin(), values.end(), 0.0,
      [](double sum, double value) { return sum + std::max(value, 0.0); });
}

/// "3, 1 and 12 more".
static std::string nameExperts(const std::vector<int64_t> &experts) {
  std::string text;
  for (size_t i = 0; i < experts.size(); ++i) {
    if (i == mostNamed && experts.size() > mostNamed + 1)
      return text + " and " + std::to_string(experts.size() - i) + " more";
    text += (i ? ", " : "") + std::to_string(experts[i]);
  }
  return text.empty() ? "-" : text;
}

static std::string describeShare(double part, double all) {
  return all > 0 ? fixed(100 * part / all, 1) + " %" : "-";
}

Table report::makeCommitteeTable(const RoutingReport &report,
                                 const std::vector<RoutingHealth> &health) {
  Table table{{"layer", "experts", "committee", "its share", "members"}, {}};
  for (size_t i = 0; i < report.records.size(); ++i) {
    const RoutingRecord &record = report.records[i];
    std::vector<double> sums(record.counts.begin(), record.counts.end());
    if (!record.weightSums.empty())
      sums = record.weightSums;
    double inside = 0;
    for (int64_t expert : health[i].committee)
      inside += std::max(sums[expert], 0.0);
    table.rows.push_back({record.layer, std::to_string(record.experts),
                          std::to_string(health[i].committee.size()),
                          describeShare(inside, sumOf(sums)),
                          nameExperts(health[i].committee)});
  }
  return table;
}

Table report::makeDensityTable(const RoutingReport &report) {
  Table table{{"layer", "weight", "density", "least", "largest"}, {}};
  for (const RoutingReport::Density &density : report.densities) {
    double least = 1, largest = 0;
    for (double expert : density.experts) {
      if (expert < 0)
        continue;
      least = std::min(least, expert);
      largest = std::max(largest, expert);
    }
    table.rows.push_back({density.layer, density.weight, fixed(density.all, 4),
                          fixed(least, 4), fixed(largest, 4)});
  }
  return table;
}

/// One row a layer.
static Table makeLoadTable(const RoutingReport &report,
                           const std::vector<RoutingHealth> &health) {
  Table table{{"layer", "tokens", "experts of a token", "effective experts",
               "busiest", "never chosen"},
              {}};
  for (size_t i = 0; i < report.records.size(); ++i) {
    const RoutingRecord &record = report.records[i];
    std::vector<int64_t> dead;
    size_t busiest = 0;
    for (size_t e = 0; e < record.counts.size(); ++e) {
      if (record.counts[e] == 0)
        dead.push_back(static_cast<int64_t>(e));
      if (record.counts[e] > record.counts[busiest])
        busiest = e;
    }
    int64_t all = record.assignments();
    table.rows.push_back(
        {record.layer, std::to_string(record.tokens),
         fixed(health[i].meanExperts, 2),
         (all ? fixed(health[i].effectiveExperts, 1) : std::string("-")) +
             " of " + std::to_string(record.experts),
         all ? std::to_string(busiest) + " (" +
                   describeShare(static_cast<double>(record.counts[busiest]),
                                 static_cast<double>(all)) +
                   ")"
             : "-",
         nameExperts(dead)});
  }
  return table;
}

std::string RoutingReport::text() const {
  std::vector<RoutingHealth> health;
  for (const RoutingRecord &record : records)
    health.push_back(RoutingHealth::of(record));
  std::string out;
  if (!records.empty())
    out += printTextTable(makeLoadTable(*this, health)) +
           "\nThe fewest experts with " +
           fixed(100 * RoutingHealth::committeeShare, 0) +
           " % of the weight:\n" +
           printTextTable(makeCommitteeTable(*this, health));
  if (!densities.empty())
    out += std::string(out.empty() ? "" : "\n") +
           "Values that are not 0, of what weights are multiplied with; least "
           "and largest of experts:\n" +
           printTextTable(makeDensityTable(*this));
  return out;
}
