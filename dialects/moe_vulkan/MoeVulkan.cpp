//===- MoeVulkan.cpp - Vulkan's devices and what is decided for them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_vulkan/MoeVulkan.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moevulkan;

#include "moe_vulkan/MoeVulkanDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_vulkan/MoeVulkanAttrs.cpp.inc"

void MoeVulkanDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moe_vulkan/MoeVulkanAttrs.cpp.inc"
      >();
}

StringRef TargetAttr::getTargetName() const { return "vulkan"; }

StringRef TargetAttr::getChipName() const { return getName(); }

//===----------------------------------------------------------------------===//
// ScheduleAttr
//===----------------------------------------------------------------------===//

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t few) {
  if (few < -1)
    return emitError() << "few must be a number of rows or -1, got " << few;
  return success();
}

LogicalResult ScheduleAttr::verifySchedule(Operation *op) const {
  auto matmul = dyn_cast<moek::GroupedMatmulOp>(op);
  if (!matmul)
    return op->emitOpError("has ") << *this << ", which is for grouped matmuls";
  auto refuse = [&](const Twine &why) {
    return op->emitOpError("has ") << *this << ", whose kernels " << why;
  };
  auto isFloat = [](Value v) {
    Type type = getElementTypeOrSelf(v.getType());
    return type.isF32() || type.isF16() || type.isBF16();
  };
  if (!isFloat(matmul.getLhs()) ||
      (!matmul.getFormatAttr() && !isFloat(matmul.getRhs())) ||
      !isFloat(matmul.getOutputs()[0]))
    return refuse("multiply rows and weights of f32, f16 and bf16");
  if (matmul.getPositions() || matmul.getFirstRow())
    return refuse("have no windows, and do not combine");
  return success();
}
