//===- Table.cpp - Tables of reports ------------------------------ -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Table.h"
#include "Html.h"

#include <algorithm>

using namespace moe;
using namespace moe::report;

std::string report::printTextTable(const Table &table) {
  std::vector<size_t> widths;
  for (const std::string &name : table.header)
    widths.push_back(name.size());
  for (const auto &row : table.rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  auto print = [&](const std::vector<std::string> &row) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i) {
      std::string gap(widths[i] - row[i].size(), ' ');
      line += " " + (i == 0 ? row[i] + gap : gap + row[i]) + " ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  print(table.header);
  for (const auto &row : table.rows)
    print(row);
  return out;
}

std::string report::printHtmlTable(const Table &table, const std::string &id) {
  std::string out = "<div class=\"scroll\"><table class=\"health\"" +
                    (id.empty() ? "" : " id=\"" + id + "\"") + ">\n<thead><tr>";
  for (const std::string &name : table.header)
    out += "<th scope=\"col\">" + escape(name) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const auto &row : table.rows) {
    out += "<tr><th scope=\"row\">" + escape(row.front()) + "</th>";
    for (size_t i = 1; i < row.size(); ++i)
      out += "<td>" + escape(row[i]) + "</td>";
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}
