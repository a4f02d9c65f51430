//===- BackOut.h - MoE layers as plain tensor programs -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The pieces of `moe-lower-to-linalg`. A routing is two tensors: the expert in
// each slot of each token, and its weight.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_RAISE_BACKOUT_H
#define MOE_RAISE_BACKOUT_H

#include "moe-mlir/Raise/Upstream.h"

#include "moe/Moe.h"

namespace moe::raise {

/// `indices` [T, K] of i32, -1 in unused slots; `weights` [T, K], 0 there.
struct RoutingTensors {
  mlir::Value indices, weights;
  int64_t experts = 0, slots = 0;
  bool isFull = false; ///< all slots are known to be used
  /// Only for rows in canonical order, else null: where each expert's rows
  /// begin, [E + 1]; the row of each slot, [T, K], -1 if unused; the token of
  /// each row and its weight, [A]; A, an index.
  mlir::Value offsets, positions, tokens, rowWeights, numRows;
};

//===----------------------------------------------------------------------===//
// Words that the vocabulary of foreign dialects lacks
//===----------------------------------------------------------------------===//

/// The map from `loops` loops to those of `dims`.
mlir::AffineMap readDims(Upstream &up, unsigned loops,
                         llvm::ArrayRef<int64_t> dims);

/// The index of loop `dim` in the body of a linalg op.
mlir::Value loopIndex(mlir::OpBuilder &b, mlir::Location loc, int64_t dim);

/// Sums, over all loops behind those of `sizes`, what `term` makes of the
/// elements of `inputs`, one of which reads each of those loops.
mlir::Value sumTerms(Upstream &up, const Sizes &sizes, mlir::ValueRange inputs,
                     llvm::ArrayRef<mlir::AffineMap> maps, mlir::Type element,
                     Upstream::Body term);

/// Whether `other` comes before `own` in the order of scores: the larger first,
/// NaN last; of equal ones if `isEarlier`. Scalars.
mlir::Value comesBefore(mlir::OpBuilder &b, mlir::Location loc,
                        mlir::Value other, mlir::Value own,
                        mlir::Value isEarlier);

/// How many elements along `dim` come before each, of i32.
mlir::Value ranksAlong(Upstream &up, mlir::Value tensor, int64_t dim);

/// Element [t, indices[t, s]] of `scores` [T, E]; where `used` is false, 0.
mlir::Value takeExperts(Upstream &up, mlir::Value scores, mlir::Value indices,
                        mlir::Value used);

/// Whether a slot is used, as a tensor of i1.
mlir::Value isUsed(Upstream &up, mlir::Value indices);

//===----------------------------------------------------------------------===//
// Routings
//===----------------------------------------------------------------------===//

struct Selection {
  mlir::Value indices; ///< [T, K] of i32
  mlir::Value used;    ///< [T, K] of i1; null if all slots are
  mlir::Value values;  ///< [T, K]; null unless the policy makes them
};

/// What a policy chooses; emits an error if there is no tensor form of it.
llvm::FailureOr<Selection> writeSelection(Upstream &up, RouterOp op);
/// Those that look at more than the order of a token's scores; null indices if
/// the policy is none of them.
Selection writeTokenSelection(Upstream &up, RouterOp op);
/// Those that look at all tokens.
Selection writeBatchSelection(Upstream &up, RouterOp op);

/// The first `slots` experts of each token by `ranks`.
mlir::Value listByRank(Upstream &up, mlir::Value ranks, int64_t slots);
/// Slot e holds expert e where `mask` is true; the expert of rank 0 where a
/// token has none, if `ranks` are given.
Selection chooseByMask(Upstream &up, mlir::Value mask, mlir::Value ranks);

/// Says on [T, K] what `build` says on the vectors of one token: `values`, and
/// which slots are `used` or null. Emits an error at `op` if it cannot.
llvm::FailureOr<mlir::Value> writeWeights(
    Upstream &up, mlir::Operation *op, mlir::Value values, mlir::Value used,
    llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Value, mlir::Value)>
        build);

llvm::FailureOr<RoutingTensors> writeRouter(Upstream &up, RouterOp op);
RoutingTensors writeMake(Upstream &up, RoutingMakeOp op);
RoutingTensors writeAppend(Upstream &up, RoutingAppendOp op,
                           const RoutingTensors &routing);
RoutingTensors writeLimit(Upstream &up, RoutingLimitOp op,
                          const RoutingTensors &routing);
llvm::FailureOr<RoutingTensors> writeReweigh(Upstream &up, RoutingReweighOp op,
                                             const RoutingTensors &routing);
/// Fills in what canonical order needs.
void writeOrder(Upstream &up, RoutingTensors &routing);
mlir::Value writeOffsets(Upstream &up, const RoutingTensors &routing);

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// Rows in canonical order, as many as there are assignments.
mlir::Value writeSortedDispatch(Upstream &up, DispatchOp op,
                                const RoutingTensors &routing);
llvm::FailureOr<mlir::Value> writeSortedExpert(Upstream &up, ExpertOp op,
                                               const RoutingTensors &routing);
mlir::Value writeSortedCombine(Upstream &up, CombineOp op,
                               const RoutingTensors &routing);

/// A whole layer, from its combine: all experts on all tokens, or, if
/// `isGathered`, each assignment with the weights of its expert. Emits an error
/// if what is combined is no layer.
llvm::FailureOr<mlir::Value> writeLayer(Upstream &up, CombineOp op,
                                        const RoutingTensors &routing,
                                        bool isGathered);

/// Adds `init` to `sums`, and rounds them to the type of the op.
mlir::Value finishCombine(Upstream &up, CombineOp op, mlir::Value sums);
/// What sums of rows of `element` are formed in.
mlir::Type getSumType(mlir::Type element);
/// A weight times an element of a row, in the type of sums. Scalars; `weight`
/// may be null.
mlir::Value weighElement(Upstream &up, mlir::Value weight, mlir::Value element);

/// The value a body of an expert yields, for `count` of it at once. `arguments`
/// are those of the body; where `isBatched` says so they have one dimension
/// more, in front. Emits an error at an op that has no such form.
llvm::FailureOr<mlir::Value> writeBatched(Upstream &up, mlir::Block &body,
                                          mlir::OpFoldResult count,
                                          mlir::ValueRange arguments,
                                          llvm::ArrayRef<bool> isBatched);

} // namespace moe::raise

#endif // MOE_RAISE_BACKOUT_H
