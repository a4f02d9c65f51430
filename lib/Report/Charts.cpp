//===- Charts.cpp - Charts of experts as SVG -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Charts.h"
#include "Html.h"
#include "Svg.h"

#include <algorithm>
#include <cmath>

using namespace moe;
using namespace moe::report;

/// The viridis scale in 16 steps, dark to light: its lightness grows evenly, so
/// that it is in order for everybody, and in grey.
static const char *const scaleColors[numLevels] = {
    "#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e",
    "#2a788e", "#23888e", "#1f988b", "#22a884", "#35b779", "#54c568",
    "#7ad151", "#a5db36", "#d2e21b", "#fde725"};
/// From here on, text on a colour is dark.
static constexpr int firstLight = 9;

std::string report::scaleStyle() {
  std::string light, dark, classes;
  for (int level = 0; level < numLevels; ++level) {
    std::string n = std::to_string(level);
    auto define = [&](int color) {
      return "--h" + n + ":" + scaleColors[color] + ";--t" + n + ":" +
             (color >= firstLight ? "#14161a" : "#fff") + ";";
    };
    light += define(numLevels - 1 - level);
    dark += define(level);
    classes += ".h" + n + "{fill:var(--h" + n + ")}.t" + n + "{fill:var(--t" +
               n + ")}";
  }
  return ":root{" + light + "}\n@media (prefers-color-scheme:dark){:root{" +
         dark + "}}\n" + classes + "\n";
}

int report::levelOf(double ratio, double octaves) {
  if (ratio <= 0.0)
    return 0;
  double position = std::log2(ratio) / octaves + 0.5;
  return std::clamp(static_cast<int>(std::floor(position * numLevels)), 0,
                    numLevels - 1);
}

std::string report::ratioText(double ratio) {
  return fixed(ratio, ratio >= 9.95 ? 0 : ratio >= 0.095 || ratio == 0 ? 1 : 2);
}

//===----------------------------------------------------------------------===//
// Heat map
//===----------------------------------------------------------------------===//

std::string report::drawHeatMap(const std::vector<HeatRow> &rows,
                                const std::string &label) {
  size_t experts = 1, nameLength = 1;
  for (const HeatRow &row : rows) {
    experts = std::max(experts, row.cells.size());
    nameLength = std::max(
        nameLength, std::min<size_t>(shortened(row.name, 24).size(), 26));
  }
  double gutter = 14.0 + 6.6 * nameLength, top = 22.0, full = 1060.0;
  double width = std::clamp((full - gutter) / experts, 2.5, 64.0);
  double height = rows.size() <= 4    ? 34
                  : rows.size() <= 16 ? 24
                  : rows.size() <= 64 ? 16
                                      : 12;
  double gap = width >= 8 ? 1.5 : width >= 4 ? 0.75 : 0;
  double rowGap = rows.size() <= 64 ? 1.5 : 1;
  bool hasNumbers = width >= 30 && height >= 24;

  std::string out =
      openSvg(std::max(gutter + width * experts + 1, 320.0),
              top + height * rows.size() + 2, label);
  out += "<defs><pattern id=\"dead\" width=\"5\" height=\"5\" "
         "patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">"
         "<line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"5\"/>"
         "</pattern></defs>\n";
  out += text("axis end", gutter - 8, top - 8, "expert") + "\n";
  int64_t step = tickStep(experts, std::max<int64_t>(1, (full - gutter) / 34));
  for (size_t e = 0; e < experts; e += step)
    out += text("axis mid", gutter + (e + 0.5) * width, top - 8,
                std::to_string(e));
  out += "\n";
  double y = top;
  for (const HeatRow &row : rows) {
    out += "<g><text class=\"label end\" x=\"" + coordinate(gutter - 8) +
           "\" y=\"" + coordinate(y + height / 2 + 3.5) + "\">" +
           title(row.name) + escape(shortened(row.name, 24)) + "</text>\n";
    double x = gutter;
    for (const HeatCell &cell : row.cells) {
      std::string level = std::to_string(cell.level);
      out += rect(cell.level < 0 ? "dead" : "h" + level, x, y, width - gap,
                  height - rowGap) +
             ">" + title(cell.title) + "</rect>";
      if (hasNumbers && cell.level >= 0)
        out += text("cell mid t" + level, x + (width - gap) / 2,
                    y + height / 2 + 3.5, cell.number);
      x += width;
    }
    out += "</g>\n";
    y += height;
  }
  return out + "</svg>\n";
}

std::string
report::drawLegend(const std::string &label,
                   const std::vector<std::pair<int, std::string>> &ticks,
                   const std::string &hatched) {
  constexpr double swatch = 17, height = 12, left = 26;
  double scaleEnd = left + swatch * numLevels;
  std::string out = openSvg(560, 36, label);
  for (int level = 0; level < numLevels; ++level)
    out += rect("h" + std::to_string(level), left + level * swatch, 2, swatch,
                height) +
           "/>";
  for (const auto &[level, tick] : ticks) {
    double x = left + level * swatch;
    out += "<line class=\"tick\" x1=\"" + coordinate(x) + "\" x2=\"" +
           coordinate(x) + "\" y1=\"14\" y2=\"18\"/>";
    out += text("axis mid", x, 30, tick);
  }
  if (!hatched.empty())
    out += rect("dead", scaleEnd + 60, 2, 26, height) + "/>" +
           text("axis", scaleEnd + 94, 12, hatched);
  return out + "\n</svg>\n";
}

