//===- MoeVulkan.h - Vulkan's devices and what is decided for them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one header to include to use the `moe_vulkan` dialect. Only the Vulkan
// target does.
//
//===----------------------------------------------------------------------===//

#ifndef MOEVULKAN_MOEVULKAN_H
#define MOEVULKAN_MOEVULKAN_H

#include "moek/Moek.h"

#include "moe_vulkan/MoeVulkanDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_vulkan/MoeVulkanAttrs.h.inc"

namespace moevulkan {

/// The schedule of a matmul, or null.
inline ScheduleAttr getSchedule(moek::GroupedMatmulOp op) {
  return llvm::dyn_cast_or_null<ScheduleAttr>(
      mlir::Attribute(op.getScheduleAttr()));
}

} // namespace moevulkan

#endif // MOEVULKAN_MOEVULKAN_H
