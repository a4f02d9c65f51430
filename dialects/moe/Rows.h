//===- Rows.h - Selection for one token ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The form in which routing kernels select for few tokens: one after another,
// the experts of each in lanes. What Lanes.h computes for a vector of tokens
// costs the same for one of them; this costs as much as there are tokens. Both
// give the same choice, and no branch depends on data here either.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ROWS_H
#define MOE_ROWS_H

#include "moe/Lanes.h"

namespace moe {

/// Lanes pair up: each gets what the one `distance` away has, a power of 2.
mlir::Value buildExchange(mlir::OpBuilder &b, mlir::Location loc,
                          mlir::Value vector, int64_t distance);

/// Combines all lanes of a vector by an operation whose order does not matter;
/// every lane gets the result.
mlir::Value buildAcrossLanes(
    mlir::OpBuilder &b, mlir::Location loc, mlir::Value vector,
    llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> combine);

/// The scores of one token and where its choice goes. Buffers have room for a
/// whole vector from each of their entries.
struct RowSelection : LaneBuilder {
  /// W, on every machine: a narrower vector is several.
  static constexpr int64_t kLanes = 16;
  /// What the two levels of `buildTopK` can hold.
  static constexpr int64_t kMaxExperts = 4096;

  /// `memref<N x f32>`: entry e is the score of expert e.
  mlir::Value scores;
  /// One value a token: the value. Others: memrefs as they are.
  llvm::SmallVector<mlir::Value> operands;
  /// `memref<N x i32>` to be written: the expert in each slot, or -1.
  mlir::Value indices;
  /// `memref<N x f32>` to be written by policies that provide values.
  mlir::Value values;

  /// W entries from `first` (an index) on.
  mlir::Value load(mlir::Value memref, mlir::Value first);
  void store(mlir::Value vector, mlir::Value memref, mlir::Value first);
  /// A buffer of `entries` in the first-level cache.
  mlir::Value scratch(int64_t entries, mlir::Type element);
  /// The numbers of W entries from `first` on, as i32.
  mlir::Value iota(int64_t first = 0);
  mlir::Value exchange(mlir::Value vector, int64_t distance);

  /// Visits `entries` a vector at a time, with `state` as in `loop`. `mask` is
  /// null unless some lanes are beyond the last entry.
  using VectorBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value first, mlir::Value mask, mlir::ValueRange state)>;
  llvm::SmallVector<mlir::Value>
  loopVectors(int64_t entries, mlir::ValueRange state, VectorBody body);

  /// Writes the `k` first experts in the order of all policies to `indices`, k
  /// at most the number of experts. `key(first)` gives the keys of the W
  /// experts from `first` on.
  void buildTopK(int64_t k, llvm::function_ref<mlir::Value(mlir::Value)> key,
                 mlir::Value indices);

private:
  mlir::Value findFirst(mlir::ValueRange vectors, mlir::Value wanted);
  void put(llvm::MutableArrayRef<mlir::Value> vectors, mlir::Value place,
           mlir::Value value);
  mlir::Value maxOf(mlir::ValueRange vectors);
};

} // namespace moe

#endif // MOE_ROWS_H
