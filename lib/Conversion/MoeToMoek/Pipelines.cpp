//===- Pipelines.cpp - moe to fused kernels --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moe-mlir/Transforms/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void moe::buildFusionPipeline(OpPassManager &pm, bool fuse) {
  OpPassManager &fpm = pm.nestAny();
  auto cleanUp = [&] {
    fpm.addPass(createCanonicalizerPass());
    fpm.addPass(createCSEPass());
  };
  // First of all: a metric may hold a router of its own, which fuses like any
  // other, and reads the scores before they are normalized away.
  fpm.addPass(createExpandBalance());
  fpm.addPass(createExpandSimilarity());
  fpm.addPass(createCheckRoutings());
  if (fuse) {
    cleanUp();
    fpm.addPass(createNormalizeRouterScores());
    fpm.addPass(createSplitProducts());
    fpm.addPass(createHoistWeightViews());
    fpm.addPass(createFoldSharedExpert());
    // Behind it: the room for a residual may hold a shared expert.
    fpm.addPass(createFuseResidual());
    cleanUp();
  }
  fpm.addPass(createConvertMoeToMoek());
  cleanUp();
  if (!fuse)
    return;
  fpm.addPass(createFuseRouterScores());
  // Behind it: products that make scores are the routers' own.
  fpm.addPass(createConvertLinear());
  fpm.addPass(createFuseGateUpActivation());
  fpm.addPass(createFuseRowMaps());
  fpm.addPass(createFuseGather());
  fpm.addPass(createFuseCombine());
  cleanUp();
}

void moe::registerFusionPipeline() {
  PassPipelineRegistration<FusionPipelineOptions>(
      "moe-fusion-pipeline",
      "Lower moe layers to fused moek kernels, on tensors",
      [](OpPassManager &pm, const FusionPipelineOptions &options) {
        buildFusionPipeline(pm, options.fuse);
      });
}
