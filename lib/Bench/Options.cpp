//===- Options.cpp - What a benchmark run is asked for ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Bench.h"

#include "moe-mlir/Run/Device.h"
#include "moe-mlir/Run/MachineLimits.h"

#include "llvm/ADT/STLExtras.h"

using namespace moe;
using namespace moe::bench;

Suite bench::makeOwnSuite(BenchModel model) {
  Suite suite;
  suite.name = "own";
  suite.description = "a layer of one's own";
  suite.formats = model.module ? std::vector<std::string>{""}
                               : std::vector<std::string>{"f32", "bf16"};
  suite.tokens = {1, 16, 512};
  suite.models.push_back(std::move(model));
  return suite;
}

const std::vector<std::string> &bench::knownBaselines() {
  static const std::vector<std::string> names = {"onednn", "unfused"};
  return names;
}

static std::string quotedList(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "'" : ", '") + name + "'";
  return text;
}

static bool checkNames(const std::vector<std::string> &wanted,
                       const std::vector<std::string> &known,
                       const std::string &missing, std::string &error) {
  for (const std::string &name : wanted) {
    if (llvm::is_contained(known, name))
      continue;
    error = missing + " '" + name + "'; known: " + quotedList(known);
    return false;
  }
  return true;
}

bool bench::resolveOptions(Options &options, std::string &error) {
  const Suite &suite = options.suite;
  std::vector<std::string> models;
  bool hasBaseline = false;
  for (const BenchModel &model : suite.models) {
    models.push_back(model.name);
    hasBaseline |= model.baseline.has_value();
  }
  std::string has = "suite '" + suite.name + "' has no ";
  if (!checkNames(options.models, models, has + "model", error) ||
      !checkNames(options.formats, suite.formats, has + "format", error) ||
      !checkNames(options.baselines, knownBaselines(), "there is no baseline",
                  error))
    return false;
  // A layer that nobody has written down for it.
  if (!hasBaseline)
    llvm::erase(options.baselines, "onednn");
  for (int64_t tokens : options.tokens) {
    if (tokens >= 1 && tokens <= 65536)
      continue;
    error = "cannot run " + std::to_string(tokens) +
            " tokens: the number has to be from 1 to 65536";
    return false;
  }
  for (int threads : options.threads) {
    if (threads >= 1 && threads <= run::maxThreads())
      continue;
    error = "cannot run on " + std::to_string(threads) +
            " threads: this process may use 1 to " +
            std::to_string(run::maxThreads());
    return false;
  }
  if (!options.device.empty()) {
    if (run::Device::getKind(options.device).empty()) {
      error = "--device=" + options.device +
              ": expected cuda or vulkan, and :N for that of number N";
      return false;
    }
    const char *what = !options.threads.empty()     ? "--threads is"
                       : !options.baselines.empty() ? "--baselines are"
                       : options.phases             ? "--phases is"
                       : options.expectations       ? "--check-report is"
                                                    : nullptr;
    if (what) {
      error = std::string(what) +
              " for CPUs, and layers run on --device=" + options.device;
      return false;
    }
    options.threads = {1};
  }
  if (!(options.zipf >= 0 && options.zipf <= 100)) {
    error = "--zipf is a power from 0 to 100";
    return false;
  }
  if (options.repeats < 0 || options.repeats > 10000) {
    error = "the number of repeats has to be from 1 to 10000";
    return false;
  }
  if (options.reuseArtifacts && options.artifactDir.empty()) {
    error = "to reuse compiled layers, say where they are: --artifact-dir";
    return false;
  }
  if (options.models.empty())
    options.models = models;
  if (options.formats.empty())
    options.formats = suite.formats;
  if (options.tokens.empty())
    options.tokens = suite.tokens;
  if (options.threads.empty())
    options.threads = {run::maxThreads()};
  return true;
}
