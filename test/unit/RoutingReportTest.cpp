//===- RoutingReportTest.cpp - The routing report --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Report/RoutingReport.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace moe;

namespace {

RoutingRecord recordOf(std::vector<int64_t> counts, int64_t tokens,
                       int64_t slots) {
  RoutingRecord record;
  record.layer = "layer";
  record.tokens = tokens;
  record.experts = counts.size();
  record.slots = slots;
  record.counts = std::move(counts);
  record.tokensWith.assign(slots + 1, 0);
  record.tokensWith[slots] = tokens;
  return record;
}

TEST(RoutingReport, CountsIndices) {
  const int32_t indices[] = {2, 0, -1, -1, 0, 2};
  RoutingRecord record = RoutingRecord::fromIndices("l", 3, 3, 2, indices);
  EXPECT_EQ(record.counts, (std::vector<int64_t>{2, 0, 2}));
  EXPECT_EQ(record.tokensWith, (std::vector<int64_t>{1, 0, 2}));
  EXPECT_EQ(record.assignments(), 4);
  EXPECT_EQ(record.alwaysOn, 0);
}

TEST(RoutingReport, LeavesSharedExpertsOut) {
  // Expert 3 is in the last slot of every token.
  std::vector<int32_t> indices;
  for (int32_t t = 0; t < 9; ++t)
    indices.insert(indices.end(), {t % 3, 3});
  RoutingRecord known =
      RoutingRecord::fromIndices("l", 9, 4, 2, indices.data(), 3);
  RoutingRecord found =
      RoutingRecord::fromIndices("l", 9, 4, 2, indices.data());
  for (const RoutingRecord &record : {known, found}) {
    EXPECT_EQ(record.alwaysOn, 1);
    EXPECT_EQ(record.experts, 3);
    EXPECT_EQ(record.slots, 1);
    EXPECT_EQ(record.counts, (std::vector<int64_t>{3, 3, 3}));
    EXPECT_EQ(record.tokensWith, (std::vector<int64_t>{0, 9}));
  }
  // A few tokens agree by chance.
  EXPECT_EQ(RoutingRecord::fromIndices("l", 2, 4, 2, indices.data()).alwaysOn,
            0);
  // Said to be routed, it is.
  EXPECT_EQ(
      RoutingRecord::fromIndices("l", 9, 4, 2, indices.data(), 4).alwaysOn, 0);
}

TEST(RoutingReport, Health) {
  RoutingHealth even =
      RoutingHealth::of(recordOf({100, 100, 100, 100}, 200, 2));
  EXPECT_NEAR(even.entropy, 1.0, 1e-12);
  EXPECT_NEAR(even.effectiveExperts, 4.0, 1e-12);
  EXPECT_NEAR(even.maxViolation, 0.0, 1e-12);
  EXPECT_NEAR(even.gini, 0.0, 1e-12);
  EXPECT_EQ(even.collapse, 0);

  RoutingHealth one = RoutingHealth::of(recordOf({900, 0, 0, 0}, 900, 1));
  EXPECT_NEAR(one.effectiveExperts, 1.0, 1e-12);
  EXPECT_NEAR(one.maxViolation, 3.0, 1e-12);
  EXPECT_NEAR(one.gini, 0.75, 1e-12);
  EXPECT_NEAR(one.variation, std::sqrt(3.0), 1e-12);
  EXPECT_EQ(one.deadExperts, 3);
  EXPECT_EQ(one.collapse, 3);

  RoutingHealth few = RoutingHealth::of(recordOf({9, 0, 0, 0}, 9, 1));
  EXPECT_EQ(few.collapse, -1);
  EXPECT_EQ(few.tokensNeeded, 400);

  RoutingHealth none = RoutingHealth::of(recordOf({0, 0}, 0, 1));
  EXPECT_EQ(none.entropy, 0.0);
  EXPECT_EQ(none.gini, 0.0);
  EXPECT_EQ(none.deadExperts, 2);
  EXPECT_EQ(none.collapse, -1);

  // Everybody goes everywhere: nothing can be uneven.
  RoutingHealth all = RoutingHealth::of(recordOf({200, 200}, 200, 2));
  EXPECT_EQ(all.collapse, 0);
}

/// How often `part` is in `text`.
size_t countOf(const std::string &text, const std::string &part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at)
    ++count;
  return count;
}

