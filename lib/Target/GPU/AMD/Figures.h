//===- Figures.h - What is known of chips -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_AMD_FIGURES_H
#define MOE_MLIR_LIB_TARGET_GPU_AMD_FIGURES_H

#include "moe-mlir/Target/KernelFacts.h"

#include "llvm/ADT/StringRef.h"

#include <string>
#include <utility>
#include <vector>

namespace moe::amd {

/// Rates of a card with the chip, from its data sheet: `memory` in MB/s, `fma`
/// (f32) and `tensor_bf16` in GFLOP/s. None for a chip without one.
std::vector<std::pair<std::string, int64_t>> getRates(llvm::StringRef cpu);

/// What LLVM's assembly of kernels for `cpu` says of them, by their names.
/// Kernels that are not in `facts` are added.
void describe(llvm::StringRef assembly, llvm::StringRef cpu,
              std::vector<KernelFacts> &facts);

} // namespace moe::amd

#endif // MOE_MLIR_LIB_TARGET_GPU_AMD_FIGURES_H
