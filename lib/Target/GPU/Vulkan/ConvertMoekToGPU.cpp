//===- ConvertMoekToGPU.cpp - Kernels and their launches --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/KernelConverter.h"
#include "moe-mlir/Target/GPU/Vulkan/Passes.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTMOEKTOGPU
#include "moe-mlir/Target/GPU/Vulkan/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {
class Converter : public moe::gpu::KernelConverter {
public:
  using KernelConverter::KernelConverter;

protected:
  LogicalResult convertMatmul(moek::GroupedMatmulOp op) override {
    auto schedule = moevulkan::getSchedule(op);
    if (!schedule)
      return op.emitOpError("has no schedule of a device of Vulkan");
    return launchTiledMatmul(op, schedule.getFew());
  }
};

struct ConvertMoekToGPU : moe::impl::ConvertMoekToGPUBase<ConvertMoekToGPU> {
  void runOnOperation() override {
    moe::gpu::ConverterOptions options;
    options.device = "Vulkan";
    options.logitTeams = options.selectTeams = options.indexTeams = 1;
    // Drivers take seconds for what is unrolled more.
    options.logitTile = 4;
    if (failed(Converter(getOperation(), options).convert()))
      signalPassFailure();
  }
};
} // namespace
