//===- moe-run.cpp - Runs compiled functions -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Calls a function of an artifact, or of a model that is compiled on the way,
// on tensors from files or from a seed; checks and times it.
//
//===----------------------------------------------------------------------===//

#include "Options.h"
#include "Print.h"

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Run/Compile.h"
#include "moe-mlir/Run/Results.h"
#include "moe-mlir/Run/RoutingCollector.h"
#include "moe-mlir/Run/Targets.h"
#include "moe-mlir/Support/TemporaryFolder.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/InitAllPasses.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

using namespace llvm;
namespace run = moe::run;

/// Compiles the model, after passes that the interpreter does not see.
static bool compile(const run::Given &given, moe::CompileOptions compile,
                    moe::tools::ModelFile &model, const std::string &base) {
  run::CommandLine &options = given.options;
  compile.targets.assign(options.targets.begin(), options.targets.end());
  if (compile.targets.empty())
    compile.targets.push_back(given.emulator.empty() ? "native" : "aarch64*");
  compile.fuse = !options.noFuse;
  compile.passPipeline = options.passes;
  moe::Progress progress("compiling", "steps");
  compile.progress = progress.function();
  mlir::OwningOpRef<mlir::ModuleOp> module = (*model).clone();
  if (!options.passes.empty() &&
      failed(moe::tools::runPasses(*module, options.passes,
                                   &options.compilation)))
    return false;
  bool isCompiled = succeeded(
      run::compileToRun(*module, compile, base, !given.emulator.empty()));
  model.flush();
  return isCompiled;
}

/// Compares with the interpreter; an error means that it could not.
static bool verify(const run::Given &given, const run::Artifact &artifact,
                   const run::Call &call, mlir::func::FuncOp model,
                   const moe::FunctionInputs &inputs,
                   const run::RoutingTrace &routings, bool &passed,
                   std::string &error) {
  run::VerifyOptions options;
  options.tokens = given.options.verifyTokens;
  options.threads = given.options.threads;
  options.narrowsRows =
      run::narrowsRows(artifact.manifest(), artifact.isEmulated());
  moe::Progress progress("verifying", "experts");
  if (moe::Progress::isShown())
    options.progress = progress.function();
  run::Verification verification;
  bool isDone =
      run::verify(model, call.function(), call.sizes(), inputs, call.results(),
                  routings, options, verification, error);
  progress.hide();
  if (!isDone)
    return false;
  run::print(outs(), verification);
  passed = verification.passed();
  if (verification.compared())
    return true;
  error = "'" + call.function().name +
          "' has no values for these sizes, so that nothing was verified";
  return false;
}

/// Calls one function. `model` is what it was compiled from, null when it is
/// not known; routings go to `collector` unless that is null. Results that
/// --verify finds wrong are no failure: `isWrong` tells, after whatever is to
/// be written.
static bool runFunction(const run::Given &given, const run::Artifact &artifact,
                        const std::string &entry, mlir::func::FuncOp model,
                        const moe::FunctionInputs &inputs,
                        run::RoutingCollector *collector,
                        moe::OutputSet &outputs, bool &isWrong,
                        std::string &error) {
  const run::CommandLine &options = given.options;
  std::unique_ptr<run::Call> call =
      run::Call::prepare(artifact, entry, inputs, options.threads, error);
  if (!call)
    return false;
  run::RoutingTrace routings;
  run::TracePrinter printer;
  if (options.trace || collector || given.isVerified || given.repeats)
    call->setTrace([&](const moe_trace_event &event) {
      routings.record(event);
      if (collector && event.kind == MOE_TRACE_ROUTING)
        collector->record(event);
      if (options.trace)
        printer.print(errs(), event);
    });
  if (collector)
    collector->begin(call->function(), model);
  if (!call->invoke(error))
    return false;
  call->setTrace({});
  if (collector)
    collector->end();
  run::print(outs(), *call);
  if (!options.output.empty() &&
      !run::writeResults(outputs, options.output, call->results(), error))
    return false;
  if (given.repeats) {
    run::BenchResult result;
    moe::Progress progress("measuring", "repeats");
    if (!run::bench(artifact, *call, model, routings, given.repeats, result,
                    error, progress.function()))
      return false;
    progress.hide();
    run::print(outs(), result);
    std::string text;
    raw_string_ostream os(text);
    run::writeJson(os, result);
    if (!options.json.empty() && !outputs.write(options.json, text, error))
      return false;
  }
  bool passed = true;
  if (given.isVerified &&
      !verify(given, artifact, *call, model, inputs, routings, passed, error)) {
    options.line.fail(error);
    passed = false;
  }
  isWrong |= !passed;
  return true;
}

