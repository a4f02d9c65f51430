//===- ConvertMoekToROCDL.cpp - Kernels and their launches ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/AMD/Passes.h"

#include "Kernels/Kernels.h"

#include "moe-mlir/Target/GPU/Common/KernelConverter.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTMOEKTOROCDL
#include "moe-mlir/Target/GPU/AMD/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {
class Converter : public moe::gpu::KernelConverter {
public:
  Converter(ModuleOp module, const moe::gpu::ConverterOptions &options,
            int64_t depth)
      : KernelConverter(module, options), depth(depth) {}

protected:
  LogicalResult convertMatmul(moek::GroupedMatmulOp op) override {
    auto schedule = moeamd::getSchedule(op);
    if (!schedule)
      return op.emitOpError("has no schedule of one of AMD's GPUs");
    if (schedule.getUnits() == moeamd::Units::Vector)
      return launchTiledMatmul(op, schedule.getFew());
    launchMatmul(
        op, schedule.getFew(),
        [&](StringRef name, bool few, const moe::gpu::MatmulShape &shape,
            moe::gpu::Launch &launch) {
          return moe::amd::buildMatrixMatmul(
              kernels, name, shape, op.getEpilogue(), depth, few, launch);
        });
    return success();
  }

private:
  int64_t depth;
};

struct ConvertMoekToROCDL
    : moe::impl::ConvertMoekToROCDLBase<ConvertMoekToROCDL> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto chip = dyn_cast_or_null<moeamd::TargetAttr>(
        Attribute(moek::getTarget(module)));
    if (!chip) {
      module.emitError("is not for one of AMD's GPUs");
      return signalPassFailure();
    }
    moe::gpu::ConverterOptions options;
    options.device = "AMD's GPUs";
    if (failed(Converter(module, options, chip.getDepth()).convert()))
      signalPassFailure();
  }
};
} // namespace
