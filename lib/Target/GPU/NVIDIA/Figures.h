//===- Figures.h - What is known of chips -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_FIGURES_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_FIGURES_H

#include "moe-mlir/Target/KernelFacts.h"

#include "llvm/ADT/StringRef.h"

#include <string>
#include <utility>
#include <vector>

namespace moe::nvidia {

/// Rates of the best known card with the chip, from its data sheet: `memory` in
/// MB/s, `fma` (f32), `tensor_bf16` and `tensor_e4m3` in GFLOP/s. None for a
/// chip without one.
std::vector<std::pair<std::string, int64_t>> getRates(llvm::StringRef cpu);

/// What the PTX of kernels for `cpu` says of them, by their names, and with
/// `printed` what `ptxas -v` does. Kernels that are not in `facts` are added.
void describe(llvm::StringRef ptx, llvm::StringRef printed, llvm::StringRef cpu,
              std::vector<KernelFacts> &facts);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_FIGURES_H
