//===- Passes.h - From moe to fused moek kernels ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The conversion from `moe` to `moek`, the fusions on `moek`, their patterns,
// and the pipeline that runs them with the graph passes before.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CONVERSION_MOETOMOEK_PASSES_H
#define MOE_MLIR_CONVERSION_MOETOMOEK_PASSES_H

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir {
class OpPassManager;
class RewritePatternSet;
class TypeConverter;
} // namespace mlir

namespace moe {

#define GEN_PASS_DECL
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"

/// Adds the conversion of `!moe.routing` to the seven tensors of a routing.
void populateRoutingTypeConversion(mlir::TypeConverter &converter);

/// Patterns of convert-moe-to-moek; `converter` must convert `!moe.routing`.
void populateMoeToMoekPatterns(const mlir::TypeConverter &converter,
                               mlir::RewritePatternSet &patterns);

/// Patterns of moek-fuse-gate-up-activation.
void populateFuseGateUpActivationPatterns(mlir::RewritePatternSet &patterns);

/// Patterns of moek-fuse-gather.
void populateFuseGatherPatterns(mlir::RewritePatternSet &patterns);

/// Patterns of moek-fuse-combine.
void populateFuseCombinePatterns(mlir::RewritePatternSet &patterns);

/// Options of the pipeline below, as textual pipelines spell them.
struct FusionPipelineOptions
    : public mlir::PassPipelineOptions<FusionPipelineOptions> {
  Option<bool> fuse{*this, "fuse",
                    llvm::cl::desc("Run the graph passes and fusions; without "
                                   "them every op is a kernel of its own"),
                    llvm::cl::init(true)};
};

/// moe on tensors to moek on tensors, cleaned up.
void buildFusionPipeline(mlir::OpPassManager &pm, bool fuse = true);

/// Registers `moe-fusion-pipeline`.
void registerFusionPipeline();

} // namespace moe

#endif // MOE_MLIR_CONVERSION_MOETOMOEK_PASSES_H
