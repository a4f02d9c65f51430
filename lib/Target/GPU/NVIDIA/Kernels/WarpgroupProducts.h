//===- WarpgroupProducts.h - Asynchronous products of a warpgroup -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the kernels of Hopper make of a stage: products of 64 rows by all
// columns or some (wgmma), of rows that lie swizzled in shared memory.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_WARPGROUPPRODUCTS_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_WARPGROUPPRODUCTS_H

#include "TileBlock.h"

namespace moe::nvidia {

/// The rows of a product, those of a warpgroup.
constexpr int64_t kProductRows = 64;

/// What tells a product where rows of 128 bytes lie, swizzled: the address in
/// units of 16 bytes, and 1024 bytes from eight rows to the next.
Value getDescriptor(Emitter &code, Value address);

/// As many sums as a thread has of so many columns, all 0.
Value getZeroSums(Emitter &code, int64_t columns);

/// Starts a product of 32 bytes of depth of bf16, or of E4M3; without `adds`,
/// what the sums were does not matter.
Value multiply(Emitter &code, mlir::NVVM::WGMMATypes type, Value sums,
               Value lhs, Value rhs, bool adds = true);

/// The same values, which nothing that reads them may be moved before: LLVM
/// does not know that a product's sums are there only after the wait.
mlir::SmallVector<Value> settle(Emitter &code, Value sums);

/// What a warpgroup makes of a full stage of E4M3: adds products to the sums of
/// its rows, `firstRow` on, scaled. All products are done then.
mlir::SmallVector<Value> addScaledProducts(TileBlock &block, const Ring &ring,
                                           Value firstRow, ValueRange sums);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_WARPGROUPPRODUCTS_H
