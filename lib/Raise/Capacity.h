//===- Capacity.h - Places of tokens with their experts -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Who has which place with an expert, in a tensor [tokens, experts, places], as
// a router and a limit: places go to all first choices in the order of tokens,
// then to all second ones.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_CAPACITY_H
#define MOE_MLIR_RAISE_CAPACITY_H

#include "Indicators.h"
#include "RouterWeights.h"

namespace moe::raise {

class Capacity {
public:
  Capacity(Elements &elements, const Expr *token, const Expr *expert,
           const Expr *place, mlir::Location loc)
      : elements(elements), exprs(elements.exprs), indicators(elements),
        token(token), expert(expert), place(place), loc(loc) {}

  /// Whether `taken` of the token, expert and place is the weight of who has
  /// the place, and `put` 1 for the same.
  bool match(const Expr *taken, const Expr *put);
  const std::optional<Obstacle> &getObstacle() const { return obstacle; }
  /// Policy, places and steps, for people.
  std::string describe() const;
  /// The routing.
  mlir::Value write(mlir::OpBuilder &b);

private:
  /// What of each token goes to one expert.
  struct Choice {
    const Expr *expert;
    const Expr *position;
    const Expr *keep; ///< null if it is not asked
    llvm::SmallVector<const Expr *> factors;
    int64_t places;  ///< that it is kept in
    uint64_t before; ///< choices of which all come first
  };

  std::optional<Choice> readChoice(Indicators::Term term);
  bool matchLimit(const Expr *keep, Choice &choice);
  bool matchOrder(Choice &choice);
  bool matchPut(const Expr *taken, const Expr *put);
  bool matchSecond();
  bool matchWeights();
  bool isKeptScore(const Indicators::Term &term, const Choice &choice);
  bool fail(const llvm::Twine &why);

  Elements &elements;
  Exprs &exprs;
  Indicators indicators;
  const Expr *token, *expert, *place;
  mlir::Location loc;
  std::optional<Obstacle> obstacle;
  llvm::SmallVector<Choice> choices;
  std::optional<RouterWeights> single; ///< of one choice
  mlir::Value select, weigh;           ///< of two
  bool isProbability = false;
  mlir::Attribute normalize; ///< of what is kept; null if it is not
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_CAPACITY_H
