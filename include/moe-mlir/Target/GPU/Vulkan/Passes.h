//===- Passes.h - Kernels for Vulkan's devices -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_VULKAN_PASSES_H
#define MOE_MLIR_TARGET_GPU_VULKAN_PASSES_H

#include "moe_gpu/MoeGpu.h"
#include "moe_rt/MoeRt.h"
#include "moe_vulkan/MoeVulkan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace moe {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "moe-mlir/Target/GPU/Vulkan/Passes.h.inc"
} // namespace moe

#endif // MOE_MLIR_TARGET_GPU_VULKAN_PASSES_H
