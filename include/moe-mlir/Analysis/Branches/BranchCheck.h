//===- BranchCheck.h - No branch depends on data ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Proves of functions in an LLVM module that their branches go the same way
// whatever the data is: first on the IR after all passes over it, then on the
// machine code, each of whose conditional jumps has to come from one of the
// branches that were proved. docs/branchless.md says what that means.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_BRANCHES_BRANCHCHECK_H
#define MOE_MLIR_ANALYSIS_BRANCHES_BRANCHCHECK_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

#include <string>
#include <vector>

namespace moe::branchcheck {

struct Options {
  /// Regular expression: functions to prove, with all they call.
  std::string function;
  /// Regular expressions: functions whose branches depend on data by design,
  /// and functions without a body that may be called unproved.
  std::vector<std::string> allowed, allowedCalls;
  /// FUNCTION:NUMBER of arguments that point to sizes, not to data.
  std::vector<std::string> sizeArguments;
  /// The object to judge and how messages call it; without one, code is made
  /// as it would be without anybody looking.
  llvm::SmallVector<char, 0> object;
  std::string objectName;
};

/// The verdict on one function.
struct Verdict {
  std::string function;
  /// Problems of a function that is allowed to have them do not count.
  bool byDesign = false;
  unsigned branches = 0, tainted = 0;
  /// Jumps of the machine code, and those of them that are from no branch.
  unsigned jumps = 0, added = 0;
  /// The object judged has the bytes of the one that was analysed.
  bool hasSameBytes = false;
  llvm::SmallVector<std::string> problems;
};

struct Result {
  std::vector<Verdict> verdicts;
  /// The object that was judged.
  llvm::SmallVector<char, 0> object;

  bool proved() const;
};

/// Whether all patterns are regular expressions.
bool checkPatterns(const Options &options, std::string &error);

/// False and a message when nothing could be said.
bool checkBranches(llvm::Module &module, llvm::TargetMachine &machine,
                   const Options &options, Result &result, std::string &error);

} // namespace moe::branchcheck

#endif // MOE_MLIR_ANALYSIS_BRANCHES_BRANCHCHECK_H
