//===- LaneRegion.h - Regions of rows, one token a lane --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The regions of moek.route compute one token on a vector of all its experts or
// slots. The kernel computes many tokens, each in a lane, entry by entry: a
// value of the region becomes a vector of lanes for each entry, a reduction a
// sum in ascending order.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_LANES_LANEREGION_H
#define MOE_MLIR_TARGET_LANES_LANEREGION_H

#include "moe-mlir/Target/Lanes/Emitter.h"

namespace moe {

/// Gives the lanes of entry `row` (an index) of an argument.
using LaneLoader = std::function<mlir::Value(Emitter &e, mlir::Value row)>;

/// Whether all ops of `body` have a form in lanes: constants, elementwise ops,
/// reductions of vectors, and broadcasts of scalars.
bool canEmitInLanes(mlir::Block &body);

/// Emits `body` for `lanes` tokens and `rows` entries. `arguments` has a loader
/// for each argument; that of a scalar ignores the row. Calls
/// `store(e, i, row, value)` for each entry of each yielded value `i`.
void emitRegionInLanes(
    Emitter &e, mlir::Block &body, int64_t rows, int64_t lanes,
    llvm::ArrayRef<LaneLoader> arguments,
    llvm::function_ref<void(Emitter &e, unsigned i, mlir::Value row,
                            mlir::Value value)>
        store);

/// The value that changes nothing when combined by `kind`.
mlir::TypedAttr getIdentity(mlir::OpBuilder &b,
                            mlir::vector::CombiningKind kind,
                            mlir::Type element);

} // namespace moe

#endif // MOE_MLIR_TARGET_LANES_LANEREGION_H
