//===- Html.h - Writing HTML -----------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Text that is safe inside of a page, and numbers as people read them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REPORT_HTML_H
#define MOE_LIB_REPORT_HTML_H

#include <cstdint>
#include <string>
#include <vector>

namespace moe::report {

/// For element content and quoted attributes. Control characters and broken
/// UTF-8, which no page may hold, become U+FFFD.
std::string escape(const std::string &text);

/// A decimal with `digits` behind the point.
std::string fixed(double value, int digits);
/// A decimal of coordinates: at most two digits, no trailing zeros.
std::string coordinate(double value);
/// 1234567 as "1 234 567", with narrow spaces that do not break.
std::string grouped(int64_t value);
/// "1 layer", "2 layers".
std::string counted(int64_t count, const std::string &noun);
/// "12.3 %".
std::string percent(double share);
/// "12.6 MB", "201 G" for the units "B" and none.
std::string scaled(double value, const std::string &unit);
/// "0.123 ms"; "unknown" if negative.
std::string milliseconds(double seconds);

/// A name and a value in the header of a page.
struct Fact {
  std::string name, value;
  bool isCode = false;
};

/// What is in front of the sections of a page and behind them: `title` is what a
/// browser calls it, `kicker` what kind of page it is, `heading` what it is
/// about. `style` is added to that of all pages.
std::string beginPage(const std::string &title, const std::string &kicker,
                      const std::string &heading, const std::vector<Fact> &facts,
                      const std::string &style = "");
std::string endPage();

} // namespace moe::report

#endif // MOE_LIB_REPORT_HTML_H
