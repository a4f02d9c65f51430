//===- MoeNvidia.h - NVIDIA's GPUs and what is decided for them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one header to include to use the `moe_nvidia` dialect. Only the NVIDIA
// target does.
//
//===----------------------------------------------------------------------===//

#ifndef MOENVIDIA_MOENVIDIA_H
#define MOENVIDIA_MOENVIDIA_H

#include "moek/Moek.h"

#include "moe_nvidia/MoeNvidiaDialect.h.inc"
#include "moe_nvidia/MoeNvidiaEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_nvidia/MoeNvidiaAttrs.h.inc"

namespace moenvidia {

/// The schedule of a matmul, or null.
inline ScheduleAttr getSchedule(moek::GroupedMatmulOp op) {
  return llvm::dyn_cast_or_null<ScheduleAttr>(
      mlir::Attribute(op.getScheduleAttr()));
}

/// Whether a matmul is for the kernels of any GPU, which multiply in f32: of
/// weights that are neither bf16 nor in a format, or with operands of rows.
bool usesTiles(moek::GroupedMatmulOp matmul);

/// Why no kernel multiplies the rows of `matmul` in 8 bits; empty if one does.
std::string whyNotE4M3(moek::GroupedMatmulOp matmul);

/// Whether kernels of `module` wait for those before them by themselves, and are
/// set up while these end: on Hopper and later.
inline bool overlapsKernels(mlir::ModuleOp module) {
  auto chip = llvm::dyn_cast_or_null<TargetAttr>(
      mlir::Attribute(moek::getTarget(module)));
  return chip && chip.getWgmma();
}

} // namespace moenvidia

#endif // MOENVIDIA_MOENVIDIA_H
