//===- QuantizeReport.cpp - What conversions of weights cost ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Report/QuantizeReport.h"

#include "Charts.h"
#include "Html.h"
#include "Svg.h"
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
double WeightError::kept() const { return given > 0 ? 1 - errors / given : 1; }
double WeightError::weightedKept() const {
  return weightedGiven > 0 ? 1 - weightedErrors / weightedGiven : 1;
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

std::string moe::printKept(const QuantizeReport &report, bool eachExpert) {
  if (report.weights.empty())
    return "nothing to convert\n";
  Table table{{"weight", "from", "to", "bits", "kept energy"}, {}};
  bool isWeighted = hasImportance(report), named = hasFunctions(report);
  if (isWeighted)
    table.header.push_back("of product");
  table.header.push_back("least of an expert");
  auto addKept = [&](std::vector<std::string> row, const WeightError &error,
                     bool hasImportance, const std::string &least) {
    row.push_back(figure("%.3f %%", 100 * error.kept()));
    if (isWeighted)
      row.push_back(
          hasImportance ? figure("%.3f %%", 100 * error.weightedKept()) : "-");
    row.push_back(least);
    table.rows.push_back(std::move(row));
  };
  for (const Weight &weight : report.weights) {
    size_t worst = weight.worst();
    bool hasExperts = weight.experts.size() > 1;
    addKept({nameOf(weight, named), weight.from, weight.to,
             fixed(weight.bits(), 2)},
            weight.all(), weight.hasImportance,
            hasExperts
                ? std::to_string(worst) + ": " +
                      figure("%.3f %%", 100 * weight.experts[worst].kept())
                : "-");
    for (size_t i = 0; eachExpert && hasExperts && i < weight.experts.size();
         ++i)
      addKept({"  expert " + std::to_string(i), "", "", ""}, weight.experts[i],
              weight.hasImportance, "");
  }
  return printTextTable(table) + describeSize(report) + "\n";
}

//===----------------------------------------------------------------------===//
// A page
//===----------------------------------------------------------------------===//

/// The error of each weight as a bar, and of its experts as a range on it.
static std::string drawErrors(const QuantizeReport &report) {
  constexpr double width = 620, height = 18, gap = 6, top = 4;
  bool named = hasFunctions(report);
  double most = 0;
  size_t nameLength = 1;
  for (const Weight &weight : report.weights) {
    most = std::max({most, weight.all().relative(),
                     weight.experts[weight.worst()].relative()});
    nameLength =
        std::max(nameLength, shortened(nameOf(weight, named), 32).size());
  }
  double left = 14.0 + 6.6 * nameLength, y = top;
  double scale = most > 0 ? width / most : 0;
  std::string out = openSvg(
      left + width + 190, top + (height + gap) * report.weights.size(),
      "Relative error of each weight; the numbers are in the table above it");
  for (const Weight &weight : report.weights) {
    double error = weight.all().relative(), least = error, largest = error;
    for (const WeightError &expert : weight.experts) {
      least = std::min(least, expert.relative());
      largest = std::max(largest, expert.relative());
    }
    std::string name = nameOf(weight, named);
    std::string words = name + " in " + weight.to + ": " +
                        figure("%.3f %%", 100 * error) + ", of experts " +
                        figure("%.3f %%", 100 * least) + " to " +
                        figure("%.3f %%", 100 * largest);
    double middle = y + height / 2;
    out += text("end", left - 8, y + 13,
                title(name) + escape(shortened(name, 32))) +
           rect("bar", left, y, scale * error, height) + ">" + title(words) +
           "</rect><line class=\"range\" x1=\"" +
           coordinate(left + scale * least) + "\" x2=\"" +
           coordinate(left + scale * largest) + "\" y1=\"" +
           coordinate(middle) + "\" y2=\"" + coordinate(middle) + "\"/>" +
           text("", left + scale * largest + 8, y + 13,
                escape(weight.to + ", " + figure("%.3g %%", 100 * error))) +
           "\n";
    y += height + gap;
  }
  return out + "</svg>\n";
}

/// Errors of experts, from 1/sqrt(2) of that of their weight to sqrt(2) times
/// that.
static std::vector<HeatRow> makeRows(const QuantizeReport &report) {
  constexpr double octaves = 1;
  bool named = hasFunctions(report);
  std::vector<HeatRow> rows;
  for (const Weight &weight : report.weights) {
    if (weight.experts.size() < 2)
      continue;
    HeatRow row{nameOf(weight, named), {}};
    double all = weight.all().relative();
    for (size_t e = 0; e < weight.experts.size(); ++e) {
      const WeightError &error = weight.experts[e];
      double ratio = all > 0 ? error.relative() / all : 1;
      row.cells.push_back({levelOf(ratio, octaves),
                           row.name + ", expert " + std::to_string(e) + ": " +
                               figure("%.3f %%", 100 * error.relative()) +
                               ", max " + figure("%.3g", error.largest) +
                               ", RMS " + figure("%.3g", error.rms()) +
                               ", cosine " + figure("%.6f", error.cosine()),
                           figure("%.3g", 100 * error.relative())});
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

static std::string printExperts(const QuantizeReport &report) {
  std::vector<HeatRow> rows = makeRows(report);
  if (rows.empty())
    return "";
  return "<section><h2>Experts</h2>\n<p class=\"note\">Relative error of each "
         "expert, in per cent where there is room; the colour is what it is to "
         "that of the whole weight. Point at a cell for its numbers.</p>\n"
         "<div class=\"scroll\">\n" +
         drawHeatMap(rows, "Heat map of the error of each expert of each "
                           "weight; the numbers are in the table below it") +
         "</div>\n<div class=\"legend scroll\">\n" +
         drawLegend(
             "Colour scale: from 0.7 of the error of the whole weight or "
             "less to 1.4 times that or more",
             {{0, "\xE2\x89\xA4 0.71"},
              {4, "0.84"},
              {8, "1 = weight"},
              {12, "1.19"},
              {16, "\xE2\x89\xA5 1.41"}}) +
         "</div>\n<details><summary>Each expert as a table</summary>\n" +
         printHtmlTable(makeTable(report, /*eachExpert=*/true)) +
         "</details>\n</section>\n";
}

std::string moe::printHtml(const QuantizeReport &report) {
  std::vector<Fact> facts;
  for (const auto &[name, value] : report.facts)
    facts.push_back({name, value});
  facts.push_back({"Converted", describeSize(report)});
  std::string title = report.title.empty() ? "model" : report.title;
  std::string out = beginPage(
      title + " \xE2\x80\x93 errors of weights", "Quantisation report", title,
      facts, scaleStyle() + "svg .range{stroke:var(--ink);stroke-width:2}\n");
  if (report.weights.empty())
    return out + "<p>There was nothing to convert.</p>\n" + endPage();
  out += "<section><h2>Weights</h2>\n<p class=\"note\">Relative: the root mean "
         "square of the errors in parts of that of the values. The line on a "
         "bar goes from the best expert to the worst.</p>\n" +
         printHtmlTable(makeTable(report, /*eachExpert=*/false)) +
         "<h3>Relative errors</h3>\n<div class=\"scroll\">\n" +
         drawErrors(report) + "</div></section>\n" + printExperts(report);
  return out + endPage();
}
