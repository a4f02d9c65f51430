//===- moe-opt.cpp - Runs any pass on any IR -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// mlir-opt with our dialects and passes beside upstream's. What differs: the
// command line is that of our other tools, a plugin that does not load is an
// error, bytecode is read when asked to, and equal remarks are one.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/Diagnostics.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

using namespace mlir;
namespace cl = llvm::cl;

#ifdef MOE_INCLUDE_TESTS
namespace moe::test {
void registerTestMoeDialect();
} // namespace moe::test
#endif

/// What a pass of ours does; nothing for upstream's, which are too many.
static std::string describePass(StringRef name) {
  if (!name.contains("moe") && name != "convert-linalg-to-vector")
    return "";
  const PassRegistryEntry *entry = PassInfo::lookup(name);
  if (!entry)
    entry = PassPipelineInfo::lookup(name);
  return entry ? entry->getPassDescription().str() : "";
}

namespace {

/// Merges what passes say as long as their manager lives.
struct MergeRemarks : PassInstrumentation {
  explicit MergeRemarks(MLIRContext &context) : merger(context) {}
  void runBeforePass(Pass *, Operation *op) override {
    merger.addFunctions(op);
  }

  moe::tools::DiagnosticMerger merger;
};

} // namespace

/// Upstream's option of that name.
template <typename Option> static Option &find(StringRef name) {
  return *static_cast<Option *>(cl::getRegisteredOptions().lookup(name));
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-opt");
  moe::tools::CommandLine line(
      {"moe-opt",
       "Runs passes on IR: mlir-opt with the dialects and passes of MoE-MLIR.",
       "[input.mlir]",
       {{"What is fused, what is not, and why",
         "moe-opt --moe-fusion-pipeline --remarks-filter='.*' layer.mlir"},
        {"One pass with an option",
         "moe-opt --pass-pipeline='builtin.module(moe-set-target{chip="
         "x86-64-v4},moek-select-schedule)' fused.mlir"}},
       "Upstream's passes are listed by --list-passes, all options by "
       "--help-list."});
  moe::tools::BytecodeOption bytecode(line);

  mlir::registerAllPasses();
  moe::registerAllPasses();
#ifdef MOE_INCLUDE_TESTS
  moe::test::registerTestMoeDialect();
#endif
  DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  moe::registerAllDialects(registry);

  registerCLIOptions("moe-opt", registry);
  line.adopt("Input", {"load-dialect-plugin", "load-pass-plugin",
                       "allow-unregistered-dialect", "irdl-file",
                       "split-input-file", "no-implicit-module"});
  line.adopt("Passes", {"pass-pipeline", "list-passes", "run-reproducer",
                        "dump-pass-pipeline"});
  line.adoptLiterals("Passes and pipelines of MoE-MLIR", describePass);
  cl::opt<std::string> input(cl::Positional, cl::init("-"),
                             cl::cat(line.group("Input")));
  cl::opt<std::string> output("o", cl::init("-"), cl::value_desc("file"),
                              cl::cat(line.group("Output")),
                              cl::desc("Output file (default: standard "
                                       "output)"));
  line.adopt("Output",
             {"emit-bytecode", "output-split-marker", "remarks-filter",
              "remarks-output-file", "mlir-print-debuginfo",
              "mlir-print-op-generic", "mlir-print-local-scope"});
  line.adopt("Debugging",
             {"verify-diagnostics", "verify-each", "verify-roundtrip",
              "mlir-print-ir-before-all", "mlir-print-ir-after-all",
              "mlir-print-ir-after-failure", "mlir-print-op-on-diagnostic",
              "mlir-print-stacktrace-on-diagnostic", "mlir-timing",
              "mlir-pass-statistics", "mlir-disable-threading",
              "mlir-pass-pipeline-crash-reproducer"});
  // The place of an error is enough: its operation may be a whole module.
  find<cl::opt<bool>>("mlir-print-op-on-diagnostic").setInitialValue(false);
  // Upstream goes on without a plugin that it could not load.
  auto &dialects = find<cl::list<std::string>>("load-dialect-plugin");
  dialects.setCallback([&](const std::string &path) {
    std::string error;
    if (!moe::tools::loadDialectPlugin(path, registry, error))
      exit(line.fail(error));
  });
  auto &passes = find<cl::list<std::string>>("load-pass-plugin");
  passes.setCallback([&](const std::string &path) {
    std::string error;
    if (!moe::tools::loadPassPlugin(path, error))
      exit(line.fail(error));
  });
  using Plugins = moe::tools::PluginOptions;
  dialects.setDescription(Plugins::dialectHelp);
  passes.setDescription(Plugins::passHelp);
  dialects.setValueStr(Plugins::value);
  passes.setValueStr(Plugins::value);
  line.parse(argc, argv);

  MlirOptMainConfig config = MlirOptMainConfig::createFromCLOptions();
  if (config.shouldListPasses()) {
    printRegisteredPasses();
    return 0;
  }
  if (config.shouldShowDialects()) {
    for (StringRef name : registry.getDialectNames())
      llvm::outs() << name << "\n";
    return 0;
  }
  // Tests of diagnostics want each of them.
  if (!config.shouldVerifyDiagnostics())
    config.setPassPipelineSetupFn([plain = config](PassManager &manager) {
      manager.addInstrumentation(
          std::make_unique<MergeRemarks>(*manager.getContext()));
      return plain.setupPassPipeline(manager);
    });
  std::string error;
  std::unique_ptr<llvm::MemoryBuffer> file =
      moe::tools::openInput(input, error);
  // An empty file is an empty module.
  if (!file || (file->getBufferSize() &&
                !moe::tools::checkIR(*file, bytecode.allow, error)))
    return line.fail(error);
  // As upstream's does, but the output is complete when it gets its name.
  std::string text;
  llvm::raw_string_ostream os(text);
  bool isGood = succeeded(MlirOptMain(os, std::move(file), registry, config));
  moe::OutputSet outputs;
  // Parts of a split file that were good are printed in any case.
  if ((isGood || output == "-") &&
      !(outputs.write(output, text, error) && outputs.commit(error)))
    return line.fail(error);
  return isGood ? 0 : 1;
}
