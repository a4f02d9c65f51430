//===- Codegen.h - Machine code that knows its IR ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Generates code, stops on the way for an analysis of the IR that instruction
// selection sees, and tells of each machine branch which IR instruction it was
// made from.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_BRANCHES_CODEGEN_H
#define MOE_MLIR_ANALYSIS_BRANCHES_CODEGEN_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

#include <functional>
#include <set>
#include <string>

namespace moe::branchcheck {

/// A conditional or indirect jump of the machine code.
struct MachineBranch {
  /// What it was made from; null if code generation does not tell.
  const llvm::Instruction *origin = nullptr;
  /// The IR block it is in; may be null.
  const llvm::BasicBlock *block = nullptr;
  bool indirect = false;
  std::string text;
};

struct MachineFacts {
  llvm::SmallVector<MachineBranch, 0> branches;
  /// Names of the functions it calls directly.
  std::set<std::string> callees;
  /// Jumps through a register that are calls in tail position.
  unsigned indirectTailCalls = 0;
};

struct GeneratedCode {
  llvm::SmallVector<char, 0> object;
  llvm::StringMap<MachineFacts> functions;
};

/// Makes an object of `module`. `analyze` runs on the module after all passes
/// over IR.
bool generate(llvm::Module &module, llvm::TargetMachine &machine,
              std::function<void(llvm::Module &)> analyze, GeneratedCode &code,
              std::string &error);

} // namespace moe::branchcheck

#endif // MOE_MLIR_ANALYSIS_BRANCHES_CODEGEN_H
