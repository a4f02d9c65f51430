//===- Pipeline.cpp - From foreign ops to MoE layers -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Passes.h"

#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void moe::buildConvertForeignPipeline(OpPassManager &manager) {
  manager.addPass(createConvertForeign());
  manager.addPass(createNameArguments());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void moe::buildRaiseLayersPipeline(OpPassManager &manager) {
  manager.addPass(createRaiseSoftmax());
  manager.addPass(createRaiseTopK());
  manager.addPass(createCSEPass());
  manager.addPass(createRaiseCapacity());
  manager.addPass(createRaiseLayers());
  manager.addPass(createRaiseShared());
  // Sizes that are taken of what a layer replaces would keep it alive.
  manager.addPass(memref::createResolveShapedTypeResultDimsPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

LogicalResult moe::raiseModel(ModuleOp module) {
  PassManager manager(module.getContext());
  buildConvertForeignPipeline(manager);
  buildRaiseLayersPipeline(manager);
  if (failed(manager.run(module)))
    return failure();
  WalkResult left = module.walk([](Operation *op) {
    if (op->isRegistered())
      return WalkResult::advance();
    op->emitError() << "nothing is known of '" << op->getName()
                    << "'; moe-raise --explain says what else is not";
    return WalkResult::interrupt();
  });
  return failure(left.wasInterrupted());
}

void moe::registerRaisePipeline() {
  PassPipelineRegistration<>("moe-raise",
                             "MoE layers out of what exporters write",
                             [](OpPassManager &manager) {
                               buildConvertForeignPipeline(manager);
                               buildRaiseLayersPipeline(manager);
                             });
}
