//===- RowPairs.h - Rows in pairs, as bfmmla takes them --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_ROWPAIRS_H
#define MOE_LIB_TARGET_CPU_KERNELS_ROWPAIRS_H

#include "MicroKernel.h"

namespace moe {

/// bfmmla: 2 rows x 4 k times 2 columns x 4 k. A tile holds 2 x 2 blocks, pairs
/// of rows by pairs of columns. With an odd number of rows the last one is
/// there twice.
class RowPairs {
public:
  using Value = mlir::Value;

  /// `vectors` of four columns each.
  RowPairs(Emitter &e, int64_t rows, int64_t vectors)
      : e(e), rows(rows), vectors(vectors) {}

  /// The tile, from and to rows of 32 f32 at `acc`.
  llvm::SmallVector<Value> loadTile(Value acc);
  void storeTile(Value acc, mlir::ValueRange tile);
  /// Four k of the rows at `lhs`, `pitch` bytes apart, by pairs.
  llvm::SmallVector<Value> loadRows(Value lhs, int64_t pitch);
  /// Adds the products with columns 4v and 4v + 1 (`side` 0), or the two after
  /// them, of which `weights` are four k each.
  void multiply(llvm::ArrayRef<Value> pairs, Value weights, int64_t v,
                int64_t side, llvm::MutableArrayRef<Value> tile);

private:
  /// The second row of the pair that begins with `row`.
  int64_t second(int64_t row) { return std::min(row + 1, rows - 1); }
  Value load(mlir::Type type, Value pointer, unsigned alignment) {
    return mlir::LLVM::LoadOp::create(e, type, pointer, alignment);
  }
  Value shuffle(Value a, Value b, llvm::ArrayRef<int64_t> lanes) {
    return mlir::vector::ShuffleOp::create(e, a, b, lanes);
  }

  Emitter &e;
  int64_t rows, vectors;
};

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_ROWPAIRS_H
