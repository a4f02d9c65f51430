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
#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Bench/Routing.h"
#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/InitAll.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "llvm/ADT/StringExtras.h"
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

namespace {

struct CommandLine {
  moe::tools::CommandLine line{
      {"moe-bench",
       "Times compiled MoE layers beside this machine's limits and other "
       "implementations.",
       "",
       {{"The layers of real models, on all CPUs",
         "moe-bench --suite=layer --threads=all"},
        {"One model with one token and with 64, to a file",
         "moe-bench --model=OLMoE-1B-7B --tokens=1,64 --json=bench.json"}},
       "",
       moe::knownTargets()}};
  cl::OptionCategory &what = line.group("What to run"),
                     &running = line.group("Running"),
                     &out = line.group("Output"),
                     &general = line.group("General");

  cl::opt<std::string> suite{"suite", cl::value_desc("name"), cl::init("layer"),
                             cl::cat(what),
                             cl::desc("What to run, see --list (default: "
                                      "layer)")};
  cl::opt<std::string> models{"model", cl::value_desc("a,b"), cl::cat(what),
                              cl::desc("Only these models, see "
                                       "--list-models")};
  cl::opt<std::string> formats{"format", cl::value_desc("a,b"), cl::cat(what),
                               cl::desc("Only these: f32, bf16")};
  cl::opt<std::string> tokens{"tokens", cl::value_desc("1,64"), cl::cat(what),
                              cl::desc("Only these numbers of tokens")};
  cl::opt<std::string> baselines{
      "baselines", cl::value_desc("a,b"), cl::init("onednn,unfused"),
      cl::cat(what), cl::desc("onednn, unfused (default: both) or none")};
  cl::opt<std::string> modelsDir{
      "models-dir", cl::value_desc("folder"), cl::cat(what),
      cl::desc("Where the models' configurations are")};

  cl::opt<std::string> threads{
      "threads", cl::value_desc("1,all"), cl::cat(running),
      cl::desc("Numbers of threads, or all (default)")};
  cl::opt<int> repeats{"repeats", cl::value_desc("N"), cl::cat(running),
                       cl::desc("Runs a row (default: about a second's worth, "
                                "at least 7)")};
  cl::opt<std::string> artifactDir{
      "artifact-dir", cl::value_desc("folder"), cl::cat(running),
      cl::desc("Keep the compiled layers in this folder")};
  cl::opt<bool> reuse{"reuse-artifacts", cl::cat(running),
                      cl::desc("Do not compile what is in the artifact "
                               "folder")};

  cl::opt<bool> phases{"phases", cl::cat(out),
                       cl::desc("Also print the share of each phase")};
  cl::opt<std::string> json{"json", cl::value_desc("file"), cl::cat(out),
                            cl::desc("Also write what was measured there")};

  cl::opt<bool> list{"list", cl::cat(general),
                     cl::desc("List the suites and stop")};

  CommandLine();
};

} // namespace

static std::vector<std::string> listModels() {
  std::vector<std::string> names;
  for (const Suite &suite : allSuites())
    for (const SuiteModel &model : suite.models)
      if (!llvm::is_contained(names, model.spec.model))
        names.push_back(model.spec.model);
  return names;
}

CommandLine::CommandLine() {
  line.addList("list-models", "List the models of all suites", listModels);
  line.addList("list-targets",
               "List the targets; layers are compiled for the native one",
               moe::describeTargets);
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-bench");
  moe::registerAllTargets();
  CommandLine given;
  given.line.parse(argc, argv);
  if (given.list) {
    listSuites();
    return 0;
  }

  auto fail = [&](const llvm::Twine &message) {
    return given.line.fail(message);
  };
  std::string error;
  if (given.suite == "routing" || given.suite == "routing-smoke") {
    // A wrong path should not cost a run.
    moe::OutputSet outputs;
    if (!given.json.empty() && !outputs.add(given.json, error))
      return fail(error);
    RoutingReport report;
    mlir::MLIRContext context(makeRegistry());
    bool ok = runRoutingSuite(context, /*quick=*/given.suite != "routing",
                              llvm::outs(), report, error);
    if (!ok)
      return fail(error);
    std::string text;
    llvm::raw_string_ostream os(text);
    printJson(os, report);
    if (!given.json.empty() && !outputs.append(given.json, text, error))
      return fail(error);
    return outputs.commit(error) ? 0 : fail(error);
  }
  Options options;
  options.suite = given.suite;
  options.models = splitNames(given.models);
  options.formats = splitNames(given.formats);
  if (given.baselines != "none")
    options.baselines = splitNames(given.baselines);
  options.repeats = given.repeats;
  options.phases = given.phases;
  options.artifactDir = given.artifactDir;
  options.reuseArtifacts = given.reuse;
  options.modelsDir =
      given.modelsDir.empty() ? findModels(argv[0]) : given.modelsDir;
  if (given.repeats.getNumOccurrences() && given.repeats < 1)
    return fail("--repeats needs a number of at least 1");
  if (!splitNumbers<int64_t>("tokens", given.tokens, 0, options.tokens,
                             error) ||
      !splitNumbers<int>("threads", given.threads, moe::run::maxThreads(),
                         options.threads, error) ||
      !resolveOptions(options, error))
    return fail(error);

  Report report;
  // Written after each row, so that a run that is cut short leaves what it
  // measured.
  auto writeJson = [&]() -> bool {
    if (given.json.empty())
      return true;
    std::string text;
    llvm::raw_string_ostream os(text);
    printJson(os, report);
    moe::OutputSet outputs;
    return outputs.write(given.json, text, error) && outputs.commit(error);
  };
  // A wrong path should not cost a run.
  if (moe::OutputSet trial;
      !given.json.empty() && !trial.add(given.json, error))
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
