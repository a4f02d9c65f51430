//===- Passes.td - From kernels to entry points -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Before bufferization and behind it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LOWERING_PASSES_TD
#define MOE_LOWERING_PASSES_TD

include "moe-mlir/Lowering/BufferPasses.td"
include "moe-mlir/Lowering/TensorPasses.td"

#endif // MOE_LOWERING_PASSES_TD
