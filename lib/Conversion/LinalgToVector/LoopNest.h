//===- LoopNest.h - One linalg op as loops over vectors ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Decides how a linalg op on memrefs runs (NestPlan) and writes the loops.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CONVERSION_LINALGTOVECTOR_LOOPNEST_H
#define MOE_LIB_CONVERSION_LINALGTOVECTOR_LOOPNEST_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace moe::linalg_to_vector {

/// Elements of a vector, whatever their type and the target: partial sums are
/// then the same on all targets. LLVM splits what is wider than a register.
inline constexpr int64_t kLanes = 16;

/// The iterations [lower, lower + size) of a loop.
struct Span {
  mlir::Value lower;
  mlir::OpFoldResult size;
};

/// Whether the op sums (or the like) over products of several inputs, so that
/// blocking saves loads.
bool isContraction(mlir::linalg::LinalgOp op);

/// Which loop runs over vectors, and how many iterations of each loop are
/// computed together.
struct NestPlan {
  /// `wide`: a vector fits a register, of which there are 32.
  static NestPlan get(mlir::linalg::LinalgOp op, bool wide);

  /// None: all loops are scalar.
  std::optional<unsigned> vectorLoop;
  llvm::SmallVector<int64_t> blocks;
};

/// The op that combines partial results of output `i`, if there is one.
mlir::Operation *getCombiner(mlir::linalg::LinalgOp op, unsigned i);
/// What lanes of a reduction with that op start from.
mlir::TypedAttr getIdentity(mlir::Operation *combiner);

/// Writes `op` over `spans` at the insertion point. `initials` holds, for each
/// output, the scalar a reduction starts from, or null to start from what the
/// output holds.
void emitLoopNest(mlir::OpBuilder &b, mlir::linalg::LinalgOp op,
                  llvm::ArrayRef<Span> spans, const NestPlan &plan,
                  llvm::ArrayRef<mlir::Value> initials);

} // namespace moe::linalg_to_vector

#endif // MOE_LIB_CONVERSION_LINALGTOVECTOR_LOOPNEST_H
