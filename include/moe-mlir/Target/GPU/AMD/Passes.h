//===- Passes.h - Kernels for AMD's GPUs -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_AMD_PASSES_H
#define MOE_MLIR_TARGET_GPU_AMD_PASSES_H

#include "moe_amd/MoeAmd.h"
#include "moe_gpu/MoeGpu.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace moe {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "moe-mlir/Target/GPU/AMD/Passes.h.inc"
} // namespace moe

#endif // MOE_MLIR_TARGET_GPU_AMD_PASSES_H
