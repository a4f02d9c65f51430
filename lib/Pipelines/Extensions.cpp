//===- Extensions.cpp - Passes of others within the stages ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Each extension runs within one pass of ours, which knows whose passes they
// are.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Pipelines/Extensions.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace moe;

static std::string pointName(Stage stage) {
  return ("after-" + stageName(stage)).str();
}

/// As `add` takes it.
static std::string describe(Stage stage, const OpPassManager &passes) {
  std::string text = pointName(stage) + ":";
  llvm::raw_string_ostream os(text);
  passes.printAsTextualPipeline(os);
  return text;
}

namespace {

/// Keeps the name of the innermost pass that failed.
struct FailedPass : PassInstrumentation {
  explicit FailedPass(std::string &name) : name(name) {}
  void runAfterPassFailed(Pass *pass, Operation *) override {
    if (name.empty())
      name =
          (pass->getArgument().empty() ? pass->getName() : pass->getArgument())
              .str();
  }

  std::string &name;
};

/// The same without a word.
bool isVerified(ModuleOp module) {
  ScopedDiagnosticHandler handler(module.getContext(),
                                  [](Diagnostic &) { return success(); });
  return succeeded(verify(module));
}

struct RunExtension : PassWrapper<RunExtension, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(RunExtension)

  RunExtension(Stage stage, OpPassManager passes, OpPassManager verifier)
      : stage(stage), passes(std::move(passes)), verifier(std::move(verifier)) {
  }
  RunExtension(const RunExtension &other) = default;

  StringRef getName() const override { return "PipelineExtension"; }

  void getDependentDialects(DialectRegistry &registry) const override {
    passes.getDependentDialects(registry);
    verifier.getDependentDialects(registry);
  }

  void runOnOperation() override {
    // There is none where nobody wants to know: then the pipeline has to do.
    if (PassInstrumentor *all = getAnalysisManager().getPassInstrumentor())
      all->addInstrumentation(std::make_unique<FailedPass>(failedPass));
    ModuleOp module = getOperation();
    bool hasRun = succeeded(runPipeline(passes, module));
    if (hasRun && succeeded(verify(module)) &&
        succeeded(runPipeline(verifier, module)))
      return;
    // What is wrong has been said, but for passes that fail without a word.
    InFlightDiagnostic error = module.emitError()
                               << "extension " << ::describe(stage, passes);
    if (!isVerified(module))
      error << " left IR that does not verify";
    else if (hasRun)
      error << " left IR that cannot be compiled any further";
    else
      error << " failed";
    if (!hasRun && !failedPass.empty())
      error << " (pass '" << failedPass << "')";
    signalPassFailure();
  }

private:
  Stage stage;
  OpPassManager passes, verifier;
  std::string failedPass;
};

/// Those that plugins registered.
PipelineExtensions &getRegistered() {
  static PipelineExtensions registered;
  return registered;
}

} // namespace

void moe::registerPipelineExtension(Stage stage, BuildExtension build) {
  getRegistered().add(stage, std::move(build));
}

void PipelineExtensions::add(Stage stage, BuildExtension build) {
  entries.push_back({stage, std::move(build)});
}

bool PipelineExtensions::add(StringRef text, std::string &error) {
  auto [point, pipeline] = text.split(':');
  StringRef name = point;
  std::optional<Stage> stage;
  if (name.consume_front("after-"))
    stage = parseStage(name);
  if (!stage || pipeline.trim().empty()) {
    std::vector<std::string> known;
    for (const std::string &stage : stageNames())
      known.push_back("after-" + stage);
    error = stage ? "expected " + point.str() + ":PASSES"
                  : "unknown point '" + point.str() + "'; known are " +
                        llvm::join(known, ", ");
    return false;
  }
  std::string anchored = pipeline.trim().str();
  if (!StringRef(anchored).starts_with("builtin.module("))
    anchored = "builtin.module(" + anchored + ")";
  std::string message;
  llvm::raw_string_ostream os(message);
  FailureOr<OpPassManager> passes = parsePassPipeline(anchored, os);
  if (failed(passes)) {
    // Where in the text says less than what.
    StringRef line = StringRef(message).split('\n').first;
    size_t at = line.find("error: ");
    error = line.drop_front(at == StringRef::npos ? 0 : at + 7).str();
    // A bad value of an option has been told on a line of its own.
    if (error.empty())
      error = "cannot be parsed";
    return false;
  }
  add(*stage, [passes = *passes](OpPassManager &pm, const ExtensionContext &) {
    pm = passes;
  });
  return true;
}

std::vector<OpPassManager>
PipelineExtensions::get(const ExtensionContext &context) const {
  std::vector<OpPassManager> all;
  const PipelineExtensions &registered = getRegistered();
  for (const PipelineExtensions *list : {&registered, this})
    for (const Entry &entry : list->entries) {
      if (entry.stage != context.stage)
        continue;
      OpPassManager passes(ModuleOp::getOperationName());
      entry.build(passes, context);
      if (!passes.empty())
        all.push_back(std::move(passes));
    }
  return all;
}

void PipelineExtensions::build(OpPassManager &pm,
                               const ExtensionContext &context,
                               const OpPassManager &verifier) const {
  for (OpPassManager &passes : get(context))
    pm.addPass(std::make_unique<RunExtension>(context.stage, std::move(passes),
                                              verifier));
}

std::vector<std::string>
PipelineExtensions::describe(const ExtensionContext &context) const {
  std::vector<std::string> texts;
  for (const OpPassManager &passes : get(context))
    texts.push_back(::describe(context.stage, passes));
  return texts;
}
