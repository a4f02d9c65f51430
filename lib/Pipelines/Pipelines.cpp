//===- Pipelines.cpp - The stages of compilation ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which passes make which stage.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Pipelines/Pipelines.h"

#include "moe-mlir/Conversion/LinalgToVector/Passes.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Target/Passes.h"
#include "moe-mlir/Target/Target.h"
#include "moe-mlir/Transforms/Passes.h"
#include "moek/Moek.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

static constexpr StringLiteral kStageNames[] = {
    "model", "fused", "planned", "bufferized", "vector", "runtime", "llvm"};

StringRef moe::stageName(Stage stage) {
  return kStageNames[static_cast<unsigned>(stage)];
}

std::optional<moe::Stage> moe::parseStage(StringRef name) {
  for (auto [i, known] : llvm::enumerate(kStageNames))
    if (name == known)
      return static_cast<Stage>(i);
  return std::nullopt;
}

std::vector<std::string> moe::stageNames() {
  return {std::begin(kStageNames), std::end(kStageNames)};
}

static void verify(OpPassManager &pm, StringRef stage) {
  moe::VerifyStagePassOptions options;
  options.stage = stage.str();
  pm.addPass(moe::createVerifyStagePass(options));
}
static void verify(OpPassManager &pm, moe::Stage stage) {
  verify(pm, moe::stageName(stage));
}

/// What plugins and users want to run at the end of the stage.
static void extend(OpPassManager &pm, moe::Stage stage,
                   const moe::PipelineOptions &options) {
  OpPassManager verifier(ModuleOp::getOperationName());
  verify(verifier, stage);
  if (stage == moe::Stage::Model)
    verifier.addPass(moe::createPrepareEntryPointsPass());
  options.extensions.build(pm, moe::getExtensionContext(options, stage),
                           verifier);
}

/// Ends a stage.
static void finish(OpPassManager &pm, moe::Stage stage,
                   const moe::PipelineOptions &options) {
  verify(pm, stage);
  extend(pm, stage, options);
}

