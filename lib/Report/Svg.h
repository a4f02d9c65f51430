//===- Svg.h - Elements of drawings ------------------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REPORT_SVG_H
#define MOE_LIB_REPORT_SVG_H

#include <cstdint>
#include <string>

namespace moe::report {

/// `style` is a further attribute, with a space in front.
std::string openSvg(double width, double height, const std::string &label,
                    const char *style = "");
/// Without its end.
std::string rect(const std::string &classes, double x, double y, double width,
                 double height);
std::string text(const std::string &classes, double x, double y,
                 const std::string &content);
/// What browsers show as a tooltip.
std::string title(const std::string &content);
/// The name cut to fit a label; whole characters only.
std::string shortened(const std::string &name, size_t most);
/// A step of 1, 2, 4, 8, ... with at most `most` ticks below `count`.
int64_t tickStep(int64_t count, int64_t most);

} // namespace moe::report

#endif // MOE_LIB_REPORT_SVG_H
