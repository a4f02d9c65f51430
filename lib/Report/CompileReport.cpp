//===- CompileReport.cpp - What a compilation decided, and expects -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Report/CompileReport.h"

#include "Html.h"
#include "Table.h"

#include <algorithm>

using namespace moe;
using namespace moe::report;
using Call = CompileReport::Call;
using Layer = CompileReport::Layer;

//===----------------------------------------------------------------------===//
// Figures
//===----------------------------------------------------------------------===//

/// All phases of a layer's calls, in the order of the kernels.
static std::vector<std::string> phasesOf(const Layer &layer) {
  std::vector<std::string> phases;
  for (const Call &call : layer.calls)
    for (const CompileReport::Kernel &kernel : call.kernels)
      if (std::find(phases.begin(), phases.end(), kernel.phase) == phases.end())
        phases.push_back(kernel.phase);
  return phases;
}

static Table callTable(const Layer &layer) {
  Table table;
  table.header = {"tokens",   "operations", "bytes",
                  "expected", "bound",      "workspace"};
  std::vector<std::string> phases = phasesOf(layer);
  table.header.insert(table.header.end(), phases.begin(), phases.end());
  for (const Call &call : layer.calls) {
    std::vector<std::string> row = {
        std::to_string(call.tokens),
        scaled(call.operations, ""),
        scaled(call.bytes, "B"),
        milliseconds(call.seconds),
        call.bound.empty() ? "-" : call.bound,
        call.workspace < 0 ? "unknown" : scaled(call.workspace, "B")};
    for (const std::string &phase : phases) {
      // Several kernels may be of one phase.
      double seconds = -1;
      for (const CompileReport::Kernel &kernel : call.kernels)
        if (kernel.phase == phase && kernel.seconds >= 0)
          seconds = std::max(seconds, 0.0) + kernel.seconds;
      row.push_back(milliseconds(seconds));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// What each phase of a call reads and writes: of a device, where each is a
/// kernel or a few.
static Table byteTable(const Layer &layer) {
  Table table{{"bytes"}, {}};
  for (const std::string &phase : phasesOf(layer))
    table.rows.push_back({phase});
  for (const Call &call : layer.calls) {
    table.header.push_back("T = " + std::to_string(call.tokens));
    for (std::vector<std::string> &row : table.rows) {
      double bytes = 0;
      for (const CompileReport::Kernel &kernel : call.kernels)
        if (kernel.phase == row.front())
          bytes += kernel.bytes;
      row.push_back(scaled(bytes, "B"));
    }
  }
  return table;
}

/// What the code of a device's kernels says.
static Table kernelTable(const CompileReport &report) {
  Table table{{"kernel", "threads", "registers", "shared", "spills", "local",
               "instructions", "barriers", "products", "blocks at once",
               "occupancy"},
              {}};
  auto number = [](int64_t value) {
    return value < 0 ? std::string("-") : std::to_string(value);
  };
  for (const KernelFacts &kernel : report.kernels) {
    std::string products;
    for (const auto &[name, count] : kernel.matrix)
      products +=
          (products.empty() ? "" : ", ") + std::to_string(count) + " " + name;
    std::string blocks = number(kernel.blocksAtOnce);
    if (!kernel.limit.empty())
      blocks += " (" + kernel.limit + ")";
    table.rows.push_back(
        {kernel.name, number(kernel.threads), number(kernel.registers),
         kernel.sharedBytes < 0 ? "-" : scaled(kernel.sharedBytes, "B"),
         kernel.spillBytes < 0 ? "-" : scaled(kernel.spillBytes, "B"),
         number(kernel.localAccesses), number(kernel.instructions),
         number(kernel.barriers), products.empty() ? "-" : products, blocks,
         kernel.occupancy < 0 ? "-" : percent(kernel.occupancy)});
  }
  return table;
}

static Table weightTable(const Layer &layer) {
  Table table{{"weights", "role", "packed"}, {}};
  double all = 0;
  for (const CompileReport::Weight &weight : layer.weights) {
    all += weight.bytes;
    table.rows.push_back({weight.name, weight.role.empty() ? "-" : weight.role,
                          scaled(weight.bytes, "B")});
  }
  table.rows.push_back({"in all", "", scaled(all, "B")});
  return table;
}

static std::string sameText(const Layer &layer) {
  if (layer.same.empty())
    return "";
  return "the same code: " + counted(layer.same.size(), "more layer") + ", " +
         layer.same.front() +
         (layer.same.size() > 1 ? " to " + layer.same.back() : "");
}

/// Shares of calls of few tokens and of many.
static std::string gainText(const CompileReport::Decision &decision) {
  std::string text;
  for (const CompileReport::Gain &gain : decision.gains) {
    bool isShown =
        gain.tokens == 1 || gain.tokens == 64 || gain.tokens == 4096;
    if (gain.shareOfBytes < 0 || !isShown)
      continue;
    bool isFirst = text.empty();
    text += (isFirst ? "" : "; ") + percent(gain.shareOfBytes);
    if (isFirst)
      text += " of the bytes";
    if (gain.shareOfSeconds >= 0)
      text += (isFirst ? ", at most " : ", ") + percent(gain.shareOfSeconds) +
              (isFirst ? " of the time" : "");
    text += " at T = " + std::to_string(gain.tokens);
  }
  return text.empty() ? text : " (" + decision.layer + ": " + text + ")";
}

static std::string decisionText(const CompileReport::Decision &decision) {
  return decision.message + gainText(decision) +
         (decision.count > 1 ? " (" + counted(decision.count, "time") + ")"
                             : "");
}

/// "fused", "not fused": whether all went well, in two words.
static bool isMissed(const CompileReport::Decision &decision) {
  return decision.kind == "Missed" || decision.kind == "Failure";
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

std::string moe::printText(const CompileReport &report) {
  std::string out =
      (report.model.empty() ? "module" : report.model) + " for " + report.chip;
  // A device has as many as a call needs.
  if (report.kernels.empty())
    out += ", " + counted(report.threads, "thread");
  out += "\n";
  if (report.rates.empty())
    out += "times are unknown: " + report.chip + " says no rates" +
           (report.kernels.empty()
                ? "; moe-describe-cpu measures those of a machine"
                : "") +
           "\n";
  if (!report.formats.empty())
    out += "\nformats\n" + report.formats;
  for (const Layer &layer : report.layers) {
    out += "\n" + layer.name + "\n";
    if (!layer.same.empty())
      out += "  " + sameText(layer) + "\n";
    out += printTextTable(callTable(layer));
    if (!report.kernels.empty())
      out += "\n" + printTextTable(byteTable(layer));
    out += "\n" + printTextTable(weightTable(layer));
    for (const auto &[phase, schedule] : layer.schedules)
      out += "  " + phase + ": " + schedule + "\n";
    for (const std::string &what : layer.unknown)
      out += "  not counted: " + what + "\n";
  }
  if (!report.kernels.empty())
    out += "\n" + printTextTable(kernelTable(report));
  if (!report.decisions.empty())
    out += "\ndecisions\n";
  for (const CompileReport::Decision &decision : report.decisions)
    out += std::string("  ") + (isMissed(decision) ? "missed  " : "        ") +
           decision.category + ": " + decisionText(decision) + "\n";
  return out;
}

//===----------------------------------------------------------------------===//
// A page
//===----------------------------------------------------------------------===//

/// A bar for each number of tokens: how the expected time is shared.
static std::string drawShares(const Layer &layer) {
  std::vector<std::string> phases = phasesOf(layer);
  static const char *const colours[] = {"#31688e", "#35b779", "#8a6fb0",
                                        "#d98f2b", "#7f8b96"};
  constexpr double left = 74, width = 640, height = 18, gap = 6;
  std::string bars;
  double y = 4;
  for (const Call &call : layer.calls) {
    if (call.seconds <= 0)
      continue;
    bars += "<text class=\"end\" x=\"" + coordinate(left - 8) + "\" y=\"" +
            coordinate(y + 13) + "\">T = " + std::to_string(call.tokens) +
            "</text>";
    double x = left;
    for (size_t p = 0; p < phases.size(); ++p) {
      double seconds = 0;
      for (const CompileReport::Kernel &kernel : call.kernels)
        if (kernel.phase == phases[p])
          seconds += std::max(kernel.seconds, 0.0);
      double length = width * seconds / call.seconds;
      bars += "<rect x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) +
              "\" width=\"" + coordinate(length) + "\" height=\"" +
              coordinate(height) + "\" fill=\"" +
              colours[p % std::size(colours)] + "\"><title>" +
              escape(phases[p]) + ": " + milliseconds(seconds) + ", " +
              percent(seconds / call.seconds) + "</title></rect>";
      x += length;
    }
    bars += "<text x=\"" + coordinate(left + width + 8) + "\" y=\"" +
            coordinate(y + 13) + "\">" + milliseconds(call.seconds) +
            "</text>\n";
    y += height + gap;
  }
  if (bars.empty())
    return "";
  std::string legend;
  double x = left;
  for (size_t p = 0; p < phases.size(); ++p) {
    legend += "<rect x=\"" + coordinate(x) + "\" y=\"" + coordinate(y + 4) +
              "\" width=\"11\" height=\"11\" fill=\"" +
              colours[p % std::size(colours)] + "\"/><text x=\"" +
              coordinate(x + 16) + "\" y=\"" + coordinate(y + 14) + "\">" +
              escape(phases[p]) + "</text>";
    x += 34 + 7.0 * phases[p].size();
  }
  return "<svg class=\"chart\" role=\"img\" aria-label=\"How the expected time "
         "is shared\" viewBox=\"0 0 820 " +
         coordinate(y + 22) + "\">\n" + bars + legend + "</svg>\n";
}

static std::string printLayer(const Layer &layer, bool isDevice) {
  std::string out = "<section><h2>" + escape(layer.name) + "</h2>\n";
  if (!layer.same.empty())
    out += "<p class=\"note\">" + escape(sameText(layer)) + "</p>\n";
  out += printHtmlTable(callTable(layer)) + drawShares(layer);
  if (isDevice)
    out += "<h3>Bytes</h3>\n" + printHtmlTable(byteTable(layer));
  out += "<h3>Weights</h3>\n" + printHtmlTable(weightTable(layer));
  if (!layer.schedules.empty())
    out += "<h3>Schedules</h3>\n<dl class=\"help\">\n";
  for (const auto &[phase, schedule] : layer.schedules)
    out += "<dt>" + escape(phase) + "</dt><dd><code>" + escape(schedule) +
           "</code></dd>\n";
  if (!layer.schedules.empty())
    out += "</dl>\n";
  for (const std::string &what : layer.unknown)
    out += "<p class=\"note\">Not counted: " + escape(what) + "</p>\n";
  return out + "</section>\n";
}

std::string moe::printHtml(const CompileReport &report) {
  std::string title = report.model.empty() ? "module" : report.model;
  std::vector<Fact> facts = {{"chip", report.chip}};
  if (report.kernels.empty())
    facts.push_back({"threads", std::to_string(report.threads)});
  for (const auto &[name, value] : report.rates)
    facts.push_back({name, grouped(value)});
  std::string out = beginPage(title + " for " + report.chip,
                              "Compilation report", title, facts);
  if (report.rates.empty())
    out += "<div class=\"verdict unsure\"><strong>Times are unknown</strong><p>"
           "This chip says no rates" +
           std::string(report.kernels.empty()
                           ? "; <code>moe-describe-cpu</code> measures those "
                             "of a machine"
                           : "") +
           ".</p></div>\n";
  if (!report.formats.empty())
    out += "<section><h2>Formats</h2>\n<pre>" + escape(report.formats) +
           "</pre></section>\n";
  for (const Layer &layer : report.layers)
    out += printLayer(layer, !report.kernels.empty());
  if (!report.kernels.empty())
    out += "<section><h2>Kernels</h2>\n" + printHtmlTable(kernelTable(report)) +
           "</section>\n";
  if (!report.decisions.empty()) {
    out += "<section><h2>Decisions</h2>\n<div class=\"scroll\"><table "
           "class=\"health\">\n<thead><tr><th></th><th class=\"words\">by</th>"
           "<th class=\"words\">what</th></tr></thead>\n<tbody>\n";
    for (const CompileReport::Decision &decision : report.decisions)
      out += std::string("<tr><th scope=\"row\" class=\"") +
             (isMissed(decision) ? "unsure\">missed" : "good\">done") +
             "</th><td class=\"words\"><code>" + escape(decision.category) +
             "</code></td><td class=\"words\">" +
             escape(decisionText(decision)) + "</td></tr>\n";
    out += "</tbody></table></div></section>\n";
  }
  return out + endPage();
}
