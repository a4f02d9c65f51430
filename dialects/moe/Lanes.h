//===- Lanes.h - Selection for a vector of tokens --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The form in which routing kernels select: one token a lane, one expert after
// another. Whatever happens inside a token is then the same scalar computation
// in every lane, with one order of operations on every machine, and a choice is
// a mask instead of a branch.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LANES_H
#define MOE_LANES_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Value.h"
#include "mlir/IR/ValueRange.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"

namespace moe {

/// What a policy selects for one token (`SelectionPolicyAttrInterface`).
struct SelectedExperts {
  SelectedExperts() = default;
  SelectedExperts(mlir::Value experts, mlir::Value values = {})
      : experts(experts), values(values) {}
  explicit operator bool() const { return bool(experts); }

  mlir::Value experts; ///< `vector<Kxi32>`, -1 in unused slots.
  mlir::Value values;  ///< `vector<KxT>` if the policy provides values.
};

/// What forms in lanes are built with: vectors of W lanes.
struct LaneBuilder {
  mlir::ImplicitLocOpBuilder b;
  int64_t experts; ///< E
  int64_t slots;   ///< K
  int64_t lanes;   ///< W

  mlir::VectorType f32Type() {
    return mlir::VectorType::get({lanes}, b.getF32Type());
  }
  mlir::VectorType i32Type() {
    return mlir::VectorType::get({lanes}, b.getI32Type());
  }
  mlir::VectorType maskType() {
    return mlir::VectorType::get({lanes}, b.getI1Type());
  }
  mlir::Value index(int64_t v);
  /// Splats of constants.
  mlir::Value f32(double v);
  mlir::Value i32(int64_t v);
  /// A scalar in every lane.
  mlir::Value splat(mlir::Value scalar);
  /// An index in every lane, as i32.
  mlir::Value splatIndex(mlir::Value index);

  /// for (i = from; i < to; i += step) with `state` carried from round to
  /// round; `body` returns the next state. Returns the last one.
  using LoopBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value i, mlir::ValueRange state)>;
  llvm::SmallVector<mlir::Value> loop(int64_t from, int64_t to,
                                      mlir::ValueRange state, LoopBody body,
                                      int64_t step = 1);

  /// Scores as i32 in the order of all policies: larger first, -0 equal to +0,
  /// NaN below -infinity. Every key is above `blankKey()`.
  mlir::Value buildKeys(mlir::Value scores);
  mlir::Value blankKey();
  /// The score of a key; NaN if it was one.
  mlir::Value buildScores(mlir::Value keys);
};

/// The scores of W tokens and where their choice goes. Tokens beyond the last
/// one repeat it; what is written for them is ignored.
struct LaneSelection : LaneBuilder {
  /// `memref<E x W x f32>`: row e holds the scores of expert e. Null if the
  /// policy does not use scores.
  mlir::Value scores;
  /// One value a token: `vector<W x T>`. Others: memrefs as they are.
  llvm::SmallVector<mlir::Value> operands;
  /// `memref<K x W x i32>` to be written: the expert in each slot, or -1.
  mlir::Value indices;
  /// `memref<K x W x f32>` to be written by policies that provide values.
  mlir::Value values;

  /// Row `row` (an index) of a `memref<N x W x T>`.
  mlir::Value load(mlir::Value memref, mlir::Value row);
  void store(mlir::Value vector, mlir::Value memref, mlir::Value row);
  /// A buffer of `rows` rows of W lanes in the first-level cache.
  mlir::Value scratch(int64_t rows, mlir::Type element);

  /// Writes the `k` first experts in the order of all policies to the rows of
  /// `indices`, and their keys to those of `keys` if it is there. `key(e)`
  /// gives the keys of expert `e`. Where `k` is above the number of experts,
  /// the rest of the rows is -1 with blank keys.
  void buildTopK(int64_t k, llvm::function_ref<mlir::Value(mlir::Value)> key,
                 mlir::Value indices, mlir::Value keys = {});
};

} // namespace moe

#endif // MOE_LANES_H
