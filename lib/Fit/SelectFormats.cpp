//===- SelectFormats.cpp - The pass -------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Fit/Fit.h"
#include "moe-mlir/Fit/Passes.h"

#include "mlir/Pass/PassManager.h"

namespace moe {
#define GEN_PASS_DEF_SELECTFORMATS
#include "moe-mlir/Fit/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

namespace {

struct SelectFormats : moe::impl::SelectFormatsBase<SelectFormats> {
  using SelectFormatsBase::SelectFormatsBase;

  /// Those of the passes that layers are compiled with.
  void getDependentDialects(DialectRegistry &registry) const override {
    fit::registerFormatModels(registry);
    PipelineOptions pipeline;
    pipeline.stopAfter = Stage::Planned;
    OpPassManager passes(ModuleOp::getOperationName());
    buildPipeline(passes, pipeline);
    passes.getDependentDialects(registry);
  }

  void runOnOperation() override {
    std::string error;
    if (run(error))
      return;
    if (!error.empty())
      emitError(getOperation().getLoc()) << error;
    signalPassFailure();
  }

private:
  bool run(std::string &error) {
    ModuleOp module = getOperation();
    fit::FitOptions options;
    options.tokens = tokens;
    options.isForSpeed = goal == "speed";
    if (goal != "error" && goal != "speed") {
      error = "goal: unknown value '" + goal + "'; known are error and speed";
      return false;
    }
    if (tokens < 1) {
      error = "tokens is at least 1";
      return false;
    }
    if (!fit::parseBytes(budget, options.budget, error)) {
      error = "budget: " + error;
      return false;
    }
    if (!formats.empty() &&
        !quantize::parseTypes(getContext(), formats, "formats", options.formats,
                              error))
      return false;
    if (!chip.empty() && !moek::getTarget(module))
      options.compile.targets = {chip};
    TensorPool tensors;
    if (!inputs.empty()) {
      if (!tensors.addFile(inputs, error))
        return false;
      options.tensors = &tensors;
    }
    Profile seen;
    if (!importance.empty()) {
      if (!readProfile(importance, seen, error))
        return false;
      options.profile = &seen;
    }
    FitReport report;
    return fit::selectFormats(module, options, report, error);
  }
};

} // namespace