//===----------------------------------------------------------------------===//
// Bars
//===----------------------------------------------------------------------===//

std::string report::drawExpertBars(const RoutingRecord &record) {
  int64_t experts = std::max<int64_t>(record.experts, 1);
  double even =
      static_cast<double>(record.assignments()) / static_cast<double>(experts);
  int64_t largest = 1;
  for (int64_t count : record.counts)
    largest = std::max(largest, count);
  double left = 58, full = 1060, plot = 96, top = 10;
  double width = std::clamp((full - left) / experts, 2.5, 64.0);
  double gap = width >= 8 ? 2 : width >= 4 ? 1 : 0.5;
  double base = top + plot;
  double axisEnd = left + width * experts;
  std::string out =
      openSvg(axisEnd + 2, base + 24,
              record.layer + ": tokens of each expert; the "
                             "numbers are in the table of counts");
  out += "<line class=\"rule\" x1=\"" + coordinate(left) + "\" x2=\"" +
         coordinate(axisEnd) + "\" y1=\"" + coordinate(base) + "\" y2=\"" +
         coordinate(base) + "\"/>";
  out += text("axis end", left - 8, top + 8, grouped(largest));
  out += text("axis end", left - 8, base, "0") + "\n";
  for (int64_t e = 0; e < record.experts; ++e) {
    double height = plot * record.counts[e] / largest;
    out += rect("bar", left + e * width, base - height, width - gap, height) +
           ">" +
           title("expert " + std::to_string(e) + ": " +
                 counted(record.counts[e], "token") + ", " +
                 ratioText(even > 0 ? record.counts[e] / even : 0) +
                 " of an even share") +
           "</rect>";
  }
  int64_t step = tickStep(experts, std::max<int64_t>(1, (full - left) / 34));
  for (int64_t e = 0; e < experts; e += step)
    out += text("axis mid", left + e * width + (width - gap) / 2, base + 14,
                std::to_string(e));
  double y = base - plot * even / largest;
  out += "\n<line class=\"even\" x1=\"" + coordinate(left) + "\" x2=\"" +
         coordinate(axisEnd) + "\" y1=\"" + coordinate(y) + "\" y2=\"" +
         coordinate(y) + "\">" + title("even share: " + fixed(even, 1)) +
         "</line>";
  return out + "\n</svg>\n";
}

std::string report::drawHistogram(const std::vector<int64_t> &tokensWith,
                                  const std::vector<int64_t> &alike,
                                  const std::string &label, bool isLarge) {
  // Only what occurs, with a column of rest on each side; many columns are
  // joined.
  int64_t size = alike.size(), first = 0, last = size - 1, tokens = 0;
  for (int64_t count : tokensWith)
    tokens += count;
  while (first < last && alike[first] == 0)
    ++first;
  while (last > first && alike[last] == 0)
    --last;
  if (size <= 13) {
    first = 0;
    last = size - 1;
  } else {
    first = std::max<int64_t>(first - 1, 0);
    last = std::min(last + 1, size - 1);
  }
  int64_t most = isLarge ? 48 : 24;
  int64_t perBin = (last - first + most) / most;
  std::vector<int64_t> bins((last - first) / perBin + 1, 0);
  int64_t end = std::min<int64_t>(last + 1, tokensWith.size());
  for (int64_t k = first; k < end; ++k)
    bins[(k - first) / perBin] += tokensWith[k];
  int64_t largest = 1;
  for (int64_t bin : bins)
    largest = std::max(largest, bin);

  double total = isLarge ? 640 : 196, left = 8, top = isLarge ? 18 : 6;
  double plot = isLarge ? 140 : 62, base = top + plot;
  double width =
      std::min((total - 2 * left) / bins.size(), isLarge ? 72.0 : 26.0);
  double gap = width >= 8 ? 2 : 1;
  double axisEnd = left + width * bins.size();
  std::string out = openSvg(isLarge ? std::max(axisEnd + left, 120.0) : total,
                            base + (isLarge ? 36 : 18), label);
  bool hasNumbers = isLarge && width >= 38;
  int64_t step = tickStep(bins.size(), isLarge ? 24 : 9);
  for (size_t i = 0; i < bins.size(); ++i) {
    int64_t from = first + i * perBin, to = std::min(from + perBin - 1, last);
    std::string range = std::to_string(from);
    if (to > from)
      range += " to " + std::to_string(to);
    double height = plot * bins[i] / largest;
    // A bar that exists can be seen.
    if (bins[i])
      height = std::max(height, 1.0);
    double x = left + i * width, middle = x + (width - gap) / 2;
    std::string share = tokens ? percent(double(bins[i]) / tokens) : "0";
    out += rect(from == 0 && to == 0 ? "bar none" : "bar", x, base - height,
                width - gap, height) +
           ">" +
           title(counted(bins[i], "token") + " (" + share + ") with " + range +
                 (range == "1" ? " expert" : " experts")) +
           "</rect>";
    if (hasNumbers && bins[i])
      out += text("axis mid", middle, base - height - 5, escape(share));
    if (i % step == 0)
      out += text("axis mid", middle, base + 14, std::to_string(from));
  }
  out += "<line class=\"rule\" x1=\"" + coordinate(left) + "\" x2=\"" +
         coordinate(axisEnd) + "\" y1=\"" + coordinate(base) + "\" y2=\"" +
         coordinate(base) + "\"/>";
  if (isLarge)
    out += text("axis", left, base + 31, "experts of a token");
  return out + "\n</svg>\n";
}
