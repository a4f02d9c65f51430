//===- moe-bench.cpp - Compiled layers beside what is possible -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Bench.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Bench.h"
#include "moe-mlir/Bench/MachineLimits.h"
#include "moe-mlir/Bench/Routing.h"
#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/InitAll.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace cl = llvm::cl;
using namespace moe::bench;

/// The configurations, in an installation or in the source tree.
static std::string findModels(const char *program) {
  std::string self = llvm::sys::fs::getMainExecutable(
      program, reinterpret_cast<void *>(&findModels));
  llvm::SmallString<128> installed(llvm::sys::path::parent_path(self));
  llvm::sys::path::append(installed, "..", MOE_BENCH_INSTALLED_MODELS);
  if (llvm::sys::fs::is_directory(installed))
    return installed.str().str();
  return MOE_BENCH_SOURCE_MODELS;
}

static std::vector<std::string> splitNames(llvm::StringRef text) {
  std::vector<std::string> names;
  for (llvm::StringRef part : llvm::split(text, ','))
    if (!part.trim().empty())
      names.push_back(part.trim().str());
  return names;
}

/// Numbers separated by commas; `all` stands for `allValue` if that is not 0.
template <typename T>
static bool splitNumbers(llvm::StringRef option, llvm::StringRef text,
                         T allValue, std::vector<T> &numbers,
                         std::string &error) {
  for (const std::string &part : splitNames(text)) {
    T number = 0;
    if (allValue && part == "all") {
      number = allValue;
    } else if (llvm::StringRef(part).getAsInteger(10, number)) {
      error = "--" + option.str() + ": '" + part + "' is not a number" +
              (allValue ? " or 'all'" : "");
      return false;
    }
    if (!llvm::is_contained(numbers, number))
      numbers.push_back(number);
  }
  return true;
}

static mlir::DialectRegistry makeRegistry() {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  moe::registerCompilerDialects(registry);
  moe::registerAllDialects(registry);
  return registry;
}

static void listSuites() {
  for (const Suite &suite : allSuites()) {
    llvm::outs() << suite.name << ": " << suite.description << "\n  models:";
    for (const SuiteModel &model : suite.models)
      llvm::outs() << " " << model.spec.model;
    llvm::outs() << "\n  formats: " << llvm::join(suite.formats, " ")
                 << "\n  tokens:";
    for (int64_t tokens : suite.tokens)
      llvm::outs() << " " << tokens;
    llvm::outs() << "\n";
  }
  llvm::outs() << "routing: selection and packing on their own, beside plain "
                  "C++\nrouting-smoke: a few of those, to show that they "
                  "work\n";
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-bench");

  // LLVM's shared library brings options of its own, a --threads among them.
  cl::ResetCommandLineParser();
  cl::OptionCategory category("moe-bench options");
  cl::opt<std::string> suite("suite", cl::desc("What to run (see --list)"),
                             cl::init("layer"), cl::cat(category));
  cl::opt<std::string> models("model", cl::desc("Only these models"),
                              cl::value_desc("a,b"), cl::cat(category));
  cl::opt<std::string> formats("format", cl::desc("Only these: f32, bf16"),
                               cl::value_desc("a,b"), cl::cat(category));
  cl::opt<std::string> tokens("tokens", cl::desc("Only these numbers"),
                              cl::value_desc("1,64"), cl::cat(category));
  cl::opt<std::string> threads("threads",
                               cl::desc("Numbers of threads, or all (default)"),
                               cl::value_desc("1,all"), cl::cat(category));
  cl::opt<int> repeats("repeats",
                       cl::desc("Runs a row (default: about a second's worth, "
                                "at least 7)"),
                       cl::value_desc("N"), cl::cat(category));
  cl::opt<std::string> baselines(
      "baselines", cl::desc("onednn, unfused (default: both) or none"),
      cl::value_desc("a,b"), cl::init("onednn,unfused"), cl::cat(category));
  cl::opt<bool> phases("phases", cl::desc("Also print the share of each phase"),
                       cl::cat(category));
  cl::opt<std::string> json("json", cl::desc("Also write the results there"),
                            cl::value_desc("file"), cl::cat(category));
  cl::opt<std::string> artifactDir(
      "artifact-dir", cl::desc("Keep the compiled layers in this folder"),
      cl::value_desc("dir"), cl::cat(category));
  cl::opt<bool> reuse("reuse-artifacts",
                      cl::desc("Do not compile what is in the artifact folder"),
                      cl::cat(category));
  cl::opt<std::string> modelsDir(
      "models-dir", cl::desc("Where the models' configurations are"),
      cl::value_desc("dir"), cl::cat(category));
  cl::opt<bool> list("list", cl::desc("List the suites and stop"),
                     cl::cat(category));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Times compiled MoE layers beside this machine's limits and other "
      "implementations\n");
  if (list) {
    listSuites();
    return 0;
  }

  auto fail = [](const llvm::Twine &message) {
    llvm::errs() << "moe-bench: error: " << message << "\n";
    return 1;
  };
  std::string error;
  if (suite == "routing" || suite == "routing-smoke") {
    // A wrong path should not cost a run.
    moe::OutputSet outputs;
    if (!json.empty() && !outputs.add(json, error))
      return fail(error);
    RoutingReport report;
    mlir::MLIRContext context(makeRegistry());
    bool ok = runRoutingSuite(context, /*quick=*/suite != "routing",
                              llvm::outs(), report, error);
    if (!ok)
      return fail(error);
    std::string text;
    llvm::raw_string_ostream os(text);
    printJson(os, report);
    if (!json.empty() && !outputs.append(json, text, error))
      return fail(error);
    return outputs.commit(error) ? 0 : fail(error);
  }
  Options options;
  options.suite = suite;
  options.models = splitNames(models);
  options.formats = splitNames(formats);
  if (baselines != "none")
    options.baselines = splitNames(baselines);
  options.repeats = repeats;
  options.phases = phases;
  options.artifactDir = artifactDir;
  options.reuseArtifacts = reuse;
  options.modelsDir = modelsDir.empty() ? findModels(argv[0]) : modelsDir;
  options.isTerminal = llvm::errs().is_displayed();
  if (repeats.getNumOccurrences() && repeats < 1)
    return fail("--repeats needs a number of at least 1");
  if (!splitNumbers<int64_t>("tokens", tokens, 0, options.tokens, error) ||
      !splitNumbers<int>("threads", threads, maxThreads(), options.threads,
                         error) ||
      !resolveOptions(options, error))
    return fail(error);

  Report report;
  // Written after each row, so that a run that is cut short leaves what it
  // measured.
  auto writeJson = [&]() -> bool {
    if (json.empty())
      return true;
    std::string text;
    llvm::raw_string_ostream os(text);
    printJson(os, report);
    moe::OutputSet outputs;
    return outputs.write(json, text, error) && outputs.commit(error);
  };
  // A wrong path should not cost a run.
  if (moe::OutputSet trial; !json.empty() && !trial.add(json, error))
    return fail(error);

  mlir::MLIRContext context(makeRegistry());
  bool ok = runBench(
      context, options, llvm::errs(),
      [&](const Machine &machine) {
        printMachine(llvm::outs(), machine);
        llvm::outs() << "\n";
        printHeader(llvm::outs(), options.baselines);
        llvm::outs().flush();
      },
      [&](const Row &row) {
        printRow(llvm::outs(), row, options.baselines);
        llvm::outs().flush();
        writeJson();
      },
      report, error);
  return ok && writeJson() ? 0 : fail(error);
}
