//===- MachineRates.cpp - How fast this machine does what -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Others' load, and a clock that is not up yet, make a reading too low and
// never too high: the best of many short ones counts, and its cycles are those
// of a clock that was read beside it.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/MachineRates.h"

#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Run/OpenMP.h"

#include "RateLoops.h"
#include "StreamLoops.h"

#include <algorithm>
#include <cmath>

using namespace moe;
using namespace moe::run;

namespace {

constexpr int64_t kLine = 64;

/// Where each line tells which one is read next: one cycle through all of them,
/// which no prefetcher can foresee.
class Chase {
public:
  Chase(char *data, int64_t bytes) {
    const int64_t lines = bytes / kLine;
    std::vector<int64_t> order(lines);
    for (int64_t i = 0; i < lines; ++i)
      order[i] = i;
    // Sattolo's shuffle makes a single cycle.
    uint64_t state = 1;
    for (int64_t i = lines - 1; i > 0; --i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      std::swap(order[i], order[(state >> 33) % i]);
    }
    for (int64_t i = 0; i < lines; ++i)
      *reinterpret_cast<char **>(data + i * kLine) = data + order[i] * kLine;
    at = data;
  }

  /// Seconds of a load that waits for the one before.
  double read(int64_t loads) {
    double start = now();
    for (int64_t i = 0; i < loads; ++i)
      at = *reinterpret_cast<char **>(at);
    asm volatile("" ::"r"(at));
    return (now() - start) / loads;
  }

private:
  char *at;
};

class Meter {
public:
  Meter(bool isQuick, MachineRates &result)
      : result(result), repeats(isQuick ? 7 : 101),
        seconds(isQuick ? 2e-4 : 5e-4), isQuick(isQuick) {}

  bool run(std::string &error);

private:
  void add(const char *name, double value, const char *unit) {
    if (value >= 0.5)
      result.rates.push_back({name, std::llround(value), unit});
  }

  double readClock() {
    RateLoop loop = getClockLoop(/*isMultiplying=*/true);
    double start = now();
    double cycles = loop(1 << 12);
    return cycles / (now() - start);
  }

  /// What `loop(n)` returns for a large enough n, in a cycle.
  template <typename Loop> double perCycle(Loop loop) {
    double best = 0, clock = 0;
    int64_t n = 16;
    for (double taken = 0; taken < seconds; n *= 2) {
      double start = now();
      loop(n);
      taken = now() - start;
    }
    for (int r = 0; r < repeats; ++r) {
      clock = std::max(clock, readClock());
      double start = now();
      double done = loop(n);
      best = std::max(best, done / (now() - start));
    }
    return best / clock;
  }

  /// The least seconds of a load out of `bytes`.
  double latency(int64_t bytes) {
    Chase chase(buffer, bytes);
    constexpr int64_t loads = 1 << 12;
    chase.read(std::min<int64_t>(bytes / kLine, 1 << 17));
    double least = chase.read(loads);
    for (int r = 1; r < repeats; ++r)
      least = std::min(least, chase.read(loads));
    return least;
  }

  double loadsPerCycle(int64_t bytes) {
    auto loop = getReadLoop();
    return perCycle([&](int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        loop(buffer, bytes);
      return double(bytes) * n;
    });
  }

  void measureInstructions();
  void measureCaches();
  void measureMemory(DramReader &dram);
  PrefetchTrial tryPrefetch(int64_t rows);
  void measurePrefetch();

