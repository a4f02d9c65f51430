//===- FitReport.cpp - Formats that fit into a budget -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Report/FitReport.h"

#include "Html.h"
#include "Table.h"

using namespace moe;
using namespace moe::report;

static std::string errorText(double error) {
  return fixed(100 * error, 3) + " %";
}

static Table makeTable(const FitReport &report) {
  Table table{{"weight", "from", "to", "bits", "bytes", "error", ""}, {}};
  bool named = false;
  for (const FitReport::Weight &weight : report.weights)
    named |= weight.function != report.weights.front().function;
  for (const FitReport::Weight &weight : report.weights) {
    double bits = 8.0 * static_cast<double>(weight.bytes) /
                  static_cast<double>(weight.count);
    table.rows.push_back(
        {named ? weight.function + "/" + weight.name : weight.name, weight.from,
         weight.to, fixed(bits, 2), std::to_string(weight.bytes),
         errorText(weight.error), weight.isGiven ? "given" : ""});
  }
  return table;
}

std::string moe::printText(const FitReport &report) {
  std::string out = printTextTable(makeTable(report));
  auto addLine = [&](const std::string &name, const std::string &text) {
    out += name + ": " + text + "\n";
  };
  std::string kept;
  for (const std::string &name : report.kept)
    kept += (kept.empty() ? "" : ", ") + name;
  addLine("bytes", std::to_string(report.bytes) + " of " +
                       std::to_string(report.budget) + ", " +
                       std::to_string(report.bytesBefore) + " before" +
                       (kept.empty() ? ""
                                     : "; " + std::to_string(report.keptBytes) +
                                           " keep their type: " + kept));
  addLine("error", errorText(report.error) +
                       " of a layer's result, measured on " + report.errorsOf);
  addLine("a call", counted(report.tokens, "token") + ", " +
                        counted(report.threads, "thread") + " of " +
                        report.chip + ": " + milliseconds(report.seconds) +
                        ", " + milliseconds(report.secondsBefore) + " before");
  addLine("chosen for",
          report.objective + (report.gap > 0
                                  ? ", at most " + fixed(100 * report.gap, 2) +
                                        " % from the best choice"
                                  : ", the best choice"));
  return out;
}
