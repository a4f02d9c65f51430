//===- KernelCode.h - Kernels as text by LLVM -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_KERNELCODE_H
#define MOE_MLIR_TARGET_GPU_COMMON_KERNELCODE_H

#include "mlir/IR/BuiltinOps.h"

namespace llvm {
class Module;
} // namespace llvm

namespace moe::gpu {

/// The assembly of a module of kernels in the `llvm` dialect and that of a GPU,
/// optimized, by the code generator that LLVM has for `triple` and `cpu`;
/// `prepare` may change the module before. Who calls has initialized that
/// target. A false result comes with `error`.
bool emitAssembly(mlir::ModuleOp kernels, llvm::StringRef triple,
                  llvm::StringRef cpu,
                  llvm::function_ref<void(llvm::Module &)> prepare,
                  std::string &text, std::string &error);

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_KERNELCODE_H
