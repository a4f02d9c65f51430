//===- Image.h - What artifacts hold of kernels -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// PTX, which ends with a null byte, alone or behind a cubin (see moe_cuda.h).
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_IMAGE_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_IMAGE_H

#include "llvm/ADT/StringRef.h"

#include <string>

namespace moe::nvidia {

/// Runs NVIDIA's assembler on `ptx` for `cpu`. A false result comes with
/// `error`; `printed` is what it said of each kernel.
bool assemble(llvm::StringRef ptx, llvm::StringRef cpu, llvm::StringRef ptxas,
              std::string &cubin, std::string &printed, std::string &error);

/// An image of both; `ptx` without its null byte.
std::string makeImage(llvm::StringRef ptx, llvm::StringRef cubin);

/// The PTX of an image, without its null byte.
llvm::StringRef getPTX(llvm::StringRef image);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_IMAGE_H
