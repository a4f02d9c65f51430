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

/// For Hopper, of bf16: products of warpgroups (wgmma) on tiles that are copied
/// while the ones before are multiplied. Arguments: the map of the weights, the
/// rows (their map without `gather`), the index (with it), offsets, the
/// parameters, the result.
mlir::LLVM::LLVMFuncOp buildWarpgroupMatmul(mlir::ModuleOp module,
                                            mlir::StringRef name,
                                            const MatmulShape &shape,
                                            Epilogue &epilogue, Launch &launch);

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