/// From `from` up to `to`, or nothing.
std::string between(const std::string &text, const std::string &from,
                    const std::string &to) {
  size_t begin = text.find(from), end = text.find(to, begin);
  if (begin == std::string::npos || end == std::string::npos)
    return "";
  return text.substr(begin, end - begin);
}

TEST(RoutingReport, FitsItsWidthAndFoldsManyLayers) {
  for (size_t layers : {1, 16, 17, 48}) {
    RoutingReport report;
    for (size_t i = 0; i < layers; ++i) {
      RoutingRecord record =
          recordOf(std::vector<int64_t>(40, 100 + i), 2000, 2);
      record.layer = "layer_" + std::to_string(i);
      record.counts[3] += 40 * (layers - i);
      record.tokensWith[1] = 7;
      report.records.push_back(record);
    }
    std::string html = report.html();
    // Charts shrink with the page instead of being cut.
    EXPECT_NE(html.find("svg.chart{display:block;max-width:100%;height:auto"),
              std::string::npos);
    EXPECT_EQ(countOf(html, "<svg "), countOf(html, "viewBox="));
    for (const char *tag : {"details", "section", "div", "table", "figure"})
      EXPECT_EQ(countOf(html, std::string("<") + tag + ">") +
                    countOf(html, std::string("<") + tag + " "),
                countOf(html, std::string("</") + tag + ">"))
          << tag;

    bool isFolded = layers > 16;
    std::string all = between(html, "id=\"health\"", "</table>");
    EXPECT_EQ(countOf(all, "<th scope=\"row\">"), layers);
    std::string least = between(html, "id=\"least-even\"", "</table>");
    EXPECT_EQ(countOf(least, "<th scope=\"row\">"), isFolded ? 8u : 0u);
    // The first ones have the most of expert 3.
    EXPECT_EQ(least.find("layer_0<") != std::string::npos, isFolded);
    EXPECT_EQ(least.find("layer_9<"), std::string::npos);
    EXPECT_EQ(countOf(html, "<details>"), isFolded ? 4u : 2u);
    EXPECT_EQ(
        countOf(between(html, "<summary>Each layer", "</details>"), "<figure>"),
        isFolded ? layers : 0);
  }
}

TEST(RoutingReport, EscapesWhatItIsGiven) {
  RoutingReport report;
  report.title = "<script>alert('x')</script> & \"co\" \x01\xff";
  report.facts = {{"<b>", "</dd><script>"}};
  report.records.push_back(recordOf({1, 0}, 1, 1));
  report.records[0].layer = "\"><svg onload=x>";
  report.records[0].policy = "#a<b>";
  std::string page = report.html();
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<svg onload"), std::string::npos);
  EXPECT_EQ(page.find('\x01'), std::string::npos);
  EXPECT_EQ(page.find('\xff'), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(&#39;x&#39;)"), std::string::npos);
  EXPECT_NE(page.find("#a&lt;b&gt;"), std::string::npos);
}

TEST(RoutingReport, EmptyAndUnusual) {
  RoutingReport report;
  EXPECT_NE(report.html().find("No routing was recorded"), std::string::npos);
  // Layers of different sizes, one expert, a thousand of them.
  report.records = {recordOf({5}, 5, 1), recordOf({0, 0, 0}, 0, 2),
                    recordOf(std::vector<int64_t>(1024, 3), 192, 16)};
  std::string page = report.html();
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_EQ(page.find("inf"), std::string::npos);
  EXPECT_NE(page.find("1 to 1"), std::string::npos);
}

} // namespace
