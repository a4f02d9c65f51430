//===- WeightUse.h - Which weights are packed ahead of time -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A kernel wants its weights in panels, which are made before the function
// runs. Whoever builds a kernel asks here whether that can be done, and whoever
// makes the panels asks here of what.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_WEIGHTUSE_H
#define MOE_MLIR_ANALYSIS_WEIGHTUSE_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Value.h"

#include <string>

namespace moe {

/// What a `[E, N, K]` or `[N, K]` weight is before the function runs.
struct WeightUse {
  /// An argument of a public function, or the result of a constant.
  mlir::Value root;
  /// The elements, if it is a constant.
  mlir::ElementsAttr constant;
  /// The rows and columns of each expert's matrix; counts of 0 mean all of it.
  int64_t firstRow = 0, rows = 0, firstColumn = 0, columns = 0;
  /// The experts, in the same way.
  int64_t firstMatrix = 0, matrices = 0;

  /// Follows `weight` through reshapes that only add or remove dimensions of
  /// size one, and through one slice of experts, rows and columns. Fails when
  /// it can not be packed ahead of time, and `why` says what it is ("it is
  /// ...").
  static mlir::FailureOr<WeightUse> get(mlir::Value weight, std::string &why);
};

/// Whether `weights` can be packed together: each ahead of time, and either
/// all or none of them a constant.
bool canPackTogether(mlir::ValueRange weights, std::string &why);

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_WEIGHTUSE_H
