//===- WarpgroupProducts.h - Asynchronous products --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_WARPGROUPPRODUCTS_H
#define MOE_MLIR_LIB_REFERENCE_GPU_WARPGROUPPRODUCTS_H

#include "Program.h"

namespace moe::reference::simt {

/// wgmma with sums of f32. Operands: the descriptors of A and B, and N / 2
/// sums; `a` is N, and `b` the bits of its ProductKind.
Outcome runWarpgroupProduct(Warp &warp, const Instruction &instruction);
/// Registers are from here on what products may add to.
Outcome runWarpgroupFence(Warp &warp, const Instruction &instruction);
/// The products before make a group.
Outcome runWarpgroupCommit(Warp &warp, const Instruction &instruction);
/// Waits for all but the last `a` groups.
Outcome runWarpgroupWait(Warp &warp, const Instruction &instruction);

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_WARPGROUPPRODUCTS_H
