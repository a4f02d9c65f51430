//===- AMDTarget.h - AMD's GPUs as a target ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_AMD_AMDTARGET_H
#define MOE_MLIR_TARGET_GPU_AMD_AMDTARGET_H

#include "moe-mlir/Target/Target.h"

namespace moe {

/// AMD's GPUs, through ROCDL and code objects. Chips are #moe_amd.target.
std::unique_ptr<Target> createAMDTarget();

} // namespace moe

#endif // MOE_MLIR_TARGET_GPU_AMD_AMDTARGET_H
