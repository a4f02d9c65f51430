//===- Table.h - Tables of reports -------------------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A table, as text or in a page; the first column is what rows are called.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REPORT_TABLE_H
#define MOE_LIB_REPORT_TABLE_H

#include <string>
#include <vector>

namespace moe::report {

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

std::string printTextTable(const Table &table);
/// `id` of its element, if it is not empty.
std::string printHtmlTable(const Table &table, const std::string &id = "");

} // namespace moe::report

#endif // MOE_LIB_REPORT_TABLE_H
