//===- Html.cpp - Writing HTML ---------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Html.h"
#include "Style.h"

#include <cmath>
#include <cstdio>
#include <iterator>

using namespace moe;

/// Bytes of the UTF-8 sequence that begins at `i`, 0 when it is broken.
static size_t sequenceLength(const std::string &text, size_t i) {
  unsigned char lead = text[i];
  size_t length = lead < 0x80             ? 1
                  : (lead & 0xE0) == 0xC0 ? 2
                  : (lead & 0xF0) == 0xE0 ? 3
                  : (lead & 0xF8) == 0xF0 ? 4
                                          : 0;
  if (length == 0 || i + length > text.size())
    return 0;
  uint32_t code = length == 1 ? lead : lead & (0x7F >> length);
  for (size_t j = 1; j < length; ++j) {
    unsigned char next = text[i + j];
    if ((next & 0xC0) != 0x80)
      return 0;
    code = code << 6 | (next & 0x3F);
  }
  // Overlong forms, surrogates, and what is beyond Unicode.
  static constexpr uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[length] || (code >= 0xD800 && code < 0xE000) ||
      code > 0x10FFFF)
    return 0;
  bool isControl = (code < 0x20 && code != '\t' && code != '\n') ||
                   (code >= 0x7F && code < 0xA0);
  return isControl ? 0 : length;
}

std::string report::escape(const std::string &text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t length = sequenceLength(text, i);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    switch (text[i]) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default:
      out.append(text, i, length);
    }
    i += length;
  }
  return out;
}

std::string report::fixed(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), "%.*f", digits, value);
  return buffer;
}

std::string report::coordinate(double value) {
  std::string text = fixed(value, 2);
  while (text.back() == '0')
    text.pop_back();
  if (text.back() == '.')
    text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string report::grouped(int64_t value) {
  std::string digits = std::to_string(value < 0 ? -value : value);
  std::string out = value < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i && (digits.size() - i) % 3 == 0)
      out += "\xE2\x80\xAF"; // U+202F
    out += digits[i];
  }
  return out;
}

std::string report::counted(int64_t count, const std::string &noun) {
  return grouped(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string report::percent(double share) {
  double value = 100.0 * share;
  if (value > 0.0 && value < 0.1)
    return "<0.1\xE2\x80\xAF%";
  int digits = value > 0.0 && value < 10.0 ? 1 : 0;
  return fixed(value, digits) + "\xE2\x80\xAF%";
}

std::string report::scaled(double value, const std::string &unit) {
  static const char *const prefixes[] = {"", "k", "M", "G", "T"};
  size_t i = 0;
  for (; value >= 1000 && i + 1 < std::size(prefixes); ++i)
    value /= 1000;
  int digits = i == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return fixed(value, digits) + " " + prefixes[i] + unit;
}

std::string report::milliseconds(double seconds) {
  if (seconds < 0)
    return "unknown";
  double ms = seconds * 1e3;
  if (seconds > 0 && ms < 0.01)
    return fixed(ms * 1e3, 2) + " us";
  return fixed(ms, ms < 1 ? 3 : ms < 100 ? 2 : 1) + " ms";
}

std::string report::beginPage(const std::string &title,
                              const std::string &kicker,
                              const std::string &heading,
                              const std::vector<Fact> &facts,
                              const std::string &style) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
      "<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"generator\" content=\"MoE-MLIR\">\n<title>" +
      escape(title) + "</title>\n<style>" + pageStyle + style +
      "</style>\n</head>\n<body>\n<header>\n<p class=\"kicker\">" +
      escape(kicker) + "</p>\n<h1>" + escape(heading) +
      "</h1>\n<dl class=\"facts\">\n";
  for (const Fact &fact : facts)
    out += "<div><dt>" + escape(fact.name) + "</dt><dd" +
           (fact.isCode ? " class=\"mono\"" : "") + ">" + escape(fact.value) +
           "</dd></div>\n";
  return out + "</dl>\n</header>\n<main>\n";
}

std::string report::endPage() { return "</main>\n</body>\n</html>\n"; }
