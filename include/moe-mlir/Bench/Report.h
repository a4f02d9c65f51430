//===- Report.h - What a benchmark run found -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The limits of the machine and one row per measurement, as a text table for
// people and as JSON for programs.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_BENCH_REPORT_H
#define MOE_MLIR_BENCH_REPORT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <string>
#include <vector>

namespace moe::bench {

/// The limits for a number of threads.
struct Limits {
  int threads = 1;
  double f32 = 0;  ///< GFLOP/s
  double bf16 = 0; ///< GFLOP/s; 0: no such instruction
  double int8 = 0; ///< GOP/s; that of f32 where there is no such instruction
  double dram = 0; ///< GB/s
};

struct Machine {
  std::string cpu, isa, oneDnn;
  /// Where layers ran, if not on the CPU: no limits are known then.
  std::string device;
  int cpus = 1;
  int64_t cacheBytes = 0;
  std::vector<Limits> limits;

  const Limits *find(int threads) const;
  /// The rate a format is measured by: f32's of all but bf16 and int8.
  double peak(llvm::StringRef format, int threads) const;
  /// A limit is the highest reading of the run.
  void raisePeak(llvm::StringRef format, int threads, double reading);
};

/// A value per baseline or phase.
using Named = std::vector<std::pair<std::string, double>>;

struct Row {
  std::string suite, model, format;
  /// Empty for the CPU.
  std::string device;
  int64_t tokens = 0;
  int threads = 1;
  std::string variant;
  double medianMs = 0, gflops = 0, gbytesPerS = 0, dramGBytesPerS = 0,
         tokensPerS = 0;
  bool isMemoryBound = false;
  double rooflineFraction = 0;
  Named baselines;   ///< their time by ours
  Named differences; ///< largest difference from ours, by a token's largest
  Named phases;      ///< share of the time
  /// The share of parallel loops that threads spent on items; 0: not known.
  double balance = 0;
  /// When threads had done their last item of a loop, in the mean by the last
  /// one's; 0: not known.
  double synchrony = 0;
  int repeats = 0, copies = 1;
  /// What the model of the target expected; 0 if nobody asked, negative if the
  /// target does not say enough of its rates.
  double expectedMs = 0;
  /// The format's peak, read between the repeats, in GFLOP/s.
  double peakBeside = 0;
};

struct Report {
  Machine machine;
  std::vector<Row> rows;
  std::vector<std::string> notes;
};

void printMachine(llvm::raw_ostream &os, const Machine &machine);
/// The columns; `baselines` are the names a row may have.
void printHeader(llvm::raw_ostream &os,
                 const std::vector<std::string> &baselines);
void printRow(llvm::raw_ostream &os, const Row &row,
              const std::vector<std::string> &baselines);
/// How far off the expectations were, if there are any.
void printExpectations(llvm::raw_ostream &os, const Report &report);
void printJson(llvm::raw_ostream &os, const Report &report);

} // namespace moe::bench

#endif // MOE_MLIR_BENCH_REPORT_H
