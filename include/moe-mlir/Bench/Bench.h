//===- Bench.h - Compiled layers beside limits and baselines ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Imports and compiles the layers of a suite, or one of one's own, and times
// them, interleaved with the baselines and with readings of the machine's
// limits. The method is
// written down in docs/performance.md.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_BENCH_BENCH_H
#define MOE_MLIR_BENCH_BENCH_H

#include "moe-mlir/Bench/Report.h"
#include "moe-mlir/Bench/Suites.h"
#include "moe-mlir/Compiler/Compiler.h"

#include <functional>

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace moe::bench {

struct Options {
  Suite suite;
  /// Empty: all that the suite has.
  std::vector<std::string> models, formats;
  std::vector<int64_t> tokens;
  /// Empty: all CPUs.
  std::vector<int> threads;
  /// Tokens are drawn from rows of which the n-th is as likely as 1 / n to this
  /// power, so that many go to the same experts. 0: all differ.
  double zipf = 0;
  /// 0: as many as the time of a row asks for.
  int repeats = 0;
  /// Of knownBaselines(), in the order of the columns.
  std::vector<std::string> baselines;
  /// Also time the phases of a layer, in repeats of their own.
  bool phases = false;
  /// Also say what a row was expected to take (`moe-compile --report`).
  bool expectations = false;
  /// Where compiled layers are kept; empty: a folder that is removed again.
  std::string artifactDir;
  /// Takes compiled layers from `artifactDir` where it has them.
  bool reuseArtifacts = false;
  /// Where the configurations are.
  std::string modelsDir;
  /// Where layers run, as `cuda` or `vulkan:1`; empty for the CPU. Neither
  /// baselines nor limits are known there, nor threads.
  std::string device;
  /// How layers are compiled, apart from what the baselines ask for.
  CompileOptions compile;
};

const std::vector<std::string> &knownBaselines();

/// A suite of one layer: of a configuration, or of a module that was parsed.
Suite makeOwnSuite(BenchModel model);

/// Checks the options against the suite and fills in what is left open.
bool resolveOptions(Options &options, std::string &error);

/// Measures the limits; `onMachine` is called once, then `onRow` after each
/// row. A baseline that cannot be had or is too slow is left out with a note,
/// which goes to `notes`, too.
/// False if something failed: `error` is the first failure, and the other rows
/// are still measured where possible.
bool runBench(mlir::MLIRContext &context, const Options &options,
              llvm::raw_ostream &notes,
              const std::function<void(const Machine &)> &onMachine,
              const std::function<void(const Row &)> &onRow, Report &report,
              std::string &error);

} // namespace moe::bench

#endif // MOE_MLIR_BENCH_BENCH_H
