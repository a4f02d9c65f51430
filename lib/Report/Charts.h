//===- Charts.h - Charts of experts as SVG ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Drawings that are part of the page; their colours are in its style sheet.
// Numbers of an element are in its <title>, which browsers show as a tooltip.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REPORT_CHARTS_H
#define MOE_LIB_REPORT_CHARTS_H

#include "moe-mlir/Report/RoutingReport.h"

#include <string>
#include <utility>
#include <vector>

namespace moe::report {

/// Steps of a colour scale of ratios, on a logarithmic axis.
constexpr int numLevels = 16;

/// The step of a ratio; the scale is of so many octaves around 1.
int levelOf(double ratio, double octaves);
/// With few digits.
std::string ratioText(double ratio);

/// The custom properties and classes of the scale: in light mode light is
/// little, in dark mode dark is.
std::string scaleStyle();

/// An expert in a row of them.
struct HeatCell {
  /// A step of the scale; -1: hatched.
  int level = -1;
  /// Its tooltip, and what stands in it where there is room.
  std::string title, number;
};
struct HeatRow {
  std::string name;
  std::vector<HeatCell> cells;
};

/// A row for each layer or weight, a column for each expert. `label` is what
/// the drawing is called where it cannot be seen.
std::string drawHeatMap(const std::vector<HeatRow> &rows,
                        const std::string &label);
/// The scale with words at steps of it, and what is hatched, if anything is.
std::string drawLegend(const std::string &label,
                       const std::vector<std::pair<int, std::string>> &ticks,
                       const std::string &hatched = "");

/// One bar for each expert of a layer, and the even share.
std::string drawExpertBars(const RoutingRecord &record);

/// Tokens by their number of experts; charts to be compared have the axis of
/// the numbers that occur in `alike`. `label` is what the drawing is called
/// where it cannot be seen.
std::string drawHistogram(const std::vector<int64_t> &tokensWith,
                          const std::vector<int64_t> &alike,
                          const std::string &label, bool isLarge);

} // namespace moe::report

#endif // MOE_LIB_REPORT_CHARTS_H
