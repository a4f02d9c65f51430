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
  /// Whether threads read such a number of a block.
  static bool canRead(Type element) {
    return element.isF32() || element.isF16() || element.isBF16() ||
           element.isInteger(8) || element.isInteger(16) ||
           element.isInteger(32);
  }

  LogicalResult convertMatmul(moek::GroupedMatmulOp op) override {
    auto schedule = moevulkan::getSchedule(op);
    if (!schedule)
      return op.emitOpError("has no schedule of a device of Vulkan");
    if (moe::WeightFormatAttrInterface format = op.getFormatAttr()) {
      if (!moegpu::getBlocks(op))
        return op.emitOpError("has weights in ")
               << format << " that are no #moe_gpu.blocks";
      for (const moe::BlockField &field : format.getFields(op.getK()))
        if (!canRead(field.element))
          return op.emitOpError("has no kernel for Vulkan yet: '")
                 << field.name << "' of " << format << " has numbers of "
                 << field.element;
    }
    launchMatmul(op, schedule.getFew(),
                 [&](StringRef name, bool few,
                     const moe::gpu::MatmulShape &shape,
                     moe::gpu::Launch &launch) {
                   return buildTiledMatmul(kernels, name, shape,
                                           op.getEpilogue(), few, launch);
                 });
    return success();
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
