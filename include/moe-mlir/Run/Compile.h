//===- Compile.h - Artifacts that are made to be run ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// From a model to an artifact of which nothing is kept but what a call needs.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_COMPILE_H
#define MOE_MLIR_RUN_COMPILE_H

#include "moe-mlir/Compiler/Compiler.h"

#include <string>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace moe::run {

/// All that parsing, compiling and interpreting models takes.
void registerRunDialects(mlir::DialectRegistry &registry);

/// Compiles `module`, which stays as it is, to `base`.json and `base`.so, or
/// `base`.a for an emulator. Which files `options` asks for does not matter.
/// Errors are diagnostics.
llvm::LogicalResult compileToRun(mlir::ModuleOp module, CompileOptions options,
                                 const std::string &base, bool isEmulated);

} // namespace moe::run

#endif // MOE_MLIR_RUN_COMPILE_H
