//===- ConvertMoekToNVVM.cpp - Kernels and their launches -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"

#include "Kernels/Kernels.h"

#include "moe-mlir/Target/GPU/Common/KernelConverter.h"

namespace moe {
#define GEN_PASS_DEF_CONVERTMOEKTONVVM
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe::nvidia;

/// Blocks up to which a kernel is set up while the ones before it end: that
/// takes a few microseconds off a call of few tokens, and costs more with many.
static constexpr int64_t kFewBlocks = 512;

namespace {
class Converter : public moe::gpu::KernelConverter {
public:
  using KernelConverter::KernelConverter;

protected:
  LogicalResult convertMatmul(moek::GroupedMatmulOp op) override {
    auto schedule = moenvidia::getSchedule(op);
    if (!schedule)
      return op.emitOpError("has no schedule of one of NVIDIA's GPUs");
    Type out = getElementTypeOrSelf(op.getOutputs()[0].getType());
    if (!out.isBF16())
      return op.emitOpError("writes ") << out << ", and kernels bf16";
    launchMatmul(op, schedule.getFew(),
                 [&](StringRef name, bool few, const MatmulShape &shape,
                     Launch &launch) {
                   return (few ? buildWarpMatmul : buildWarpgroupMatmul)(
                       kernels, name, shape, op.getEpilogue(), launch);
                 });
    return success();
  }
};

struct ConvertMoekToNVVM : moe::impl::ConvertMoekToNVVMBase<ConvertMoekToNVVM> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    moe::gpu::ConverterOptions options;
    options.device = "NVIDIA's GPUs";
    options.overlaps = moenvidia::overlapsKernels(module) ? kFewBlocks : 0;
    if (failed(Converter(module, options).convert()))
      signalPassFailure();
  }
};
} // namespace