/// Where the tensors come from, in words.
static std::string describeInputs(const run::CommandLine &options,
                                  size_t numFunctions) {
  std::vector<std::string> from;
  for (const std::string &file : options.inputFiles)
    from.push_back(sys::path::filename(file).str());
  if (!options.weightsFile.empty())
    from.push_back(sys::path::filename(options.weightsFile).str());
  if (options.random.seed.getNumOccurrences())
    from.push_back("random, seed " + options.random.seed +
                   (numFunctions > 1 ? " and following" : ""));
  return llvm::join(from, ", ");
}

static bool writeReport(const run::Given &given, moe::RoutingReport &report,
                        size_t numFunctions, moe::OutputSet &outputs,
                        std::string &error) {
  StringRef input = given.options.inputFile;
  if (report.title.empty())
    report.title = sys::path::stem(input).str();
  report.facts = {{given.isModel ? "Model file" : "Artifact",
                   sys::path::filename(input).str()},
                  {"Tensors", describeInputs(given.options, numFunctions)}};
  return outputs.write(given.options.routingReport, report.html(), error);
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-run");
  mlir::registerAllPasses();
  moe::registerAllPasses();
  moe::registerAllTargets();
  run::CommandLine options;
  options.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return options.line.fail(message); };
  std::string error;
  run::Given given{options};
  if (!given.read(error))
    return fail(error);

  // The folder outlives the library that is loaded from it.
  moe::TemporaryFolder folder;
  std::string path = options.inputFile;
  mlir::DialectRegistry registry;
  run::registerRunDialects(registry);
  std::unique_ptr<mlir::MLIRContext> context;
  std::unique_ptr<moe::tools::ModelFile> model;
  bool asksModel = given.isVerified || given.hasReport || given.repeats;
  if (given.isModel || (asksModel && !options.modelFile.empty())) {
    if (!options.plugins.load(registry, error))
      return fail(error);
    context = std::make_unique<mlir::MLIRContext>(registry);
    model = std::make_unique<moe::tools::ModelFile>(*context);
    if (!model->parse(options.line,
                      given.isModel ? options.inputFile : options.modelFile,
                      options.bytecode.allow) ||
        failed(moe::applyRoutingOptions(**model, given.routing)))
      return 1;
  }
  if (given.isModel) {
    if (!folder.create("moe-run", error))
      return fail(error);
    SmallString<128> base(folder.path());
    sys::path::append(base, sys::path::stem(options.inputFile));
    moe::CompileOptions how;
    if (!options.compilation.apply(how, error))
      return fail(error);
    if (!compile(given, how, *model, base.str().str()))
      return 1;
    options.compilation.finish();
    path = (base + ".so").str();
  }
  std::unique_ptr<run::Artifact> artifact =
      run::Artifact::open(path, given.emulator, error);
  if (!artifact)
    return fail(error);

  // A report is about all layers unless one is named.
  const moe::Manifest &manifest = artifact->manifest();
  std::vector<std::string> entries{options.entry};
  if (given.hasReport && options.entry.empty() &&
      manifest.functions.size() > 1) {
    entries.clear();
    for (const moe::FunctionDesc &desc : manifest.functions)
      entries.push_back(desc.name);
    if (!options.output.empty())
      return fail("--output is for the results of one function, and "
                  "--routing-report runs all " +
                  Twine(entries.size()) + "; name one by --entry");
  }
  run::RoutingCollector collector;
  moe::OutputSet outputs;
  bool isWrong = false;
  for (const auto &[i, entry] : enumerate(entries)) {
    mlir::func::FuncOp function;
    if (model) {
      const moe::FunctionDesc *desc = manifest.select(entry, error);
      if (!desc)
        return fail(path + ": " + error);
      function = (*model)->lookupSymbol<mlir::func::FuncOp>(desc->name);
      if (!function && given.isVerified)
        return fail("the model has no function '" + desc->name + "'");
    }
    // Layers have tensors of the same names: one seed would make them the same.
    moe::FunctionInputs inputs = given.inputs;
    if (inputs.seed)
      *inputs.seed += i;
    if (!runFunction(given, *artifact, entry, function, inputs,
                     given.hasReport ? &collector : nullptr, outputs, isWrong,
                     error))
      return fail(error);
  }
  if (given.hasReport &&
      !writeReport(given, collector.report, entries.size(), outputs, error))
    return fail(error);
  if (!outputs.commit(error))
    return fail(error);
  if (size_t routings = collector.report.records.size(); given.hasReport)
    outs() << "routing report of " << routings << " routing"
           << (routings == 1 ? "" : "s") << ": " << options.routingReport
           << "\n";
  return isWrong;
}
