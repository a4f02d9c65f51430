//===- Kernels.h - Kernels for NVIDIA's GPUs --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_KERNELS_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_KERNELS_H

#include "moe-mlir/Target/GPU/Common/Kernels.h"

namespace moe::nvidia {

using gpu::Epilogue;
using gpu::Launch;
using gpu::MatmulShape;

/// For Hopper, of bf16, or with `scales` of E4M3: products of warpgroups
/// (wgmma) on tiles that are copied while the ones before are multiplied.
/// Arguments: the map of the weights, or with `blocks` weights, the rows (their
/// map without `gather` and `blocks`), their scales, the index (with `gather`),
/// offsets, the parameters, the result.
mlir::LLVM::LLVMFuncOp buildWarpgroupMatmul(mlir::ModuleOp module,
                                            mlir::StringRef name,
                                            const MatmulShape &shape,
                                            Epilogue &epilogue, Launch &launch);

/// Rows of `k` values, a multiple of 128.
struct QuantizeShape {
  int64_t k;
  /// Whether there are only as many as the offsets of so many experts say.
  int64_t experts = 0;
};

/// Teams of a block.
constexpr int64_t kQuantizeTeams = 8;

/// For chips that convert to E4M3: rows of bf16 become E4M3, and of each 128
/// values a scale of f32, `[rows, k / 128]`: their largest magnitude by 448.
/// A NaN or an infinity makes a group NaN. Arguments: rows, values, scales,
/// with `experts` the offsets, and the number of rows there may be (i32).
mlir::LLVM::LLVMFuncOp buildQuantizeRows(mlir::ModuleOp module,
                                         mlir::StringRef name,
                                         const QuantizeShape &shape);

/// For every chip with bf16 products of warps, and few rows an expert: streams
/// weights from memory into registers. Without `unrolls` loops stay loops,
/// which takes fewer registers. Arguments: weights, rows, the index (with
/// `gather`), offsets, the parameters, the result.
mlir::LLVM::LLVMFuncOp buildWarpMatmul(mlir::ModuleOp module,
                                       mlir::StringRef name,
                                       const MatmulShape &shape,
                                       Epilogue &epilogue, bool unrolls,
                                       Launch &launch);

/// Slots a token may have in `buildDecodeSums`, each with a warp or more.
constexpr int64_t kDecodeWarps = 24;

/// Blocks for each row, or token, of these two.
struct DecodeLaunch {
  int64_t blocks;
};

/// For a few tokens whose experts differ: a row for each slot, whose expert
/// `indices` says; slots without one are left out. Arguments: weights, rows of
/// tokens (f32 or bf16), indices, the parameters, the rows.
mlir::LLVM::LLVMFuncOp buildDecodeRows(mlir::ModuleOp module,
                                       mlir::StringRef name,
                                       const MatmulShape &shape, int64_t slots,
                                       Epilogue &epilogue,
                                       DecodeLaunch &launch);

/// The same of those rows, and the sum over a token's slots. Arguments:
/// weights, rows, indices, with `weighs` the weights of slots, with `init` the
/// initial values, the parameters, the result. With `overlaps` it is set up
/// while the kernel of the rows still runs.
mlir::LLVM::LLVMFuncOp
buildDecodeSums(mlir::ModuleOp module, mlir::StringRef name,
                const MatmulShape &shape, const gpu::CombineShape &sum,
                bool overlaps, Epilogue &epilogue, DecodeLaunch &launch);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_KERNELS_H
