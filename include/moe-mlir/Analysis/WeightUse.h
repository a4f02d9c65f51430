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

#include "moe/Moe.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Value.h"

#include <array>
#include <optional>
#include <string>

namespace moe {

/// A box of a weight `[E, N, K]` that one tensor fills. Its element `[e][n][k]`
/// is element `offset + e * strides[0] + n * strides[1] + k * strides[2]` of the
/// tensor. The stride of a dimension of one is 0.
struct WeightPiece {
  /// An argument of a public function, the result of a constant, or that of a
  /// moe.dequantize of only either.
  mlir::Value root;
  /// The elements, if it is a constant.
  mlir::ElementsAttr constant;

  /// What the elements of `root` are stored in, if it is dequantized.
  DequantizeOp getDequantize() const {
    return root.getDefiningOp<DequantizeOp>();
  }
  /// Whether what there is in memory is known.
  bool isConstant() const;
  int64_t offset = 0;
  /// Where the box begins in the weight.
  std::array<int64_t, 3> begin{}, sizes{}, strides{};
};

/// What a `[E, N, K]` or `[N, K]` weight is before the function runs.
struct WeightUse {
  /// They fill the weight, in the order of their experts, rows and columns, and
  /// either all or none of them are constants.
  llvm::SmallVector<WeightPiece, 1> pieces;
  /// Of the pieces, which have one; null for plain numbers.
  WeightFormatAttrInterface format;

  bool isConstant() const { return pieces.front().isConstant(); }

  /// Follows `weight` through views: slices, transpositions, reshapes, and
  /// tensors put together. What is dequantized is whole blocks of rows. Fails
  /// when it can not be packed ahead of time, and `why` says what it is ("it is
  /// ...").
  static mlir::FailureOr<WeightUse> get(mlir::Value weight, std::string &why);

  /// Whether `op` is one of those that get() follows weights through.
  static bool isView(mlir::Operation *op);
};

/// If all that `op` does is to permute the dimensions of its first operand: for
/// each dimension of the result that of the operand.
std::optional<llvm::SmallVector<int64_t>> getPermutation(mlir::Operation *op);

/// Whether `weights` can be packed together: each ahead of time, either all or
/// none of them a constant, and in one format.
bool canPackTogether(mlir::ValueRange weights, std::string &why);

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_WEIGHTUSE_H
