//===- moe-compile.cpp - IR to an artifact ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A thin command line around the compiler library.
//
//===----------------------------------------------------------------------===//

#include "Options.h"

#include "moe-mlir/Fit/Fit.h"
#include "moe-mlir/InitAll.h"
#include "moe-mlir/Raise/ForeignModel.h"
#include "moe-mlir/Raise/Passes.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/InitAllPasses.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/FileUtilities.h"

using namespace mlir;
using moe::compile::CommandLine;

/// The best of the targets asked for, as --target-description takes it.
static int printTarget(MLIRContext &context, const CommandLine &given,
                       const moe::CompileOptions &options) {
  OwningOpRef<ModuleOp> none = ModuleOp::create(UnknownLoc::get(&context));
  FailureOr<moe::TargetList> targets = moe::resolveTargets(*none, options);
  if (failed(targets))
    return 1;
  std::string error;
  moe::OutputSet outputs;
  if (outputs.write(given.output.empty() ? "-" : given.output.getValue(),
                    moe::TargetRegistry::get().describeChip(targets->back()),
                    error) &&
      outputs.commit(error))
    return 0;
  return given.line.fail(error);
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-compile");
  mlir::registerAllPasses();
  moe::registerAllPasses();
  moe::registerAllTargets();
  CommandLine given;
  given.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return given.line.fail(message); };

  std::string error;
  moe::CompileOptions options;
  moe::compile::Outputs outputs;
  moe::RoutingOptions routing;
  if (!given.read(options, outputs, routing, error))
    return fail(error);
  DialectRegistry registry;
  moe::registerCompilerDialects(registry);
  moe::registerAllDialects(registry);
  moe::fit::registerFormatModels(registry);
  if (!given.plugins.load(registry, error) ||
      !given.compilation.apply(options, error))
    return fail(error);
  // One compilation per target runs in parallel; threads within each would
  // only cost.
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  if (given.printTarget)
    return printTarget(context, given, options);
  moe::tools::ModelFile file(context);
  // What an exporter wrote is raised first.
  moe::ForeignModel foreign;
  if (!foreign.open(context, given.input, error))
    return fail(error);
  ModuleOp model = foreign.getGraph();
  if (!model) {
    if (!file.parse(given.line, given.input, given.bytecode.allow))
      return 1;
    model = *file;
  }
  if (foreign.isForeign() && failed(moe::raiseModel(model)))
    return 1;
  // Beside an artifact, whose packed weights have its name as a rule.
  auto writeWeights = [&](const std::string &path) {
    moe::OutputSet files;
    return foreign.writeWeights(files, path, error) && files.commit(error);
  };
  if (!given.passes.empty() &&
      failed(moe::tools::runPasses(model, given.passes, &given.compilation)))
    return 1;
  if (failed(moe::applyRoutingOptions(model, routing)))
    return 1;
  std::string fitted;
  if (!given.fit.empty() && !given.fitFormats(model, options, fitted, error))
    return error.empty() ? 1 : fail(error);
  if (outputs.isArtifact()) {
    moe::Progress progress("compiling", "steps");
    options.progress = progress.function();
    LogicalResult compiled =
        moe::compileToArtifact(model, options, outputs.base);
    progress.hide();
    if (failed(compiled))
      return 1;
    if (!writeWeights(outputs.base + ".weights.safetensors"))
      return fail(error);
    llvm::outs() << fitted;
    return 0;
  }

  FailureOr<moe::TargetList> targets = moe::resolveTargets(model, options);
  if (failed(targets))
    return 1;
  // One text: the best of the targets asked for.
  moek::TargetAttrInterface target = targets->back();
  std::string result;
  llvm::raw_string_ostream out(result);
  if (outputs.model) {
    for (StringRef line : llvm::split(StringRef(fitted).rtrim(), '\n'))
      if (!line.empty())
        out << "// " << line << "\n";
    model.print(out, OpPrintingFlags().printNameLocAsPrefix());
    out << "\n";
  } else if (!outputs.report.empty()) {
    FailureOr<moe::CompileReport> report =
        moe::describeCompilation(model, options, target, given.reportThreads);
    if (failed(report))
      return 1;
    report->formats = fitted;
    out << (outputs.report == "html"   ? printHtml(*report)
            : outputs.report == "json" ? printJson(*report)
                                       : printText(*report));
  } else if (outputs.stage) {
    OwningOpRef<ModuleOp> lowered =
        moe::compileToStage(model, options, target, *outputs.stage);
    if (!lowered)
      return 1;
    lowered->print(out, OpPrintingFlags().printNameLocAsPrefix());
    out << "\n";
  } else if (!outputs.shaders.empty()) {
    if (failed(moe::compileToShaders(model, options, target, outputs.shaders,
                                     out)))
      return 1;
  } else if (failed(moe::compileToText(model, options, target, *outputs.text,
                                       out))) {
    return 1;
  }
  if (outputs.model &&
      !writeWeights(moe::ForeignModel::getWeightsPath(outputs.base)))
    return fail(error);
  moe::OutputSet files;
  if (!files.write(outputs.base.empty() ? "-" : outputs.base, result, error) ||
      !files.commit(error))
    return fail(error);
  return 0;
}
