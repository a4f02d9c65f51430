//===- Charts.h - Charts of routings as SVG --------------------*- C++ -*-===//
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
#include <vector>

namespace moe::report {

/// Steps of the colour scale of a load, from a quarter of the even share to
/// four times that, on a logarithmic axis.
constexpr int numLevels = 16;

/// The custom properties and classes of the scale: in light mode light is
/// little, in dark mode dark is.
std::string scaleStyle();

/// A row for each layer, a column for each expert.
std::string drawHeatMap(const std::vector<RoutingRecord> &records);
std::string drawLegend();

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
