//===- ToolProcess.cpp - What all tools begin with -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Tool/ToolProcess.h"

#include "moe-mlir/Support/OutputSet.h"

#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <unistd.h>

static const char *toolName;

/// LLVM ends a program whose output was not written with a report of a bug.
static void checkStandardOutput() {
  llvm::outs().flush();
  if (!llvm::outs().has_error())
    return;
  llvm::errs() << toolName << ": error: cannot write to standard output: "
               << llvm::outs().error().message() << "\n";
  llvm::outs().clear_error();
  _exit(1);
}

moe::ToolProcess::ToolProcess(int &argc, char **&argv, const char *name)
    : init(argc, argv) {
  toolName = name;
  // Runs before the stream is gone, which is made here.
  (void)llvm::outs();
  std::atexit(checkStandardOutput);
  removeOutputsOnSignals();
}
