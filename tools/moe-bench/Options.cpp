//===- Options.cpp - The command line of moe-bench ---------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Options.h"

#include "moe-mlir/Run/MachineLimits.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace moe;
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

std::string bench::findSuites() {
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

static std::vector<std::string> listModels() {
  std::vector<std::string> names;
  for (const Suite &suite : readSuites(findSuites()))
    for (const BenchModel &model : suite.models)
      if (!llvm::is_contained(names, model.name))
        names.push_back(model.name);
  return names;
}

CommandLine::CommandLine() {
  line.addList("list-models", "List the models of all suites", listModels);
  line.addList("list-targets",
               "List the targets; layers are compiled for the native one",
               describeTargets);
}

std::optional<BenchModel> CommandLine::readOwn(tools::ModelFile &module,
                                               std::string &error) const {
  BenchModel own;
  own.name = llvm::sys::path::stem(input).str();
  own.entry = entryOption.entry;
  own.keepExperts = experts;
  bool isConfig = llvm::sys::path::extension(input) == ".json";
  const char *misplaced = nullptr;
  if (suite.getNumOccurrences() || !models.empty())
    misplaced = "--suite and --model are for suites";
  else if (!isConfig && !formats.empty())
    misplaced = "--format is for suites and configurations";
  else if (!isConfig && experts)
    misplaced = "--experts is for configurations";
  else if (baselines.getNumOccurrences() &&
           llvm::is_contained(splitNames(baselines), "onednn"))
    misplaced = "the baseline onednn is written by hand for the models of "
                "suites";
  if (misplaced) {
    error = std::string(misplaced) + ", and '" + input + "' is a " +
            (isConfig ? "configuration" : "model");
    return std::nullopt;
  }
  if (isConfig) {
    own.config = input;
    return own;
  }
  if (!module.parse(line, input, bytecode.allow))
    return std::nullopt;
  own.module = *module;
  return own;
}

bool CommandLine::read(Options &options, std::string &error) const {
  options.models = splitNames(models);
  options.formats = splitNames(formats);
  options.device = device.device;
  // Those that are there without being asked for are for the CPU.
  if (baselines != "none" &&
      (options.device.empty() || baselines.getNumOccurrences()))
    options.baselines = splitNames(baselines);
  options.repeats = repeats;
  options.zipf = zipf;
  options.phases = phases;
  options.expectations = checkReport;
  options.compile.targetDescriptions.assign(targetDescriptions.begin(),
                                            targetDescriptions.end());
  options.artifactDir = artifactDir;
  options.reuseArtifacts = reuse;
  options.modelsDir = modelsDir.empty() ? findModels() : modelsDir.getValue();
  if (repeats.getNumOccurrences() && repeats < 1) {
    error = "--repeats needs a number of at least 1";
    return false;
  }
  return splitNumbers<int64_t>("tokens", tokens, 0, options.tokens, error) &&
         splitNumbers<int>("threads", threads, run::maxThreads(),
                           options.threads, error) &&
         resolveOptions(options, error);
}
