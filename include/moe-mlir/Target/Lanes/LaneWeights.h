//===- LaneWeights.h - The weights of chosen experts ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_LANES_LANEWEIGHTS_H
#define MOE_MLIR_TARGET_LANES_LANEWEIGHTS_H

#include "moe-mlir/Target/Lanes/Emitter.h"

#include "moe/Lanes.h"
#include "moek/Moek.h"

namespace moe {

/// The weights that `op` makes of `l.indices` and `l.values`, in the rows of a
/// buffer, `memref<K x W x f32>`; 0 in unused slots.
mlir::Value emitLaneWeights(Emitter &e, moek::RouteOp op, LaneSelection &l);

} // namespace moe

#endif // MOE_MLIR_TARGET_LANES_LANEWEIGHTS_H
