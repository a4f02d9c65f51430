//===- Extensions.cpp - Passes that do what they should not -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A plugin that joins every compilation as soon as it is loaded, and has passes
// that say where they run, fail without a word, and break the IR.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Pipelines/Extensions.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace mlir;

namespace {

template <typename Derived>
using ModulePass = PassWrapper<Derived, OperationPass<ModuleOp>>;

struct Say : ModulePass<Say> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(Say)

  Say() = default;
  Say(const Say &other) : ModulePass<Say>(other) {}
  explicit Say(StringRef what) { text = what.str(); }
  StringRef getArgument() const override { return "test-say"; }
  void runOnOperation() override {
    getOperation().emitRemark("test-say: ") << text;
  }

  Option<std::string> text{*this, "text"};
};

struct Fail : ModulePass<Fail> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(Fail)

  StringRef getArgument() const override { return "test-fail"; }
  void runOnOperation() override { signalPassFailure(); }
};

struct DropReturns : ModulePass<DropReturns> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(DropReturns)

  StringRef getArgument() const override { return "test-drop-returns"; }
  void runOnOperation() override {
    getOperation().walk([](func::ReturnOp op) { op.erase(); });
  }
};

/// Valid IR, but nothing that can be compiled.
struct CallElsewhere : ModulePass<CallElsewhere> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CallElsewhere)

  StringRef getArgument() const override { return "test-call-elsewhere"; }
  void runOnOperation() override {
    auto first = *getOperation().getOps<func::FuncOp>().begin();
    OpBuilder b(first);
    auto elsewhere = func::FuncOp::create(b, first.getLoc(), "elsewhere",
                                          b.getFunctionType({}, {}));
    elsewhere.setPrivate();
    b.setInsertionPointToStart(&first.getBody().front());
    func::CallOp::create(b, first.getLoc(), elsewhere, ValueRange());
  }
};

void registerAll() {
  PassRegistration<Say>();
  PassRegistration<Fail>();
  PassRegistration<DropReturns>();
  PassRegistration<CallElsewhere>();
  for (moe::Stage stage : {moe::Stage::Fused, moe::Stage::Planned})
    moe::registerPipelineExtension(
        stage, [](OpPassManager &pm, const moe::ExtensionContext &context) {
          std::string text = moe::stageName(context.stage).str();
          if (!context.target.empty())
            text += "/" + context.target.str();
          pm.addPass(std::make_unique<Say>(text));
        });
}

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "TestExtensions", "0.1", registerAll};
}
