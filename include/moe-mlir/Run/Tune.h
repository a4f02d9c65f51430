//===- Tune.h - Find the fastest schedules by trying ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the target may vary without changing a bit, one thing after another: its
// variations run in turn, on the same arguments, and the fastest one stays.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_TUNE_H
#define MOE_MLIR_RUN_TUNE_H

#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Compiler/Compiler.h"

#include <functional>
#include <string>
#include <vector>

namespace moe::run {

struct TuneOptions {
  /// The function, the only one if empty.
  std::string entry;
  /// What every size of it takes in turn.
  std::vector<int64_t> tokens = {1, 16, 64, 512};
  /// 0: one for each CPU.
  unsigned threads = 0;
  /// Seconds for a race between the variations of one thing, for each number
  /// of tokens.
  double seconds = 2;
  /// By less than this a variation does not win: noise would.
  double least = 0.005;
  CompileOptions compile;
};

/// One thing that was varied.
struct TuneStep {
  std::string name;
  int variations = 0;
  /// What the winner takes of the time of who won before, a geometric mean; 1
  /// if that stayed.
  double ratio = 1;
};

struct TuneResult {
  moek::TargetAttrInterface chip;
  std::vector<TuneStep> steps;
  struct Row {
    int64_t tokens;
    /// Of a last race between the chip as it was and the winner.
    double firstMs, tunedMs;
  };
  std::vector<Row> rows;

  /// How much longer the first choice takes, a geometric mean: 0.02 is 2 %.
  double regret() const;
};

/// Tunes `chip` for `module` on this machine. `onStep` is told of each step.
bool tune(mlir::ModuleOp module, moek::TargetAttrInterface chip,
          const TuneOptions &options,
          const std::function<void(const TuneStep &)> &onStep,
          TuneResult &result, std::string &error);

} // namespace moe::run

#endif // MOE_MLIR_RUN_TUNE_H