  MachineRates &result;
  int repeats;
  double seconds;
  bool isQuick;
  char *buffer = nullptr;
  int64_t size = 0;
};

void Meter::measureInstructions() {
  constexpr const char *operations = "operations a cycle";
  PeakMeter fma(PeakMeter::F32);
  double best = 0, clock = 0;
  for (int r = 0; r < (isQuick ? 3 : 15); ++r) {
    clock = std::max(clock, readClock());
    best = std::max(best, fma.read(1));
  }
  add("clock", readCoreClock(/*isMultiplying=*/true) * 1e-6, "MHz");
  add("fma", best * 1e9 / clock, operations);
  for (const Instruction &instruction : getInstructions()) {
    if (instruction.many)
      add(instruction.rate, perCycle(instruction.many), operations);
    if (!instruction.one)
      continue;
    // One chain does the operations of one instruction in its latency.
    double ofOne = instruction.one(1);
    add(instruction.latency, ofOne / perCycle(instruction.one), "cycles");
  }
  if (RateLoop widen = getWidenLoop())
    add("widen", perCycle(widen), "values a cycle");
}

void Meter::measureCaches() {
  int64_t l3 = cacheBytes(3);
  // Not all of a cache, since there are other things in it; of the third level
  // enough to miss the second.
  int64_t inL3 = std::min(l3 / 2, 4 * result.l2);
  bool hasL3 = inL3 >= 2 * result.l2;
  add("load_l1", loadsPerCycle(result.l1 / 4 * 3), "bytes a cycle");
  add("load_l2", loadsPerCycle(result.l2 / 2), "bytes a cycle");
  if (hasL3)
    add("load_l3", loadsPerCycle(inL3), "bytes a cycle");
  add("l3", l3, "bytes");
  double clock = readCoreClock(/*isMultiplying=*/true);
  add("latency_l2", latency(result.l2 / 2) * clock, "cycles");
  if (hasL3)
    add("latency_l3", latency(inL3) * clock, "cycles");
}

void Meter::measureMemory(DramReader &dram) {
  add("latency_dram", latency(size) * 1e9, "ns");
  int readings = isQuick ? 5 : 101, cores = maxThreads();
  auto best = [&](int threads) {
    double best = dram.read(threads);
    for (int r = 1; r < readings; ++r)
      best = std::max(best, dram.read(threads));
    return best * 1e3;
  };
  double ofCore = best(1), ofAll = best(cores);
  add("dram_core", ofCore, "MB/s");
  // All read no less than one, unless somebody else has a core.
  result.isBusy = ofAll < ofCore;
  if (!result.isBusy) {
    add("dram", ofAll, "MB/s");
    add("cores", cores, "");
  }
  add("page", pageBytes(), "bytes");
  add("huge_page", hugePageBytes(), "bytes");
}

/// What is tried. The last one is what is chosen where nothing is known, and is
/// kept where another is not clearly better.
const struct {
  Ahead ahead;
  std::vector<int64_t> distances, levels;
} kCandidates[] = {{Ahead::None, {}, {}},
                   {Ahead::First, {4096}, {1}},
                   {Ahead::First, {8192}, {1}},
                   {Ahead::Second, {8192}, {2}},
                   {Ahead::Both, {12288, 4096}, {2, 1}}};
constexpr size_t kNumCandidates = std::size(kCandidates);

/// What is not better by so much is noise.
constexpr double kClearly = 0.03;

PrefetchTrial Meter::tryPrefetch(int64_t rows) {
  const int64_t panel = 2 * 4 * getLanes() * kStreamSteps;
  const int threads = maxThreads();
  const int64_t slice = std::max<int64_t>(1, (4 << 20) / panel) * panel;
  std::vector<float> x(rows * kStreamPitch, 0.5f);
  std::vector<double> taken[kNumCandidates];
  int64_t position = 0;
  for (int round = 0; round < (isQuick ? 3 : 101); ++round)
    for (size_t c = 0; c < kNumCandidates; ++c) {
      const auto &candidate = kCandidates[c];
      StreamLoop loop = getStreamLoop(rows, candidate.ahead);
      int64_t far = candidate.distances.empty() ? 0 : candidate.distances[0],
              near =
                  candidate.distances.size() < 2 ? 0 : candidate.distances[1];
      if (position + slice * threads > size)
        position = 0;
      const char *data = buffer + position;
      position += slice * threads;
      double start = now();
#pragma omp parallel num_threads(threads)
      loop(data + slice * omp_get_thread_num(), slice, x.data(), far, near);
      taken[c].push_back(now() - start);
    }

  // All took turns, so that all had quiet spells: the quicker ones count.
  double quick[kNumCandidates];
  for (size_t c = 0; c < kNumCandidates; ++c) {
    std::sort(taken[c].begin(), taken[c].end());
    quick[c] = taken[c][taken[c].size() / 10];
  }
  double plain = quick[0], least = *std::min_element(quick, std::end(quick));
  PrefetchTrial trial;
  trial.rows = trial.best.rows = rows;
  trial.gbytesPerSecond = slice * threads / plain * 1e-9;
  trial.gain = plain / least - 1;
  if (trial.gain < kClearly)
    return trial;
  for (size_t c = kNumCandidates - 1; c > 0; --c)
    if (quick[c] <= least * (1 + kClearly)) {
      trial.best.ahead = kCandidates[c].distances;
      trial.best.levels = kCandidates[c].levels;
      return trial;
    }
  return trial;
}

void Meter::measurePrefetch() {
  for (int64_t rows : getStreamRows()) {
    result.trials.push_back(tryPrefetch(rows));
    const PrefetchRule &best = result.trials.back().best;
    std::vector<PrefetchRule> &rules = result.prefetch;
    if (rules.empty() || rules.back().ahead != best.ahead ||
        rules.back().levels != best.levels)
      rules.push_back(best);
    rules.back().rows = rows;
  }
}

bool Meter::run(std::string &error) {
  result.model = cpuModel();
  result.l1 = cacheBytes(1);
  result.l2 = cacheBytes(2);
  if (result.l1 <= 0 || result.l2 <= 0) {
    error = "the system does not say how large the caches are "
            "(/sys/devices/system/cpu/cpu0/cache)";
    return false;
  }
  // Several times what the last level holds, so that a window read again comes
  // from memory.
  int64_t least = int64_t(isQuick ? 64 : 256) << 20,
          most = int64_t(isQuick ? 128 : 1024) << 20,
          bytes = std::clamp(lastLevelCacheBytes() * (isQuick ? 4 : 16), least,
                             most);
  if (int64_t available = availableMemoryBytes())
    bytes = std::min(bytes, available / 2);
  DramReader dram(bytes, bytes / 16);
  if (!dram.valid()) {
    error = "no memory for a buffer of " + std::to_string(bytes >> 20) + " MiB";
    return false;
  }
  buffer = dram.data();
  size = bytes;
  measureInstructions();
  measureCaches();
  measureMemory(dram);
  if (!result.isBusy)
    measurePrefetch();
  return true;
}

} // namespace

bool run::measureMachine(bool isQuick, MachineRates &rates,
                         std::string &error) {
  return Meter(isQuick, rates).run(error);
}
