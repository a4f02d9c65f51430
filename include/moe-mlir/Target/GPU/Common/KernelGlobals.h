//===- KernelGlobals.h - Tables and memory that kernels name ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// For targets whose kernels become LLVM IR.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_KERNELGLOBALS_H
#define MOE_MLIR_TARGET_GPU_COMMON_KERNELGLOBALS_H

#include "moe_gpu/MoeGpu.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"

namespace moe::gpu {

/// The memory that the threads of a block share: what a launch asks for.
constexpr llvm::StringLiteral kSharedName = "dynamic_shared";

/// Declares it, aligned to so many bytes.
void declareShared(mlir::ModuleOp kernels, int64_t alignment);

/// The entry that `op` looks up, in a constant of the module around.
mlir::Value loadEntry(mlir::OpBuilder &b, moegpu::LookUpOp op);

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_KERNELGLOBALS_H
