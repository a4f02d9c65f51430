//===- InitAll.cpp - Registers everything of the project -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one list of dialects and passes. A new layer adds a line to one of the
// functions below, and its library to CMakeLists.txt beside this file.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"

#include "moe-mlir/Analysis/Work.h"
#include "moe-mlir/Conversion/LinalgToVector/Passes.h"
#include "moe-mlir/Conversion/MoeToMoek/BatchPolicyInterface.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moe-mlir/Fit/Passes.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Pipelines/Pipelines.h"
#include "moe-mlir/Profile/Passes.h"
#include "moe-mlir/Raise/Passes.h"
#include "moe-mlir/Sparsity/Passes.h"
#include "moe-mlir/Target/CPU/CPUTarget.h"
#include "moe-mlir/Target/CPU/Passes.h"
#include "moe-mlir/Target/GPU/AMD/AMDTarget.h"
#include "moe-mlir/Target/GPU/AMD/Passes.h"
#include "moe-mlir/Target/GPU/NVIDIA/NVIDIATarget.h"
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"
#include "moe-mlir/Target/GPU/Vulkan/Passes.h"
#include "moe-mlir/Target/GPU/Vulkan/VulkanTarget.h"
#include "moe-mlir/Target/Passes.h"
#include "moe-mlir/Transforms/Passes.h"
#include "moe/Moe.h"
#include "moe_rt/MoeRt.h"
#include "moek/Moek.h"

#include "mlir/IR/DialectRegistry.h"

void moe::registerAllTargets() {
  TargetRegistry::get().add(createCPUTarget());
  TargetRegistry::get().add(createNVIDIATarget());
  TargetRegistry::get().add(createVulkanTarget());
  TargetRegistry::get().add(createAMDTarget());
}

void moe::registerAllDialects(mlir::DialectRegistry &registry) {
  registerAllTargets();
  registry.insert<moe::MoeDialect, moek::MoekDialect, moert::MoeRtDialect>();
  moek::registerBufferizableModels(registry);
  registerWorkModels(registry);
  registerBatchPolicyLowerings(registry);
  TargetRegistry::get().registerDialects(registry);
}

void moe::registerAllPasses() {
  registerMoeFitPasses();
  registerMoeProfilePasses();
  registerMoeRaisePasses();
  registerRaisePipeline();
  registerMoeSparsityPasses();
  registerMoeTransformsPasses();
  registerMoeToMoekPasses();
  registerFusionPipeline();
  registerTargetPasses();
  registerTargetCPUPasses();
  registerTargetNVIDIAPasses();
  registerTargetVulkanPasses();
  registerTargetAMDPasses();
  registerLinalgToVectorPasses();
  registerMoeLoweringPasses();
  registerPipelines();
}
