//===- RouterWeights.h - A router from index notation ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// How the weights of the chosen experts come from scores: which scores, and
// which steps behind. Scores stay what they are; whether they are masked by
// groups shows in them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_ROUTERWEIGHTS_H
#define MOE_MLIR_RAISE_ROUTERWEIGHTS_H

#include "ExpertBody.h"
#include "moe/Moe.h"

namespace moe::raise {

class RouterWeights {
public:
  RouterWeights(Elements &elements, LayerLoops loops, const Expr *expert,
                mlir::Location loc)
      : elements(elements), exprs(elements.exprs), loops(loops), expert(expert),
        loc(loc) {}

  /// Whether `weight` of a token and slot, null for 1, is one that a moe.router
  /// gives to the expert there.
  bool match(const Expr *weight);
  const std::optional<Obstacle> &getObstacle() const { return obstacle; }
  /// Policy and steps, for people.
  std::string describe() const;
  /// The routing.
  mlir::Value write(mlir::OpBuilder &b, mlir::Location loc);

private:
  bool matchSteps(const Expr *weight);
  bool matchScores(const Expr *weight);
  bool isLargestScore(const Expr *weight);
  bool matchSum(const Expr *sum, const Expr *term);
  bool matchGroups();
  bool areProbabilities(const Expr *score);
  std::optional<GroupReduce> matchGroupScore(const Expr *expr,
                                             const Expr *token,
                                             const Expr *group, int64_t size,
                                             mlir::Value scores);
  /// `expr` of another slot.
  const Expr *atSlot(const Expr *expr, const Expr *slot);
  bool fail(const Expr *at, const llvm::Twine &why);

  Elements &elements;
  Exprs &exprs;
  LayerLoops loops;
  const Expr *expert;
  mlir::Location loc;
  RouterOp router;
  mlir::Value select, weigh;
  mlir::Attribute policy;
  /// From the scores on.
  llvm::SmallVector<mlir::Attribute> steps;
  std::optional<Obstacle> obstacle;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_ROUTERWEIGHTS_H
