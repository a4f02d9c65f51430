//===- Passes.h - MoE layers out of other people's IR ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_PASSES_H
#define MOE_MLIR_RAISE_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace moe {
/// How `moe-lower-to-linalg` writes experts.
enum class LowerForm { Sorted, Dense, Gathered };

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "moe-mlir/Raise/Passes.h.inc"

/// The two halves of `moe-raise`: from foreign ops to upstream's, and from
/// those to MoE layers.
void buildConvertForeignPipeline(mlir::OpPassManager &manager);
void buildRaiseLayersPipeline(mlir::OpPassManager &manager);
void registerRaisePipeline();

/// Runs both. It is an error if an op is left that nobody knows.
llvm::LogicalResult raiseModel(mlir::ModuleOp module);

} // namespace moe

#endif // MOE_MLIR_RAISE_PASSES_H
