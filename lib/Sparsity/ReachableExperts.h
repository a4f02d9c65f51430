//===- ReachableExperts.h - Which experts a routing may have ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_SPARSITY_REACHABLEEXPERTS_H
#define MOE_LIB_SPARSITY_REACHABLEEXPERTS_H

#include "moe/Moe.h"

#include "llvm/ADT/BitVector.h"

namespace moe {

struct ReachableExperts {
  /// Expert e may have assignments.
  llvm::BitVector experts;
  /// Why the others have none; empty if there are none.
  std::string why;
  /// Why experts that look as if they had none are not among those; empty if
  /// there are none such.
  std::string whyNot;

  /// The experts of `routing`. With `strict` those, too, that are chosen only
  /// where a token has fewer scores above -infinity than it needs: where its
  /// scores are NaN.
  static ReachableExperts get(mlir::Value routing, bool strict);
};

/// Whether column `column` of the last dimension of `tensor` is -infinity or
/// NaN whatever the function's arguments are.
bool isNeverANumber(mlir::Value tensor, int64_t column);

/// The element that column `column` of the last dimension of `tensor` has in
/// every row, if it is known.
mlir::TypedAttr getKnownColumn(mlir::Value tensor, int64_t column);

} // namespace moe

#endif // MOE_LIB_SPARSITY_REACHABLEEXPERTS_H
