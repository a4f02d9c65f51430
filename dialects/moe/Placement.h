//===- Placement.h - Where weights of experts could lie -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Discardable attributes of `moe.expert`: an order in which weights of its
// experts could lie in a file, how many copies of them several devices could
// hold, and which. What is computed does not depend on them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_PLACEMENT_H
#define MOE_DIALECT_PLACEMENT_H

#include "mlir/IR/Operation.h"

namespace moe {

/// `array<i64: ...>`: entry i is the expert in place i; each of them once.
inline constexpr llvm::StringLiteral kPlacementAttrName = "moe.placement";
/// `array<i64: ...>`: entry i is the number of copies of expert i, at least
/// one.
inline constexpr llvm::StringLiteral kReplicasAttrName = "moe.replicas";
/// `array<i64: ...>`: the shard of each copy, those of expert 0 first; shards
/// are numbered from 0, hold something each, and no expert twice.
inline constexpr llvm::StringLiteral kShardsAttrName = "moe.shards";

/// Removes what `op`, a moe.expert whose experts are others now, says of the
/// ones that it had.
inline void dropPlacements(mlir::Operation *op) {
  for (llvm::StringRef name :
       {kPlacementAttrName, kReplicasAttrName, kShardsAttrName})
    op->removeDiscardableAttr(name);
}

/// Copies that `op` has of each of `experts` experts by its `moe.replicas`: one
/// without it.
llvm::SmallVector<int64_t> getReplicas(mlir::Operation *op, int64_t experts);

} // namespace moe

#endif // MOE_DIALECT_PLACEMENT_H
