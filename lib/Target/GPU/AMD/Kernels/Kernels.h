//===- Kernels.h - Kernels for AMD's GPUs -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_AMD_KERNELS_KERNELS_H
#define MOE_MLIR_LIB_TARGET_GPU_AMD_KERNELS_KERNELS_H

#include "moe-mlir/Target/GPU/Common/Kernels.h"

namespace moe::amd {

/// Of bf16: matrix instructions (MFMA) of 32 by 32 with a depth of `depth`, 8
/// or 16, on tiles in shared memory; `few` makes tiles for few rows an expert.
/// Arguments: as `gpu::MatmulArguments` has them.
mlir::LLVM::LLVMFuncOp buildMatrixMatmul(mlir::ModuleOp module,
                                         mlir::StringRef name,
                                         const gpu::MatmulShape &shape,
                                         gpu::Epilogue &epilogue, int64_t depth,
                                         bool few, gpu::Launch &launch);

} // namespace moe::amd

#endif // MOE_MLIR_LIB_TARGET_GPU_AMD_KERNELS_KERNELS_H
