//===- MoeGpu.h - Kernels for any GPU ---------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one header to include to use the `moe_gpu` dialect.
//
//===----------------------------------------------------------------------===//

#ifndef MOEGPU_MOEGPU_H
#define MOEGPU_MOEGPU_H

#include "moek/BlockPanels.h"
#include "moek/Moek.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "moe_gpu/MoeGpuDialect.h.inc"
#include "moe_gpu/MoeGpuEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_gpu/MoeGpuAttrs.h.inc"

#define GET_OP_CLASSES
#include "moe_gpu/MoeGpuOps.h.inc"

namespace moegpu {

/// Of an `llvm.func`: its `#moe_gpu.kernel`.
constexpr llvm::StringLiteral kKernelAttrName = "moe_gpu.kernel";

/// Threads that exchange values, on every chip.
constexpr int64_t kTeam = 32;

/// Of pointers: memory of the device, and what the threads of a block share.
constexpr unsigned kGlobalSpace = 1, kSharedSpace = 3;

/// The layout of the weights of a matmul; null if they are not in one of a
/// format.
BlocksAttr getBlocks(moek::GroupedMatmulOp op);

/// Null if `op` is no kernel.
KernelAttr getKernel(mlir::Operation *op);

} // namespace moegpu

#endif // MOEGPU_MOEGPU_H
