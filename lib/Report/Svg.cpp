//===- Svg.cpp - Elements of drawings ----------------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Svg.h"
#include "Html.h"

using namespace moe;
using namespace moe::report;

std::string report::openSvg(double width, double height,
                            const std::string &label, const char *style) {
  std::string w = coordinate(width), h = coordinate(height);
  return "<svg class=\"chart\" role=\"img\" aria-label=\"" + escape(label) +
         "\" width=\"" + w + "\" height=\"" + h + "\" viewBox=\"0 0 " + w +
         " " + h + "\"" + style + ">\n";
}

std::string report::rect(const std::string &classes, double x, double y,
                         double width, double height) {
  return "<rect class=\"" + classes + "\" x=\"" + coordinate(x) + "\" y=\"" +
         coordinate(y) + "\" width=\"" + coordinate(width) + "\" height=\"" +
         coordinate(height) + "\"";
}

std::string report::text(const std::string &classes, double x, double y,
                         const std::string &content) {
  return "<text class=\"" + classes + "\" x=\"" + coordinate(x) + "\" y=\"" +
         coordinate(y) + "\">" + content + "</text>";
}

std::string report::title(const std::string &content) {
  return "<title>" + escape(content) + "</title>";
}

std::string report::shortened(const std::string &name, size_t most) {
  size_t characters = 0, end = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if ((name[i] & 0xC0) == 0x80)
      continue;
    if (++characters == most)
      end = i;
    if (characters > most)
      return name.substr(0, end) + "\xE2\x80\xA6";
  }
  return name;
}

int64_t report::tickStep(int64_t count, int64_t most) {
  int64_t step = 1;
  while (count / step > most)
    step *= 2;
  return step;
}
