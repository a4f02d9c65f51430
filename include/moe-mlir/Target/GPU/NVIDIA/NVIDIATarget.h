//===- NVIDIATarget.h - NVIDIA's GPUs as a target ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_NVIDIA_NVIDIATARGET_H
#define MOE_MLIR_TARGET_GPU_NVIDIA_NVIDIATARGET_H

#include "moe-mlir/Target/Target.h"

namespace moe {

/// NVIDIA's GPUs, through NVVM and PTX. Chips are #moe_nvidia.target.
std::unique_ptr<Target> createNVIDIATarget();

} // namespace moe

#endif // MOE_MLIR_TARGET_GPU_NVIDIA_NVIDIATARGET_H
