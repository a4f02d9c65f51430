//===- VulkanTarget.h - Devices of Vulkan as a target -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_VULKAN_VULKANTARGET_H
#define MOE_MLIR_TARGET_GPU_VULKAN_VULKANTARGET_H

#include "moe-mlir/Target/Target.h"

namespace moe {

/// Devices of Vulkan, through SPIR-V. Chips are #moe_vulkan.target.
std::unique_ptr<Target> createVulkanTarget();

} // namespace moe

#endif // MOE_MLIR_TARGET_GPU_VULKAN_VULKANTARGET_H
