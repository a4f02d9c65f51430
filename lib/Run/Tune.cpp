//===- Tune.cpp - Find the fastest schedules by trying ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Tune.h"

#include "moe-mlir/Run/Call.h"
#include "moe-mlir/Run/Compile.h"
#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Run/Statistics.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/TemporaryFolder.h"

#include <cmath>

using namespace moe;
using namespace moe::run;

double TuneResult::regret() const {
  double sum = 0;
  for (const Row &row : rows)
    sum += std::log(row.firstMs / row.tunedMs);
  return rows.empty() ? 0 : std::exp(sum / rows.size()) - 1;
}

namespace {
/// One of those that race.
struct Runner {
  moek::TargetAttrInterface chip;
  std::unique_ptr<Artifact> artifact;
  std::unique_ptr<Call> call;
};

class Tuner {
public:
  Tuner(mlir::ModuleOp module, const TuneOptions &options, std::string &error)
      : module(module), options(options), error(error),
        dram(int64_t(512) << 20, int64_t(256) << 20) {}

  bool start(moek::TargetAttrInterface chip);
  bool vary(const std::string &name,
            llvm::ArrayRef<moek::TargetAttrInterface> chips, TuneStep &step);
  bool finish(TuneResult &result);

  moek::TargetAttrInterface best() const { return winner->chip; }

private:
  std::shared_ptr<Runner> make(moek::TargetAttrInterface chip);
  bool race(llvm::ArrayRef<std::shared_ptr<Runner>> runners, int64_t tokens,
            std::vector<std::vector<double>> &seconds);

  mlir::ModuleOp module;
  const TuneOptions &options;
  std::string &error;
  DramReader dram;
  TemporaryFolder folder;
  std::shared_ptr<Runner> first, winner;
  int made = 0;
  uint64_t seed = 1;
};
} // namespace

std::shared_ptr<Runner> Tuner::make(moek::TargetAttrInterface chip) {
  auto runner = std::make_shared<Runner>();
  runner->chip = chip;
  std::string base = folder.path() + "/v" + std::to_string(made++);
  mlir::OwningOpRef<mlir::ModuleOp> own = module.clone();
  // Of all ways to say whom it is for, this one wins.
  (*own)->setAttr(moek::kTargetAttrName, chip);
  CompileOptions compile = options.compile;
  compile.targets.clear();
  compile.targetDescriptions.clear();
  if (failed(compileToRun(*own, compile, base, /*isEmulated=*/false))) {
    error = "cannot be compiled";
    return nullptr;
  }
  runner->artifact = Artifact::open(base + ".so", {}, error);
  if (!runner->artifact)
    return nullptr;
  FunctionInputs inputs;
  inputs.seed = 1;
  const FunctionDesc *function =
      runner->artifact->manifest().select(options.entry, error);
  if (!function)
    return nullptr;
  for (const std::string &size : function->sizes)
    inputs.sizes[size] = options.tokens.front();
  runner->call =
      Call::prepare(*runner->artifact, function->name, inputs, options.threads,
                    error, first ? first->call.get() : nullptr);
  return runner->call ? runner : nullptr;
}

bool Tuner::start(moek::TargetAttrInterface chip) {
  if (!dram.valid()) {
    error = "no memory to read between runs";
    return false;
  }
  if (!folder.create("moe-tune", error))
    return false;
  winner = first = make(chip);
  return first != nullptr;
}

/// Rounds in which everyone runs once, each in another order, on activations
/// that send tokens elsewhere than those before.
bool Tuner::race(llvm::ArrayRef<std::shared_ptr<Runner>> runners,
                 int64_t tokens, std::vector<std::vector<double>> &seconds) {
  FunctionInputs inputs;
  inputs.seed = 1;
  Call &front = *first->call;
  for (const std::string &size : front.function().sizes)
    inputs.sizes[size] = tokens;
  if (!front.setSizes(inputs, error))
    return false;
  for (const std::shared_ptr<Runner> &runner : runners)
    if (runner != first && !runner->call->setSizes(front, error))
      return false;
  seconds.assign(runners.size(), {});
  double begin = now();
  // Round 0 pages memory in.
  for (int round = 0;
       round <= 5 || (round <= 100 && now() - begin < options.seconds);
       ++round) {
    for (HostTensor &tensor : front.activations())
      fillRandom(tensor, ++seed,
                 randomRange(tensor.name, tensor.dtype, tensor.shape, true));
    for (size_t i = 0; i < runners.size(); ++i) {
      size_t which = (i + round) % runners.size();
      dram.read(front.threads());
      double start = now();
      if (!runners[which]->call->invoke(error))
        return false;
      if (round > 0)
        seconds[which].push_back(now() - start);
    }
  }
  return true;
}

bool Tuner::vary(const std::string &name,
                 llvm::ArrayRef<moek::TargetAttrInterface> chips,
                 TuneStep &step) {
  step.name = name;
  std::vector<std::shared_ptr<Runner>> runners = {winner};
  for (moek::TargetAttrInterface chip : chips) {
    if (chip == winner->chip)
      continue;
    runners.push_back(make(chip));
    if (!runners.back())
      return false;
  }
  step.variations = runners.size();
  std::vector<double> scores(runners.size(), 0);
  for (int64_t tokens : options.tokens) {
    std::vector<std::vector<double>> seconds;
    if (!race(runners, tokens, seconds))
      return false;
    for (size_t i = 0; i < runners.size(); ++i) {
      // Of one round each: what disturbs a round disturbs them all.
      std::vector<double> ratios;
      for (size_t round = 0; round < seconds[i].size(); ++round)
        ratios.push_back(seconds[i][round] / seconds[0][round]);
      scores[i] += std::log(median(ratios)) / options.tokens.size();
    }
  }
  size_t best = std::min_element(scores.begin(), scores.end()) - scores.begin();
  if (scores[best] > std::log1p(-options.least))
    best = 0;
  step.ratio = std::exp(scores[best]);
  winner = runners[best];
  return true;
}

bool Tuner::finish(TuneResult &result) {
  result.chip = winner->chip;
  for (int64_t tokens : options.tokens) {
    std::vector<std::vector<double>> seconds;
    if (!race({first, winner}, tokens, seconds))
      return false;
    double own = median(seconds[0]) * 1e3;
    // One that stayed is not faster than itself by noise.
    result.rows.push_back(
        {tokens, own, winner == first ? own : median(seconds[1]) * 1e3});
  }
  return true;
}

bool run::tune(mlir::ModuleOp module, moek::TargetAttrInterface chip,
               const TuneOptions &options,
               const std::function<void(const TuneStep &)> &onStep,
               TuneResult &result, std::string &error) {
  Tuner tuner(module, options, error);
  if (!tuner.start(chip))
    return false;
  const Target *target = TargetRegistry::get().find(chip);
  // What is varied later starts from what won before.
  size_t count = target->getVariations(chip).size();
  for (size_t i = 0; i < count; ++i) {
    auto [name, chips] = target->getVariations(tuner.best())[i];
    TuneStep &step = result.steps.emplace_back();
    if (!tuner.vary(name, chips, step))
      return false;
    onStep(step);
  }
  return tuner.finish(result);
}
