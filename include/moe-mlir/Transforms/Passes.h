//===- Passes.h - Passes on the moe dialect --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TRANSFORMS_PASSES_H
#define MOE_MLIR_TRANSFORMS_PASSES_H

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
class RewritePatternSet;
} // namespace mlir

namespace moe {

#define GEN_PASS_DECL
#include "moe-mlir/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "moe-mlir/Transforms/Passes.h.inc"

/// Patterns of moe-normalize-router-scores.
void populateNormalizeRouterScoresPatterns(mlir::RewritePatternSet &patterns);

} // namespace moe

#endif // MOE_MLIR_TRANSFORMS_PASSES_H
