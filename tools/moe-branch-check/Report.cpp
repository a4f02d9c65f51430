//===- Report.cpp - What moe-branch-check prints ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Report.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace moe::branchcheck;

void moe::branchcheck::printReport(const Result &result) {
  unsigned width = 8;
  for (const Verdict &verdict : result.verdicts)
    width = std::max<unsigned>(width, verdict.function.size());
  outs() << left_justify("function", width)
         << "  branches  tainted  jumps  added  object\n";
  for (const Verdict &verdict : result.verdicts) {
    outs() << left_justify(verdict.function, width)
           << format("  %8u  %7u  %5u  %5u  ", verdict.branches,
                     verdict.tainted, verdict.jumps, verdict.added)
           << (verdict.hasSameBytes ? "same bytes" : "same jumps");
    if (verdict.byDesign)
      outs() << "  (allowed)";
    outs() << "\n";
  }
  for (const Verdict &verdict : result.verdicts)
    if (!verdict.byDesign)
      for (const std::string &problem : verdict.problems)
        outs() << verdict.function << ": " << problem << "\n";
  outs() << (result.proved() ? "proved: no branch depends on data\n"
                             : "not proved\n");
}

void moe::branchcheck::printReport(ArrayRef<DeviceVerdict> verdicts,
                                   bool isProved) {
  unsigned width = 8;
  for (const DeviceVerdict &verdict : verdicts)
    width = std::max<unsigned>(width, verdict.kernel.size());
  outs() << left_justify("kernel", width)
         << "  code    instructions  branches  tainted  guards\n";
  for (const DeviceVerdict &verdict : verdicts)
    outs() << left_justify(verdict.kernel, width) << "  "
           << left_justify(getName(verdict.kind), 6)
           << format("  %12u  %8u  %7u  %6u", verdict.instructions,
                     verdict.branches, verdict.tainted, verdict.guards)
           << (verdict.byDesign ? "  (allowed)" : "") << "\n";
  for (const DeviceVerdict &verdict : verdicts)
    if (!verdict.byDesign)
      for (const std::string &problem : verdict.problems)
        outs() << verdict.kernel << ": " << problem << "\n";
  outs() << (isProved ? "proved: no branch depends on data\n" : "not proved\n");
}
