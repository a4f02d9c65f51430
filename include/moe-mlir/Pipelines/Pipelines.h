//===- Pipelines.h - The stages of compilation ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One function per stage. `moe-compile` and the registered pipelines run the
// same functions.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_PIPELINES_PIPELINES_H
#define MOE_MLIR_PIPELINES_PIPELINES_H

#include "moe-mlir/Pipelines/Extensions.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace moe {

struct PipelineOptions {
  /// The name of a chip that some target knows; used unless the module has
  /// `moek.target`.
  std::string target = "x86-64-v3";
  /// Whether layers become fused kernels or one kernel per operation.
  bool fuse = true;
  /// Appended to the names of entry points (variants of one artifact).
  std::string suffix;
  /// What the names of entry points begin with in C.
  std::string entryPrefix;
  /// Leaves packed weights as all targets read them, not as the target would
  /// read them fastest.
  bool keepLayout = false;
  /// Passes of others, beside those of plugins.
  PipelineExtensions extensions;
  /// The last stage to run.
  Stage stopAfter = Stage::LLVM;
};

/// What extensions at the end of `stage` are told.
ExtensionContext getExtensionContext(const PipelineOptions &options,
                                     Stage stage);

/// Checks entry points and names them, merges identical ones and inlines calls.
void buildModelPipeline(mlir::OpPassManager &pm, const PipelineOptions &);
/// moe -> moek, on tensors.
void buildFusedPipeline(mlir::OpPassManager &pm, const PipelineOptions &);
/// Schedules for the target; weights packed outside.
void buildPlannedPipeline(mlir::OpPassManager &pm, const PipelineOptions &);
/// Tensors -> memrefs.
void buildBufferizedPipeline(mlir::OpPassManager &pm, const PipelineOptions &);
/// moek -> scf, vector.
void buildVectorPipeline(mlir::OpPassManager &pm, const PipelineOptions &);
/// Workspace, threads, hooks and the C interface.
void buildRuntimePipeline(mlir::OpPassManager &pm, const PipelineOptions &);
/// Everything -> llvm.
void buildLLVMPipeline(mlir::OpPassManager &pm, const PipelineOptions &);

/// The stages after `from` up to `options.stopAfter`.
void buildPipeline(mlir::OpPassManager &pm, const PipelineOptions &options,
                   std::optional<Stage> from = std::nullopt);

/// What happens to IR that is no MoE layer, on tensors, before bufferization.
void buildOrdinaryIRPipeline(mlir::OpPassManager &pm);

/// Whether routings are computed, also returned, or given.
struct RoutingOptions {
  bool record = false;
  bool replay = false;
  /// With `replay`: whether arguments that only routers used go away.
  bool dropArguments = false;
};

/// Changes the interface of model IR: results for the routings of all routers,
/// or arguments in their place. Errors are diagnostics.
llvm::LogicalResult applyRoutingOptions(mlir::ModuleOp module,
                                        const RoutingOptions &options);

/// Registers `moe-pipeline` and one pipeline per stage
/// (`moe-stage-fused`, ...).
void registerPipelines();

/// The implementations of upstream interfaces that the pipelines rely on.
void registerPipelineExtensions(mlir::DialectRegistry &registry);

} // namespace moe

#endif // MOE_MLIR_PIPELINES_PIPELINES_H
