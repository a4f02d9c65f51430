//===- LLVMCode.h - Machine code by LLVM ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The llvm dialect to objects and text, for one kind of CPU. Targets whose code
// goes through LLVM share it, and so does the dispatcher of an artifact.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_LLVMCODE_H
#define MOE_MLIR_TARGET_LLVMCODE_H

#include "moe-mlir/Target/Target.h"

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace moe {

/// Whom LLVM generates code for.
struct LLVMCpu {
  HostPlatform platform;
  /// LLVM's name and feature string.
  std::string cpu, features;
};

/// The last of `Target::buildCodePipeline`: memrefs, indices, arithmetic,
/// control flow and functions become the llvm dialect.
void buildToLLVMPipeline(mlir::OpPassManager &pm);

/// Puts code from elsewhere into a module.
using AddCode = llvm::function_ref<bool(llvm::Module &, std::string &error)>;

/// The code of a module of the llvm dialect, with what `addCode` adds. A false
/// result comes with `error`.
bool emitLLVM(mlir::ModuleOp module, const LLVMCpu &cpu,
              const CodeOptions &options, CodeKind kind,
              llvm::SmallVectorImpl<char> &output, std::string &error,
              AddCode addCode = nullptr);

/// The object of a module of LLVM IR.
bool emitObject(llvm::Module &module, const LLVMCpu &cpu,
                const CodeOptions &options, llvm::SmallVectorImpl<char> &output,
                std::string &error);

} // namespace moe

#endif // MOE_MLIR_TARGET_LLVMCODE_H
