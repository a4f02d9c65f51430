//===- StridedView.h - Where the elements of a view are --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The arithmetic of expressions: sizes and strides, without elements.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CHECKPOINT_STRIDEDVIEW_H
#define MOE_LIB_CHECKPOINT_STRIDEDVIEW_H

#include "moe-mlir/Checkpoint/TensorExpression.h"

namespace moe::detail {

/// Elements of a row-major tensor: that at [i, j, ...] is number
/// `offset + i * strides[0] + j * strides[1] + ...` of it. Without elements all
/// strides are 0; products of sizes fit in an int64_t.
struct StridedView {
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;

  static StridedView whole(std::vector<int64_t> sizes);
  int64_t numElements() const;
  /// The place of element `linear` in row-major order.
  int64_t place(int64_t linear) const;
  /// The first and the last place that may be met in elements
  /// [first, first + count); count is not 0.
  std::pair<int64_t, int64_t> places(int64_t first, int64_t count) const;
  /// The same elements in the same order with other sizes, if that is a view.
  std::optional<StridedView> reshape(llvm::ArrayRef<int64_t> sizes) const;
  /// The same elements in the same order with as few dimensions as possible, at
  /// least one.
  StridedView simplify() const;
};

/// Applies a step to `view`; its last axis consists of blocks of `block`
/// elements that stay whole (1: of elements). If the result is a view of the
/// elements of `view` but not of those behind them, `next` is set to that view.
/// False with a message.
bool applyStep(const TensorStep &step, int64_t block, StridedView &view,
               std::optional<StridedView> &next, std::string &error);

} // namespace moe::detail

#endif // MOE_LIB_CHECKPOINT_STRIDEDVIEW_H
