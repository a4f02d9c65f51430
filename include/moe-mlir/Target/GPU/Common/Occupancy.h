//===- Occupancy.h - How many blocks run at once ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_OCCUPANCY_H
#define MOE_MLIR_TARGET_GPU_COMMON_OCCUPANCY_H

#include "moe-mlir/Target/KernelFacts.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <vector>

namespace moe::gpu {

/// The kernel of a name; it is added if it is not there.
KernelFacts &findKernel(std::vector<KernelFacts> &facts, llvm::StringRef name);

/// Blocks that a multiprocessor has room for, and room for what that is.
struct BlockLimit {
  int64_t blocks;
  const char *what;
};

/// Sets what follows from the least of `limits`, the first of equal ones, for
/// blocks of so many warps on a multiprocessor of at most `mostWarps`.
void setOccupancy(KernelFacts &kernel, llvm::ArrayRef<BlockLimit> limits,
                  int64_t warps, int64_t mostWarps);

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_OCCUPANCY_H
