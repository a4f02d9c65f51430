//===- ExpertBody.h - The body of an expert from index notation --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What an expert does with a row: sums of products with weights that are
// indexed by the expert become matmuls, other reductions and elementwise code
// what they are. Weights become views of the function's, [E, out, in].
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_EXPERTBODY_H
#define MOE_MLIR_RAISE_EXPERTBODY_H

#include "moe-mlir/Raise/Elements.h"
#include "moe-mlir/Raise/Upstream.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

#include <string>

namespace moe::raise {

/// Why something is not what it could be, and the op where that shows.
struct Obstacle {
  mlir::Location loc;
  std::string why;
};

/// The variables of a layer: tokens, and slots of a token.
struct LayerLoops {
  const Expr *token, *slot;
};

class ExpertBody {
public:
  /// Writes to `block`, which is empty; views go to `outside`.
  ExpertBody(Elements &elements, LayerLoops loops, mlir::OpBuilder &outside,
             mlir::Block *block, mlir::Location loc);

  /// For code that all tokens go through: weights are what depends on no token,
  /// [...] for the arguments, and `rows` is the tensor that it reads.
  void setDense(mlir::Value rows) {
    inputTensor = rows;
    isDense = true;
  }

  /// For code that runs all experts on all tokens: the slots are `count`
  /// experts.
  void setAllExperts(int64_t count) {
    expert = expertIndex = loops.slot;
    numExperts = count;
  }

  /// For code of [experts, places, columns], which are slots and tokens here:
  /// `rows` is what it reads, [experts, places, columns] of the rows of
  /// `tokens`.
  void setDispatched(mlir::Value rows, mlir::Value tokens, int64_t count) {
    setAllExperts(count);
    inputTensor = rows;
    dispatchedTokens = tokens;
  }

  /// Writes the rows of `expr`, a number for each `column`. Null if they are
  /// not those of an expert.
  mlir::Value write(const Expr *expr, const Expr *column);

  /// Why not. If no expert was seen by then, there is no layer.
  const std::optional<Obstacle> &getObstacle() const { return obstacle; }
  /// The expert of a token and slot.
  const Expr *getExpert() const { return expert; }
  int64_t getNumExperts() const { return numExperts; }
  /// What the row of each assignment is multiplied by first; null if by
  /// nothing.
  const Expr *getInputWeight() const { return inputWeight; }
  /// [T, H], that the first argument of the block is rows of.
  mlir::Value getTokens() const { return tokens; }
  /// [E, ...], for the other arguments.
  mlir::ValueRange getWeights() const { return weights; }

private:
  /// A part of elementwise code that is a tensor of its own.
  struct Leaf {
    mlir::Value tensor;
    bool hasRows, hasColumns;
  };

  mlir::Value writeRows(const Expr *expr, const Expr *column);
  std::optional<Leaf> writeLeaf(const Expr *expr, const Expr *column);
  std::optional<Leaf> writeReduction(const Expr *expr, const Expr *column);
  std::optional<Leaf> writeProduct(const Expr *expr, const Expr *column,
                                   const Expr *rows, const Expr *weight);
  const Expr *splitWeight(const Expr *product, const Expr *depth,
                          const Expr *&weight);
  std::optional<Leaf> writeToken(const Expr *element, const Expr *column);
  mlir::Value writeWeight(const Expr *element,
                          llvm::ArrayRef<const Expr *> variables);
  /// Finds where elementwise code of `expr` ends.
  bool collectLeaves(const Expr *expr, const Expr *column,
                     llvm::MapVector<const Expr *, Leaf> &leaves);
  const Expr *unfoldCode(const Expr *expr);
  bool readsWeights(const Expr *expr);
  const Expr *matchWeightedToken(const Expr *product, const Expr *column);

  bool isWeight(const Expr *element);
  bool isDenseWeight(const Expr *element);
  bool isOfToken(const Expr *expr) const;
  void fail(const Expr *at, const llvm::Twine &why);

  Elements &elements;
  Exprs &exprs;
  LayerLoops loops;
  mlir::OpBuilder &outside;
  mlir::Block *block;
  mlir::OpBuilder inside;
  mlir::Location loc;
  std::optional<Obstacle> obstacle;
  const Expr *expert = nullptr, *expertIndex = nullptr;
  int64_t numExperts = 0;
  bool isDense = false;
  const Expr *inputWeight = nullptr;
  bool readsPlainTokens = false;
  mlir::Value tokens, inputTensor, dispatchedTokens;
  llvm::SmallVector<mlir::Value> weights;
  /// By the elements that they are, with a variable for each size.
  llvm::DenseMap<const Expr *, mlir::Value> weightOf;
  llvm::DenseMap<const Expr *, mlir::Value> rowsOf;
  llvm::DenseMap<int64_t, const Expr *> columnOf;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_EXPERTBODY_H
