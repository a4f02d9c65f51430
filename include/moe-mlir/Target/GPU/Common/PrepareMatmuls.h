//===- PrepareMatmuls.h - Matmuls as GPUs run them --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_PREPAREMATMULS_H
#define MOE_MLIR_TARGET_GPU_COMMON_PREPAREMATMULS_H

#include "moek/Moek.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {

/// Makes of a matmul that combines its rows one that writes them, as `element`,
/// and a combine. Returns the matmul.
moek::GroupedMatmulOp splitCombine(mlir::RewriterBase &b,
                                   moek::GroupedMatmulOp matmul,
                                   mlir::Type element);

/// Lets `matmul` read no list of active experts, which GPUs see from the
/// offsets: nothing has to make it.
void dropActive(mlir::RewriterBase &b, moek::GroupedMatmulOp matmul);

/// Makes the rows that `matmul` writes bf16; who reads them as they were gets
/// them widened.
void narrowResult(mlir::RewriterBase &b, moek::GroupedMatmulOp matmul);

/// Rounds the rows that `matmul` reads to bf16.
void narrowRows(mlir::RewriterBase &b, moek::GroupedMatmulOp matmul);

/// Lays out weights in a format as `#moe_gpu.blocks`; an error if more than
/// matmuls read them. Does nothing where there is a layout, or no format.
mlir::LogicalResult layOutBlocks(mlir::RewriterBase &b,
                                 moek::GroupedMatmulOp matmul);

/// Says, as a remark, what becomes of rows instead where they were to become
/// what meets codes.
void remarkOnRows(moek::GroupedMatmulOp matmul, llvm::StringRef instead);

} // namespace moe

#endif // MOE_MLIR_TARGET_GPU_COMMON_PREPAREMATMULS_H
