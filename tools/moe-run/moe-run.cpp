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

#include "Checking.h"
#include "Load.h"
#include "Options.h"
#include "Print.h"
#include "Profiling.h"

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Run/CollapseCause.h"
#include "moe-mlir/Run/Results.h"
#include "moe-mlir/Run/RoutingCollector.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/InitAllPasses.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Path.h"

using namespace llvm;
namespace run = moe::run;

/// Calls one function. `model` is what it was compiled from, null when it is
/// not known; routings go to `collector` unless that is null. Results that
/// --verify finds wrong are no failure: `isWrong` tells, after whatever is to
/// be written.
static bool runFunction(const run::Given &given, const run::Loaded &loaded,
                        const std::string &entry, mlir::func::FuncOp model,
                        const moe::FunctionInputs &inputs,
                        run::RoutingCollector *collector, moe::Profile &seen,
                        moe::OutputSet &outputs, bool &isWrong,
                        std::string &error) {
  const run::CommandLine &options = given.options;
  const run::Artifact &artifact = *loaded.artifact;
  std::unique_ptr<run::Call> call =
      run::Call::prepare(artifact, entry, inputs, options.threads, error);
  if (!call)
    return false;
  if (given.hasProfile && !run::canProfile(*call, model, error))
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
  if (collector) {
    size_t first = collector->report.records.size();
    collector->end();
    run::explainCollapses(collector->report, first, *call, model, inputs);
  }
  run::print(outs(), *call);
  if (!options.output.empty() &&
      !run::writeResults(outputs, options.output, call->results(), error))
    return false;
  if (given.repeats) {
    run::BenchResult result;
    moe::Progress progress("measuring", "repeats");
    if (!run::bench(*call, model, routings, given.repeats, result, error,
                    progress.function()))
      return false;
    progress.hide();
    run::print(outs(), result);
    std::string text;
    raw_string_ostream os(text);
    run::writeJson(os, result);
    if (!options.json.empty() && !outputs.write(options.json, text, error))
      return false;
  }
  if (given.hasProfile &&
      !run::profile(given, *call, model, inputs, seen, error))
    return false;
  if (given.isVerified) {
    bool passed = true;
    if (!run::check({given, loaded, entry, *call, model, inputs, routings},
                    passed, error)) {
      options.line.fail(error);
      passed = false;
    }
    isWrong |= !passed;
  }
  return true;
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

  run::Loaded loaded;
  if (!loaded.load(given, error))
    return error.empty() ? 1 : fail(error);
  const std::unique_ptr<run::Artifact> &artifact = loaded.artifact;
  const std::unique_ptr<moe::tools::ModelFile> &model = loaded.model;

  // A report or a profile is about all layers unless one is named.
  const moe::Manifest &manifest = artifact->manifest();
  std::vector<std::string> entries{options.entry};
  if ((given.hasReport || given.hasProfile) && options.entry.empty() &&
      manifest.functions.size() > 1) {
    entries.clear();
    for (const moe::FunctionDesc &desc : manifest.functions)
      entries.push_back(desc.name);
    if (!options.output.empty())
      return fail(
          "--output is for the results of one function, and " +
          Twine(given.hasReport ? "--routing-report" : "--profile-out") +
          " runs all " + Twine(entries.size()) + "; name one by --entry");
  }
  run::RoutingCollector collector;
  moe::Profile seen;
  moe::OutputSet outputs;
  bool isWrong = false;
  for (const auto &[i, entry] : enumerate(entries)) {
    mlir::func::FuncOp function;
    if (model) {
      const moe::FunctionDesc *desc = manifest.select(entry, error);
      if (!desc)
        return fail(artifact->path() + ": " + error);
      function = (*model)->lookupSymbol<mlir::func::FuncOp>(desc->name);
      if (!function && (given.isVerified || given.hasProfile))
        return fail("the model has no function '" + desc->name + "'");
    }
    // Layers have tensors of the same names: one seed would make them the same.
    moe::FunctionInputs inputs = given.inputs;
    if (inputs.seed)
      *inputs.seed += i;
    if (!runFunction(given, loaded, entry, function, inputs,
                     given.hasReport ? &collector : nullptr, seen, outputs,
                     isWrong, error))
      return fail(error);
  }
  if (given.hasReport && !run::writeReport(given, collector.report,
                                           entries.size(), outputs, error))
    return fail(error);
  if ((given.hasProfile && !run::write(given, seen, outputs, error)) ||
      !outputs.commit(error))
    return fail(error);
  if (given.hasReport)
    run::printReport(outs(), collector.report, options.routingReport);
  return isWrong;
}
