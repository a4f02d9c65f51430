//===- LoopGroup.h - Linalg ops that share a parallel loop ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A run of linalg ops on memrefs that can be computed tile by tile, one after
// the other within a tile, because what a tile of one op reads was written by
// the same tile of the ops before.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CONVERSION_LINALGTOVECTOR_LOOPGROUP_H
#define MOE_LIB_CONVERSION_LINALGTOVECTOR_LOOPGROUP_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace moe::linalg_to_vector {

/// The allocation or argument `memref` is a view of; null when unknown.
mlir::Value getRoot(mlir::Value memref);

/// The memrefs `op` accesses, itself or inside its regions.
llvm::SmallVector<mlir::Value> getAccessedMemRefs(mlir::Operation *op);

class LoopGroup {
public:
  struct Member {
    mlir::linalg::LinalgOp op;
    /// Its loop for each shared dimension.
    llvm::SmallVector<unsigned> loops;
    /// For each output, the scalar it starts from instead of its contents.
    llvm::SmallVector<mlir::Value> initials;
  };

  bool empty() const { return members.empty(); }
  void clear() { members.clear(); }

  /// Starts a group of `op` alone, sharing all of its parallel loops.
  void start(mlir::linalg::LinalgOp op, llvm::ArrayRef<mlir::Value> initials);

  /// Adds `op` if the group stays correct and parallel enough.
  bool tryAdd(mlir::linalg::LinalgOp op, llvm::ArrayRef<mlir::Value> initials);

  llvm::MutableArrayRef<Member> getMembers() { return members; }
  unsigned getNumShared() const { return members.front().loops.size(); }

  /// How many iterations of each shared dimension make a tile.
  llvm::SmallVector<int64_t> getTileSizes();

  /// Whether threads would cost more than they save.
  bool isTiny();

private:
  llvm::SmallVector<Member> members;
};

} // namespace moe::linalg_to_vector

#endif // MOE_LIB_CONVERSION_LINALGTOVECTOR_LOOPGROUP_H
