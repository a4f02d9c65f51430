//===- MoeAmd.h - AMD's GPUs and what is decided for them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one header to include to use the `moe_amd` dialect. Only the AMD target
// does.
//
//===----------------------------------------------------------------------===//

#ifndef MOEAMD_MOEAMD_H
#define MOEAMD_MOEAMD_H

#include "moek/Moek.h"

#include "moe_amd/MoeAmdDialect.h.inc"
#include "moe_amd/MoeAmdEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_amd/MoeAmdAttrs.h.inc"

namespace moeamd {

/// The schedule of a matmul, or null.
inline ScheduleAttr getSchedule(moek::GroupedMatmulOp op) {
  return llvm::dyn_cast_or_null<ScheduleAttr>(
      mlir::Attribute(op.getScheduleAttr()));
}

} // namespace moeamd

#endif // MOEAMD_MOEAMD_H