static void cleanUp(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// A stage of the module's target.
static void runTarget(OpPassManager &pm, StringRef stage,
                      bool keepLayout = false) {
  moe::TargetStagePassOptions options;
  options.stage = stage.str();
  options.keepLayout = keepLayout;
  pm.addPass(moe::createTargetStagePass(options));
}

moe::ExtensionContext moe::getExtensionContext(const PipelineOptions &options,
                                               Stage stage) {
  ExtensionContext context;
  context.stage = stage;
  context.fuse = options.fuse;
  // Also where one target is compiled for alone.
  if (stage >= Stage::Planned)
    context.target = options.target;
  return context;
}

void moe::buildModelPipeline(OpPassManager &pm,
                             const PipelineOptions &options) {
  verify(pm, Stage::Model);
  pm.addPass(createStoreWeights());
  // Exporters write loops and branches as blocks. Everything behind wants scf.
  pm.addNestedPass<func::FuncOp>(createLiftControlFlowToSCFPass());
  pm.addPass(createPrepareEntryPointsPass());
  NameEntryPointsPassOptions names;
  names.prefix = options.entryPrefix;
  pm.addPass(createNameEntryPointsPass(names));
  pm.addPass(createMergeIdenticalFunctionsPass());
  pm.addPass(createInlinerPass());
  pm.addPass(createCSEPass());
  // What extensions promise of sizes is checked with the rest.
  extend(pm, Stage::Model, options);
  pm.addPass(createAssertsToChecksPass());
  pm.addPass(createCheckSizesPass());
}

void moe::buildFusedPipeline(OpPassManager &pm,
                             const PipelineOptions &options) {
  buildFusionPipeline(pm, options.fuse);
  finish(pm, Stage::Fused, options);
}

void moe::buildPlannedPipeline(OpPassManager &pm,
                               const PipelineOptions &options) {
  // Kernels call C functions by their names: declarations have no buffers.
  pm.addPass(createSymbolDCEPass());
  SetTargetPassOptions target;
  target.chip = options.target;
  pm.addPass(createSetTargetPass(target));
  runTarget(pm, "plan", options.keepLayout);
  pm.addPass(createWindowRows());
  pm.addPass(createHoistPackingPass());
  finish(pm, Stage::Planned, options);
}

void moe::buildOrdinaryIRPipeline(OpPassManager &pm) {
  pm.addPass(createDecomposeAggregatesPass());
  pm.addPass(createConvertTensorToLinalgPass());
  // arith and math ops on tensors.
  pm.addNestedPass<func::FuncOp>(createConvertElementwiseToLinalgPass());
  // No CPU computes in 16 bits what it does in 32 as well.
  pm.addPass(createWidenReductionsPass());
  arith::ArithEmulateUnsupportedFloatsOptions floats;
  floats.sourceTypeStrs = {"bf16", "f16"};
  floats.targetTypeStr = "f32";
  pm.addPass(arith::createArithEmulateUnsupportedFloats(floats));
  pm.addPass(math::createMathExtendToSupportedTypes());
  pm.addPass(createCanonicalizerPass());
  pm.addNestedPass<func::FuncOp>(createFuseElementwise());
  // Sizes then follow from arguments, which the workspace's size needs.
  pm.addPass(memref::createResolveShapedTypeResultDimsPass());
}

void moe::buildBufferizedPipeline(OpPassManager &pm,
                                  const PipelineOptions &options) {
  buildOrdinaryIRPipeline(pm);
  cleanUp(pm);
  verify(pm, "tensors");
  pm.addNestedPass<func::FuncOp>(createUnshareFills());
  pm.addPass(createCarryTensorsPass());
  pm.addPass(createProtectArgumentsPass());
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  bufferize.allowReturnAllocsFromLoops = true;
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  // Before anything folds static sizes into the results: the interface keeps
  // the shapes of the model.
  pm.addPass(createResultsToArgumentsPass());
  cleanUp(pm);
  finish(pm, Stage::Bufferized, options);
}

void moe::buildVectorPipeline(OpPassManager &pm,
                              const PipelineOptions &options) {
  runTarget(pm, "kernels");
  finish(pm, Stage::Vector, options);
}

void moe::buildRuntimePipeline(OpPassManager &pm,
                               const PipelineOptions &options) {
  pm.addPass(createLowerRuntimeOpsPass());
  pm.addPass(createBoundFramesPass());
  pm.addPass(createAssignWorkspacePass());
  pm.addPass(createLowerLaunchesPass());
  pm.addPass(createOutlineParallelPass());
  EmitEntryPointsPassOptions entries;
  entries.suffix = options.suffix;
  pm.addPass(createEmitEntryPointsPass(entries));
  pm.addPass(createCSEPass());
  finish(pm, Stage::Runtime, options);
}

void moe::buildLLVMPipeline(OpPassManager &pm, const PipelineOptions &options) {
  runTarget(pm, "code");
  finish(pm, Stage::LLVM, options);
}

void moe::buildPipeline(OpPassManager &pm, const PipelineOptions &options,
                        std::optional<Stage> from) {
  auto runs = [&](Stage stage) {
    return (!from || *from < stage) && stage <= options.stopAfter;
  };
  if (runs(Stage::Model))
    buildModelPipeline(pm, options);
  if (runs(Stage::Fused))
    buildFusedPipeline(pm, options);
  if (runs(Stage::Planned))
    buildPlannedPipeline(pm, options);
  if (runs(Stage::Bufferized))
    buildBufferizedPipeline(pm, options);
  if (runs(Stage::Vector))
    buildVectorPipeline(pm, options);
  if (runs(Stage::Runtime))
    buildRuntimePipeline(pm, options);
  if (runs(Stage::LLVM))
    buildLLVMPipeline(pm, options);
}

LogicalResult moe::applyRoutingOptions(ModuleOp module,
                                       const RoutingOptions &options) {
  if (!options.record && !options.replay)
    return success();
  if (options.record && options.replay)
    return module.emitError("a routing can be recorded or replayed, not both: "
                            "the routing returned would be the one given");
  PassManager pm(module.getContext());
  verify(pm, Stage::Model);
  pm.addNestedPass<func::FuncOp>(createLiftControlFlowToSCFPass());
  // Sizes get names, and routers of helpers come into sight.
  pm.addPass(createPrepareEntryPointsPass());
  pm.addPass(createInlinerPass());
  if (options.record)
    pm.addPass(createRecordRouting());
  ReplayRoutingOptions replay;
  replay.dropArguments = options.dropArguments;
  if (options.replay)
    pm.addPass(createReplayRouting(replay));
  return pm.run(module);
}

namespace {
struct CommandLineOptions : PassPipelineOptions<CommandLineOptions> {
  Option<std::string> target{*this, "target",
                             llvm::cl::desc("Chip to compile for, unless the "
                                            "module has a moek.target"),
                             llvm::cl::init("x86-64-v3")};
  Option<bool> fuse{*this, "fuse", llvm::cl::desc("Fuse layers into kernels"),
                    llvm::cl::init(true)};
  Option<std::string> suffix{*this, "suffix",
                             llvm::cl::desc("Appended to entry points"),
                             llvm::cl::init("")};
  Option<std::string> stopAfter{*this, "stop-after",
                                llvm::cl::desc("Last stage to run"),
                                llvm::cl::init("llvm")};
  ListOption<std::string> extensions{
      *this, "extensions",
      llvm::cl::desc("Passes to run at the end of stages, such as "
                     "after-model:canonicalize")};

  /// Fails when a value is none of the known ones.
  FailureOr<moe::PipelineOptions>
  get(function_ref<LogicalResult(const Twine &)> fail) const {
    moe::PipelineOptions options;
    options.target = target;
    options.fuse = fuse;
    options.suffix = suffix;
    std::optional<moe::Stage> stage = moe::parseStage(stopAfter);
    if (!stage)
      return fail("stop-after: unknown stage '" + stopAfter + "'; known are " +
                  llvm::join(moe::stageNames(), ", "));
    options.stopAfter = *stage;
    std::string error;
    for (const std::string &extension : extensions)
      if (!options.extensions.add(extension, error))
        return fail("extensions: " + error);
    return options;
  }
};

using BuildStages = void (*)(OpPassManager &, const moe::PipelineOptions &);
} // namespace

/// PassPipelineRegistration, whose builders cannot fail.
static void addPipeline(StringRef name, StringRef description,
                        BuildStages build) {
  registerPassPipeline(
      name, description,
      [build](OpPassManager &pm, StringRef text,
              function_ref<LogicalResult(const Twine &)> fail) {
        CommandLineOptions given;
        if (failed(given.parseFromString(text)))
          return failure();
        FailureOr<moe::PipelineOptions> options = given.get(fail);
        if (succeeded(options))
          build(pm, *options);
        return LogicalResult(options);
      },
      [](function_ref<void(const detail::PassOptions &)> handle) {
        handle(CommandLineOptions());
      });
}

void moe::registerPipelines() {
  addPipeline("moe-pipeline",
              "All stages from model IR to the llvm dialect",
              [](OpPassManager &pm, const PipelineOptions &options) {
                buildPipeline(pm, options);
              });
  addPipeline("moe-stage-model",
              "Checks entry points and merges identical layers",
              buildModelPipeline);
  addPipeline("moe-stage-fused", "moe to moek", buildFusedPipeline);
  addPipeline("moe-stage-planned", "Schedules and packed weights",
              buildPlannedPipeline);
  addPipeline("moe-stage-bufferized", "Tensors to memrefs",
              buildBufferizedPipeline);
  addPipeline("moe-stage-vector", "Kernels to loops and vectors",
              buildVectorPipeline);
  addPipeline("moe-stage-runtime", "Workspace, threads and entry points",
              buildRuntimePipeline);
  addPipeline("moe-stage-llvm", "Everything to the llvm dialect",
              buildLLVMPipeline);
}

void moe::registerPipelineExtensions(DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  moek::registerBufferizableModels(registry);
}
