//===- ToolProcess.h - What all tools begin with ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Signals, and standard output on a full disk.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TOOL_TOOLPROCESS_H
#define MOE_MLIR_TOOL_TOOLPROCESS_H

#include "llvm/Support/InitLLVM.h"

namespace moe {

/// The first object of a tool's main(). Files that are not complete go when the
/// process ends, and a standard output that took not all of what was printed is
/// an error of its own.
class ToolProcess {
public:
  /// `name` begins messages and lives as long as the process.
  ToolProcess(int &argc, char **&argv, const char *name);

private:
  llvm::InitLLVM init;
};

} // namespace moe

#endif // MOE_MLIR_TOOL_TOOLPROCESS_H
