//===- MoeCpu.h - CPUs and what is decided for them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one header to include to use the `moe_cpu` dialect. Only the CPU target
// does.
//
//===----------------------------------------------------------------------===//

#ifndef MOECPU_MOECPU_H
#define MOECPU_MOECPU_H

#include "moek/Moek.h"

#include "moe_cpu/MoeCpuDialect.h.inc"
#include "moe_cpu/MoeCpuEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_cpu/MoeCpuAttrs.h.inc"

namespace moecpu {

/// CPUs as `moe_rt_cpu_model()` numbers them, from the first to the last.
struct ModelRange {
  uint64_t first, last;

  /// Nothing if `text` is not as `models` of a target has them.
  static std::optional<ModelRange> parse(llvm::StringRef text);
};

/// Elements of a row of `k` elements padded for the kernels: whole cache lines,
/// an odd number of them, so that the rows of a tile fall into different sets
/// of the first-level cache.
int64_t getPaddedRowLength(int64_t k, mlir::Type element);

/// The layout that makes `packed` of weights that are `logical`, or null.
PanelsAttr getPanels(mlir::ShapedType packed, mlir::RankedTensorType logical);
/// The same of what a kernel reads.
inline PanelsAttr getPanels(moek::GroupedMatmulOp op) {
  return getPanels(llvm::cast<mlir::ShapedType>(op.getRhs().getType()),
                   op.getLogicalRhsType());
}
inline PanelsAttr getPanels(moek::RouteOp op) {
  return getPanels(llvm::cast<mlir::ShapedType>(op.getRouter().getType()),
                   op.getLogicalRouterType());
}

/// The blocks that the weights of `op` are laid out as; null where it has no
/// format or its weights are in logical order.
BlocksAttr getBlocks(moek::GroupedMatmulOp op);

/// The values of a round by `count` consecutive k each, as indices into
/// `rounds.first`; none if there are others.
llvm::SmallVector<llvm::SmallVector<int64_t>>
groupConsecutive(const moe::DecodeRounds &rounds, int64_t count);
/// Values of consecutive k that products of decoded bf16 take at once.
inline int64_t getBF16Together(int64_t lanes) { return lanes == 4 ? 4 : 2; }
/// Why `inner` does not multiply weights in `format`, of rows of `k`, by vectors
/// of so many lanes, as the end of a sentence; empty if it does.
std::string getObstacle(Inner inner, int64_t lanes,
                        moe::WeightFormatAttrInterface format, int64_t k);

/// The schedule of a matmul, or null.
inline ScheduleAttr getSchedule(moek::GroupedMatmulOp op) {
  return llvm::dyn_cast_or_null<ScheduleAttr>(
      mlir::Attribute(op.getScheduleAttr()));
}
/// The schedule of a route, or null.
inline RouteScheduleAttr getSchedule(moek::RouteOp op) {
  return llvm::dyn_cast_or_null<RouteScheduleAttr>(
      mlir::Attribute(op.getScheduleAttr()));
}

} // namespace moecpu

#endif // MOECPU_MOECPU_H
