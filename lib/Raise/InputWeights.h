//===- InputWeights.h - Weights in front of the experts -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Llama 4 multiplies the rows that experts read, and runs all experts on all
// tokens: rows of those that were not chosen are 0, and so is what is made of
// them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_INPUTWEIGHTS_H
#define MOE_MLIR_RAISE_INPUTWEIGHTS_H

#include "moe-mlir/Raise/Elements.h"

namespace moe::raise {

/// A number for each expert that is 0 but for the chosen ones.
struct ChosenWeight {
  const Expr *slot;   ///< the variable of the chosen ones
  const Expr *expert; ///< in a slot
  const Expr *weight; ///< of it
};

/// `weight` of a token and each value of the variable `expert` as one that is 0
/// for all experts that the token has in no slot of a top-k.
std::optional<ChosenWeight>
matchChosenWeight(Elements &elements, const Expr *weight, const Expr *expert);

/// Whether `result`, which ExpertBody wrote to a block, is 0 where the rows
/// are, whatever the weights.
bool isZeroForZeros(mlir::Value result);

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_INPUTWEIGHTS_H
