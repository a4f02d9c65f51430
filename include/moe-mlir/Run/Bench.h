//===- Bench.h - One function beside what the machine can do ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Times a call and puts it in proportion to the work of the function and to the
// limits of the machine.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_BENCH_H
#define MOE_MLIR_RUN_BENCH_H

#include "moe-mlir/Analysis/Work.h"
#include "moe-mlir/Run/Call.h"
#include "moe-mlir/Run/Replay.h"
#include "moe-mlir/Support/Progress.h"

#include "llvm/Support/raw_ostream.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace moe::run {

/// What the routings of a trace are to the work of a function.
std::vector<SeenRouting> seenRoutings(const RoutingTrace &trace);

/// The sizes of a call by name.
std::map<std::string, int64_t> namedSizes(const Call &call);

/// The format that a function is measured by: that of most of its weights, or what
/// those in a format are multiplied as if they meet rows of `rowType`: "int8" or
/// "bf16".
std::string formatOf(const Work &work, llvm::StringRef rowType = "");

struct Roofline {
  bool isMemoryBound = false;
  /// The least time by the time it took.
  double fraction = 0;

  /// `peak` in operations, `dram` in bytes a second.
  static Roofline get(double operations, double bytes, double peak, double dram,
                      double seconds);
};

struct BenchResult {
  /// The device is empty for the CPU.
  std::string function, variant, device;
  std::vector<std::pair<std::string, int64_t>> sizes;
  int threads = 1;
  std::vector<double> seconds; ///< Of each repeat.
  /// Without a model only the times are known.
  std::optional<Work> work;
  /// Of the work, see formatOf.
  std::string format;
  /// Of the format of the work: operations a second; and bytes a second, of
  /// readings between the repeats. 0 on a device, whose limits are not
  /// measured.
  double peak = 0, dram = 0;

  double median() const;
  double minimum() const;
  /// A second; the first size is that of the tokens. 0 without sizes.
  double tokensPerSecond() const;
  Roofline roofline() const;
};

/// Times `repeats` calls, each after a reading of main memory that leaves
/// nothing of the last one in the caches; on a device, one behind another,
/// until their kernels are done, without copies of tensors. `model` is what the
/// function was compiled from, null if that is not known; `trace` the routings
/// of a call.
bool bench(Call &call, mlir::func::FuncOp model, const RoutingTrace &trace,
           int64_t repeats, BenchResult &result, std::string &error,
           const ProgressFn &progress = {});

/// The fields of a row of moe-bench, and what is known beside.
void writeJson(llvm::raw_ostream &os, const BenchResult &result);

} // namespace moe::run

#endif // MOE_MLIR_RUN_BENCH_H
