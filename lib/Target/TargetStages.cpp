//===- TargetStages.cpp - Stages that depend on the target ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/Passes.h"
#include "moe-mlir/Target/Target.h"

#include "mlir/Pass/PassManager.h"

namespace moe {
#define GEN_PASS_DEF_SETTARGETPASS
#define GEN_PASS_DEF_TARGETSTAGEPASS
#include "moe-mlir/Target/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

namespace {
struct SetTarget : moe::impl::SetTargetPassBase<SetTarget> {
  using Base::Base;

  void getDependentDialects(DialectRegistry &registry) const override {
    TargetRegistry::get().getDependentDialects(registry);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (chip.empty() || moek::getTarget(module))
      return;
    moek::TargetAttrInterface attr =
        TargetRegistry::get().getChip(&getContext(), chip);
    if (!attr) {
      module.emitError("unknown target '")
          << chip << "'; known are " << TargetRegistry::get().getChipNames();
      return signalPassFailure();
    }
    module->setAttr(moek::kTargetAttrName, attr);
  }
};

struct TargetStage : moe::impl::TargetStagePassBase<TargetStage> {
  using Base::Base;

  void getDependentDialects(DialectRegistry &registry) const override {
    TargetRegistry::get().getDependentDialects(registry);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    moek::TargetAttrInterface chip = moek::getTarget(module);
    if (!chip) {
      module.emitError("has no target; set the module attribute '")
          << moek::kTargetAttrName << "' or name one in moe-set-target";
      return signalPassFailure();
    }
    const Target *target = TargetRegistry::get().find(chip);
    if (!target) {
      module.emitError("is for ")
          << chip << ", but no target '" << chip.getTargetName()
          << "' is registered; load the plugin that has it";
      return signalPassFailure();
    }
    OpPassManager pm(ModuleOp::getOperationName());
    if (stage == "plan") {
      target->buildPlanPipeline(pm, chip, PlanOptions{keepLayout});
    } else if (stage == "kernels") {
      target->buildKernelPipeline(pm, chip);
    } else if (stage == "code") {
      target->buildCodePipeline(pm, chip);
    } else {
      module.emitError("unknown stage '")
          << stage << "' of a target; known are plan, kernels, code";
      return signalPassFailure();
    }
    if (failed(runPipeline(pm, module)))
      signalPassFailure();
  }
};
} // namespace
