//===- Print.h - What moe-run tells -----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOERUN_PRINT_H
#define MOE_TOOLS_MOERUN_PRINT_H

#include "Options.h"

#include "moe-mlir/Report/RoutingReport.h"
#include "moe-mlir/Run/Bench.h"
#include "moe-mlir/Run/Call.h"
#include "moe-mlir/Run/Verify.h"

#include "llvm/Support/raw_ostream.h"

#include <chrono>

namespace moe::run {

/// What the function was called with, and a line for each result.
void print(llvm::raw_ostream &os, const Call &call);

void print(llvm::raw_ostream &os, const Verification &verification);

/// Times; what was done in them, if that is known.
void print(llvm::raw_ostream &os, const BenchResult &result);

/// Prints routings, and phases with their times.
class TracePrinter {
public:
  void print(llvm::raw_ostream &os, const moe_trace_event &event);

private:
  std::chrono::steady_clock::time_point phaseBegin;
};

/// Where the report is, and why routers have collapsed.
void printReport(llvm::raw_ostream &os, const RoutingReport &report,
                 llvm::StringRef path);

/// A report of what `numFunctions` functions did.
bool writeReport(const Given &given, RoutingReport &report, size_t numFunctions,
                 OutputSet &outputs, std::string &error);

} // namespace moe::run

#endif // MOE_TOOLS_MOERUN_PRINT_H
