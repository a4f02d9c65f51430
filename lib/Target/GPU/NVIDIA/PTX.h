//===- PTX.h - The code of kernels ------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_PTX_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_PTX_H

#include "mlir/IR/BuiltinOps.h"

namespace moe::nvidia {

/// The PTX of a module of kernels in the `llvm` and `nvvm` dialects, for `cpu`,
/// such as `sm_90a`. A false result comes with `error`.
bool emitPTX(mlir::ModuleOp kernels, mlir::StringRef cpu, std::string &ptx,
             std::string &error);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_PTX_H
