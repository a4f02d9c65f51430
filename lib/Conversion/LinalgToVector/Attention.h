//===- Attention.h - What attention consists of -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Finds the ops of an attention, as models write it, and writes them as a loop
// over tiles.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CONVERSION_LINALGTOVECTOR_ATTENTION_H
#define MOE_LIB_CONVERSION_LINALGTOVECTOR_ATTENTION_H

#include "AttentionTiles.h"

#include "mlir/IR/PatternMatch.h"

#include <string>

namespace moe::linalg_to_vector {

/// One attention. A role is a dimension of the scores that softmax reads; loops
/// of ops stand for roles, or for columns of what is multiplied.
class Attention {
public:
  explicit Attention(mlir::linalg::SoftmaxOp softmax) : softmax(softmax) {}

  /// Whether it is one; `why` is why not, and empty where it is none at all.
  bool match(std::string &why);
  void rewrite(mlir::RewriterBase &b);

private:
  /// An op, and for each of its loops the role, or -1.
  struct Step {
    mlir::linalg::LinalgOp op;
    llvm::SmallVector<int64_t> roles;
  };

  bool matchSums(std::string &why);
  bool matchChain(std::string &why);
  bool matchProducts(std::string &why);
  void followResult();

  TilePlace getPlace(const Step &step) const;
  mlir::Value buildScores(mlir::OpBuilder &b, mlir::Location loc);
  llvm::SmallVector<mlir::Value>
  buildStep(mlir::OpBuilder &b, mlir::Location loc, mlir::ValueRange state);

  mlir::linalg::SoftmaxOp softmax;
  /// From the sum of values back to the products of queries and keys.
  Step sums, products;
  llvm::SmallVector<Step> chain;
  unsigned query = 0, key = 0;
  /// The loop of the columns of values, in `sums`.
  unsigned column = 0;
  int64_t numColumns = 0;
  /// What is replaced: the sums, or a transposition of them; its dimensions as
  /// loops of `sums`.
  mlir::Operation *result = nullptr;
  llvm::SmallVector<unsigned> resultLoops;

  /// While building: where the tile is, by role.
  llvm::SmallVector<mlir::OpFoldResult> offsets, sizes;
  /// The two dimensions of accumulators, and of scores.
  mlir::AffineMap sumMap, scoreMap;
};

} // namespace moe::linalg_to_vector

#endif // MOE_LIB_CONVERSION_LINALGTOVECTOR_ATTENTION_H
