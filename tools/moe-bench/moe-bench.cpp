//===- moe-bench.cpp - Compiled layers beside what is possible -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Bench.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Bench/Bench.h"
#include "moe-mlir/Bench/Routing.h"
#include "moe-mlir/Run/Compile.h"
#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace cl = llvm::cl;
using namespace moe::bench;

/// A folder of an installation, or of the source tree.
static std::string findFolder(llvm::StringRef installed,
                              llvm::StringRef source) {
  std::string self = llvm::sys::fs::getMainExecutable(
      "moe-bench", reinterpret_cast<void *>(&findFolder));
  llvm::SmallString<128> path(llvm::sys::path::parent_path(self));
  llvm::sys::path::append(path, "..", installed);
  return llvm::sys::fs::is_directory(path) ? path.str().str() : source.str();
}

static std::string findModels() {
  return findFolder(MOE_BENCH_INSTALLED "/models", MOE_BENCH_SOURCE_MODELS);
}

static std::string findSuites() {
  return findFolder(MOE_BENCH_INSTALLED "/suites", MOE_BENCH_SOURCE_SUITES);
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

/// All suites that can be read; the others say why when they are asked for.
static std::vector<Suite> allSuites() {
  std::vector<Suite> suites;
  for (const std::string &name : listSuites(findSuites())) {
    std::string error;
    if (Suite suite; readSuite(findSuites(), name, suite, error))
      suites.push_back(std::move(suite));
  }
  return suites;
}

static void printSuites() {
  for (const Suite &suite : allSuites()) {
    llvm::outs() << suite.name << ": " << suite.description << "\n  models:";
    for (const BenchModel &model : suite.models)
      llvm::outs() << " " << model.name;
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
       "[model.mlir | config.json]",
       {{"A layer of one's own with one token and with 64",
         "moe-bench layer.mlir --tokens=1,64 --json=bench.json"},
        {"The layers of real models, on all CPUs",
         "moe-bench --suite=layer --threads=all"},
        {"One of them, as configured, with all baselines",
         "moe-bench --model=OLMoE-1B-7B --tokens=1,64"}},
       "With a file, its layer is measured, else a suite.",
       moe::knownTargets()}};
  cl::OptionCategory &what = line.group("What to run"),
                     &running = line.group("Running"),
                     &out = line.group("Output"),
                     &general = line.group("General");
  moe::tools::PluginOptions plugins{line};
  moe::tools::CompilationOptions compilation{line};

  cl::opt<std::string> input{cl::Positional, cl::cat(what),
                             cl::desc("[model.mlir | config.json]")};
  moe::tools::EntryOption entryOption{line};
  moe::tools::BytecodeOption bytecode{line};
  cl::opt<int64_t> experts{
      "experts", cl::value_desc("N"), cl::cat(what),
      cl::desc("Keep only the first N experts of a configuration's layer")};
  cl::opt<std::string> suite{
      "suite", cl::value_desc("name | file.json"), cl::init("layer"),
      cl::cat(what), cl::desc("What to run, see --list (default: layer)")};
  cl::opt<std::string> models{"model", cl::value_desc("a,b"), cl::cat(what),
                              cl::desc("Only these models, see "
                                       "--list-models")};
  cl::opt<std::string> formats{"format", cl::value_desc("a,b"), cl::cat(what),
                               cl::desc("Only these: f32, bf16")};
  cl::opt<std::string> tokens{"tokens", cl::value_desc("1,64"), cl::cat(what),
                              cl::desc("Numbers of tokens (default: the "
                                       "suite's; 1,16,512 for a file)")};
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
    for (const BenchModel &model : suite.models)
      if (!llvm::is_contained(names, model.name))
        names.push_back(model.name);
  return names;
}

CommandLine::CommandLine() {
  line.addList("list-models", "List the models of all suites", listModels);
  line.addList("list-targets",
               "List the targets; layers are compiled for the native one",
               moe::describeTargets);
}

/// The layer of a file; nothing after an error, which may have been printed.
static std::optional<BenchModel> readOwn(const CommandLine &given,
                                         moe::tools::ModelFile &module,
                                         std::string &error) {
  BenchModel own;
  own.name = llvm::sys::path::stem(given.input).str();
  own.entry = given.entryOption.entry;
  own.keepExperts = given.experts;
  bool isConfig = llvm::sys::path::extension(given.input) == ".json";
  const char *misplaced = nullptr;
  if (given.suite.getNumOccurrences() || !given.models.empty())
    misplaced = "--suite and --model are for suites";
  else if (!isConfig && !given.formats.empty())
    misplaced = "--format is for suites and configurations";
  else if (!isConfig && given.experts)
    misplaced = "--experts is for configurations";
  else if (given.baselines.getNumOccurrences() &&
           llvm::is_contained(splitNames(given.baselines), "onednn"))
    misplaced = "the baseline onednn is written by hand for the models of "
                "suites";
  if (misplaced) {
    error = std::string(misplaced) + ", and '" + given.input + "' is a " +
            (isConfig ? "configuration" : "model");
    return std::nullopt;
  }
  if (isConfig) {
    own.config = given.input;
    return own;
  }
  if (!module.parse(given.line, given.input, given.bytecode.allow))
    return std::nullopt;
  own.module = *module;
  return own;
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-bench");
  mlir::registerAllPasses();
  moe::registerAllPasses();
  moe::registerAllTargets();
  CommandLine given;
  given.line.parse(argc, argv);
  if (given.list) {
    printSuites();
    return 0;
  }

  auto fail = [&](const llvm::Twine &message) {
    return given.line.fail(message);
  };
  std::string error;
  Options options;
  mlir::DialectRegistry registry;
  moe::run::registerRunDialects(registry);
  mlir::registerAllExtensions(registry);
  if (!given.plugins.load(registry, error) ||
      !given.compilation.apply(options.compile, error))
    return fail(error);
  mlir::MLIRContext context(registry);
  if (given.input.empty() &&
      (given.suite == "routing" || given.suite == "routing-smoke")) {
    // A wrong path should not cost a run.
    moe::OutputSet outputs;
    if (!given.json.empty() && !outputs.add(given.json, error))
      return fail(error);
    RoutingReport report;
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
  moe::tools::ModelFile module(context);
  if (given.input.empty()) {
    if (!readSuite(findSuites(), given.suite, options.suite, error))
      return fail(error);
  } else if (std::optional<BenchModel> own = readOwn(given, module, error)) {
    options.suite = makeOwnSuite(std::move(*own));
  } else {
    return error.empty() ? 1 : fail(error);
  }
  options.models = splitNames(given.models);
  options.formats = splitNames(given.formats);
  if (given.baselines != "none")
    options.baselines = splitNames(given.baselines);
  options.repeats = given.repeats;
  options.phases = given.phases;
  options.artifactDir = given.artifactDir;
  options.reuseArtifacts = given.reuse;
  options.modelsDir = given.modelsDir.empty() ? findModels() : given.modelsDir;
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
