//===- MachineLimits.h - What this machine can do at most ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Multiply-add rates from registers and the DRAM read rate, for a number of
// threads: what a benchmark row is put in proportion to. The loops are built
// for every vector width and chosen at run time.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_MACHINELIMITS_H
#define MOE_MLIR_RUN_MACHINELIMITS_H

#include "moe-mlir/Support/HostTensor.h"

#include <cstdint>
#include <functional>
#include <string>

namespace moe::run {

double now(); ///< Seconds on a monotonic clock.

/// Multiply-adds from registers, two operations each, in the fastest way there
/// is: bf16 by a dot instruction, or widened; bytes by an instruction for them, or
/// as f32.
class PeakMeter {
public:
  enum Kind { F32, BF16, Int8 };
  explicit PeakMeter(Kind kind);
  /// One reading of about 10 ms on `threads` threads at once, in GFLOP/s.
  double read(int threads);
  /// The best of `repeats` readings, after one that wakes threads and clock.
  double best(int threads, int repeats);

private:
  /// Does a number of rounds and returns the operations done.
  std::function<double(int64_t rounds, float *sink)> loop;
  int64_t rounds = 0;
};

/// Reads main memory at full width. Each reading covers another window of a
/// buffer much larger than the last-level cache, so it also evicts what ran
/// before it.
class DramReader {
public:
  /// A buffer of `bufferBytes`, read `windowBytes` at a time.
  DramReader(int64_t bufferBytes, int64_t windowBytes);
  bool valid() const { return buffer.data != nullptr; }
  int64_t bufferBytes() const { return size; }
  /// The buffer, for others who read memory.
  char *data() { return buffer.dataAs<char>(); }
  /// One reading on `threads` threads in GB/s (1e9 bytes).
  double read(int threads);
  /// The median of `repeats` readings.
  double median(int threads, int repeats);

private:
  HostTensor buffer;
  int64_t size, window, position = 0;
};

/// The loop that reads memory at full width, in one stream.
void (*getReadLoop())(const char *data, int64_t bytes);

/// Cycles of the core in a second, read by a chain of dependent additions.
/// `isMultiplying` does so beside multiplications of full vectors, which lets
/// some CPUs run slower.
double readCoreClock(bool isMultiplying = false);

/// The highest of the instruction sets that the limits are measured with:
/// "avx512_bf16", "avx512", "avx2+fma" or "baseline".
std::string vectorIsa();
std::string cpuName();
/// As `models` of #moe_cpu.target has it, such as "amd 25 17"; empty if it is
/// not known.
std::string cpuModel();
/// Of the cache for data of that level, 1 to 3; 0 if there is none, or if it is
/// not known.
int64_t cacheBytes(int level);
int64_t lastLevelCacheBytes();
int64_t pageBytes();
/// 0 if the system gives none of its own accord or when it is asked.
int64_t hugePageBytes();
/// Memory that can be taken without swapping; 0 if unknown.
int64_t availableMemoryBytes();
int maxThreads();
/// Sets the size of the thread pool that the baselines run on.
void setThreads(int threads);
int currentThreads();

} // namespace moe::run

#endif // MOE_MLIR_RUN_MACHINELIMITS_H
