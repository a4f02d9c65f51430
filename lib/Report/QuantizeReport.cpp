//===- QuantizeReport.cpp - What conversions of weights cost ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Report/QuantizeReport.h"

#include "Html.h"
#include "Table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace moe;
using namespace moe::report;
using Weight = QuantizeReport::Weight;

//===----------------------------------------------------------------------===//
// Figures
//===----------------------------------------------------------------------===//

void WeightError::add(const WeightError &other) {
  count += other.count;
  largest = std::max(largest, other.largest);
  errors += other.errors;
  given += other.given;
  stored += other.stored;
  products += other.products;
  weightedErrors += other.weightedErrors;
  weightedGiven += other.weightedGiven;
}

/// The root of a part; of nothing, nothing is lost.
static double rootOf(double part, double whole) {
  return whole > 0 ? std::sqrt(part / whole) : part > 0 ? INFINITY : 0;
}

double WeightError::rms() const {
  return rootOf(errors, static_cast<double>(count));
}
double WeightError::relative() const { return rootOf(errors, given); }
double WeightError::weighted() const {
  return rootOf(weightedErrors, weightedGiven);
}
double WeightError::cosine() const {
  double sizes = std::sqrt(given) * std::sqrt(stored);
  return sizes > 0 ? products / sizes : given == stored ? 1 : 0;
}

WeightError Weight::all() const {
  WeightError sum;
  for (const WeightError &expert : experts)
    sum.add(expert);
  return sum;
}

double Weight::bits() const {
  double count = static_cast<double>(rows) * columns * experts.size();
  return count > 0 ? 8.0 * bytesTo / count : 0;
}

size_t Weight::worst() const {
  size_t worst = 0;
  for (size_t i = 1; i < experts.size(); ++i)
    if (experts[i].relative() > experts[worst].relative())
      worst = i;
  return worst;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

static std::string figure(const char *format, double value) {
  char text[32];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

static std::string nameOf(const Weight &weight, bool hasFunctions) {
  return hasFunctions ? weight.function + "/" + weight.name : weight.name;
}

static void addFigures(std::vector<std::string> &row, const WeightError &error,
                       bool hasImportance, bool isWeighted) {
  row.push_back(figure("%.3g", error.largest));
  row.push_back(figure("%.3g", error.rms()));
  row.push_back(figure("%.3f %%", 100 * error.relative()));
  row.push_back(figure("%.6f", error.cosine()));
  if (hasImportance)
    row.push_back(isWeighted ? figure("%.3f %%", 100 * error.weighted()) : "-");
}

static bool hasFunctions(const QuantizeReport &report) {
  for (const Weight &weight : report.weights)
    if (weight.function != report.weights.front().function)
      return true;
  return false;
}

static bool hasImportance(const QuantizeReport &report) {
  for (const Weight &weight : report.weights)
    if (weight.hasImportance)
      return true;
  return false;
}

static Table makeTable(const QuantizeReport &report, bool eachExpert) {
  Table table{{"weight", "from", "to", "bits", "max error", "RMS error",
               "relative", "cosine"},
              {}};
  bool isWeighted = hasImportance(report);
  if (isWeighted)
    table.header.push_back("of product");
  table.header.push_back("worst expert");
  bool named = hasFunctions(report);
  for (const Weight &weight : report.weights) {
    std::vector<std::string> row = {nameOf(weight, named), weight.from,
                                    weight.to, fixed(weight.bits(), 2)};
    addFigures(row, weight.all(), isWeighted, weight.hasImportance);
    bool hasExperts = weight.experts.size() > 1;
    row.push_back(
        hasExperts ? std::to_string(weight.worst()) + ": " +
                         figure("%.3f %%",
                                100 * weight.experts[weight.worst()].relative())
                   : "-");
    table.rows.push_back(std::move(row));
    for (size_t i = 0; eachExpert && hasExperts && i < weight.experts.size();
         ++i) {
      row = {"  expert " + std::to_string(i), "", "", ""};
      addFigures(row, weight.experts[i], isWeighted, weight.hasImportance);
      row.push_back("");
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

static std::string describeSize(const QuantizeReport &report) {
  double from = 0, to = 0;
  for (const Weight &weight : report.weights) {
    from += weight.bytesFrom;
    to += weight.bytesTo;
  }
  return counted(report.weights.size(), "weight") + ", " + scaled(from, "B") +
         " to " + scaled(to, "B");
}

std::string moe::printText(const QuantizeReport &report, bool eachExpert) {
  if (report.weights.empty())
    return "nothing to convert\n";
  return printTextTable(makeTable(report, eachExpert)) + describeSize(report) +
         "\n";
}

//===----------------------------------------------------------------------===//
// A page
//===----------------------------------------------------------------------===//

std::string moe::printHtml(const QuantizeReport &report) {
  std::vector<Fact> facts;
  for (const auto &[name, value] : report.facts)
    facts.push_back({name, value});
  facts.push_back({"Weights", describeSize(report)});
  std::string title = report.title.empty() ? "model" : report.title;
  std::string out = beginPage(title + ": errors of weights",
                              "Quantisation report", title, facts);
  out += "<section><h2>Weights</h2>\n" +
         printHtmlTable(makeTable(report, /*eachExpert=*/false)) +
         "</section>\n";
  return out + endPage();
}
