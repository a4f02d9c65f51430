//===- CodeObject.h - The code of kernels -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_AMD_CODEOBJECT_H
#define MOE_MLIR_LIB_TARGET_GPU_AMD_CODEOBJECT_H

#include "mlir/IR/BuiltinOps.h"

namespace moe::amd {

/// The assembly of a module of kernels in the `llvm` and `rocdl` dialects, for
/// `cpu`, such as `gfx942`. A false result comes with `error`, as below.
bool emitAssembly(mlir::ModuleOp kernels, mlir::StringRef cpu,
                  std::string &text, std::string &error);

/// What drivers load: assembly of `emitAssembly`, assembled and linked by LLVM.
bool makeCodeObject(mlir::StringRef text, mlir::StringRef cpu,
                    std::string &object, std::string &error);

} // namespace moe::amd

#endif // MOE_MLIR_LIB_TARGET_GPU_AMD_CODEOBJECT_H
