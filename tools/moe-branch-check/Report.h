//===- Report.h - What moe-branch-check prints ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOEBRANCHCHECK_REPORT_H
#define MOE_TOOLS_MOEBRANCHCHECK_REPORT_H

#include "moe-mlir/Analysis/Branches/BranchCheck.h"
#include "moe-mlir/Analysis/Branches/DeviceCheck.h"

namespace moe::branchcheck {

/// A table, the problems, and whether all is proved.
void printReport(const Result &result);
void printReport(llvm::ArrayRef<DeviceVerdict> verdicts, bool isProved);

} // namespace moe::branchcheck

#endif // MOE_TOOLS_MOEBRANCHCHECK_REPORT_H
