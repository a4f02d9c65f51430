//===- MachineLimits.cpp - What this machine can do at most ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The threads are OpenMP's, the pool that kernels and baselines run on too: a
// second pool would take turns with the first one's waiting threads.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/MachineLimits.h"

#include "moe-mlir/Run/OpenMP.h"
#include "moe-mlir/Runtime/moe_rates.h"

#include "moe-mlir/Run/Statistics.h"

#include "RateLoops.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <unistd.h>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#define MOE_BENCH_X86 1
#endif

using namespace moe;
using namespace moe::run;

double run::now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

//===----------------------------------------------------------------------===//
// The loops
//===----------------------------------------------------------------------===//

namespace {

using ReadLoop = void (*)(const char *data, int64_t bytes);

#ifdef MOE_BENCH_X86
// One stream a thread and no software prefetch: adding either was no faster
// or up to a fifth slower on the machines tried.
__attribute__((target("avx512f"))) void readAvx512(const char *data,
                                                   int64_t bytes) {
  __m512i sum[4];
  for (__m512i &s : sum)
    s = _mm512_setzero_si512();
  for (int64_t i = 0; i + 256 <= bytes; i += 256) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c)
      sum[c] = _mm512_or_si512(sum[c], _mm512_loadu_si512(data + i + 64 * c));
  }
  sum[0] = _mm512_or_si512(_mm512_or_si512(sum[0], sum[1]),
                           _mm512_or_si512(sum[2], sum[3]));
  asm volatile("" ::"v"(sum[0]));
}

__attribute__((target("avx2"))) void readAvx2(const char *data, int64_t bytes) {
  __m256i sum[4];
  for (__m256i &s : sum)
    s = _mm256_setzero_si256();
  for (int64_t i = 0; i + 128 <= bytes; i += 128) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c)
      sum[c] = _mm256_or_si256(
          sum[c], _mm256_loadu_si256((const __m256i *)(data + i + 32 * c)));
  }
  sum[0] = _mm256_or_si256(_mm256_or_si256(sum[0], sum[1]),
                           _mm256_or_si256(sum[2], sum[3]));
  asm volatile("" ::"x"(sum[0]));
}
#endif // MOE_BENCH_X86

void readPlain(const char *data, int64_t bytes) {
  uint64_t sum[4] = {};
  for (int64_t i = 0; i + 32 <= bytes; i += 32) {
    uint64_t words[4];
    std::memcpy(words, data + i, sizeof(words));
    for (int c = 0; c < 4; ++c)
      sum[c] |= words[c];
  }
  uint64_t all = sum[0] | sum[1] | sum[2] | sum[3];
  asm volatile("" ::"r"(all));
}

enum class Isa { Plain, Avx2, Avx512, Avx512BF16 };

Isa detectIsa() {
#ifdef MOE_BENCH_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f"))
    return __builtin_cpu_supports("avx512bf16") ? Isa::Avx512BF16 : Isa::Avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return Isa::Avx2;
#endif
  return Isa::Plain;
}

} // namespace

/// All that multiplies numbers of `kind` on this CPU. bf16 widened to f32 is a
/// way to do so: where the dot product is slow, it is the faster one.
static std::vector<std::function<double(int64_t, float *)>>
getLoops(PeakMeter::Kind kind) {
  std::vector<std::function<double(int64_t, float *)>> loops = {
      moe_rt_fma_loop()};
  if (kind == PeakMeter::BF16 && moe_rt_bf16_loop())
    loops.push_back(moe_rt_bf16_loop());
  if (kind == PeakMeter::Int8)
    for (const run::Instruction &known : run::getInstructions())
      if (known.rate && std::strstr(known.rate, "_int8"))
        loops.push_back(
            [many = known.many](int64_t n, float *) { return many(n); });
  return loops;
}

PeakMeter::PeakMeter(Kind kind) {
  double best = 0;
  for (const auto &candidate : getLoops(kind)) {
    // Long against the start of a parallel region, short against a row. The
    // last reading, of a clock that is up, is the one that counts.
    int64_t n = 1 << 12;
    double rate = 0;
    for (double seconds = 0; seconds < 4e-3; n *= 2) {
      float sink = 0;
      double start = now();
      double operations = candidate(n, &sink);
      seconds = now() - start;
      rate = operations / seconds;
      asm volatile("" ::"m"(sink));
    }
    if (rate > best) {
      best = rate;
      loop = candidate;
      rounds = n;
    }
  }
}

double PeakMeter::read(int threads) {
  double operations = 0;
  double start = now();
#pragma omp parallel num_threads(threads) reduction(+ : operations)
  {
    float sink = 0;
    operations += loop(rounds, &sink);
    asm volatile("" ::"m"(sink));
  }
  return operations / (now() - start) * 1e-9;
}

double PeakMeter::best(int threads, int repeats) {
  read(threads);
  double best = 0;
  for (int r = 0; r < repeats; ++r)
    best = std::max(best, read(threads));
  return best;
}

double run::readCoreClock(bool isMultiplying) {
  RateLoop loop = getClockLoop(isMultiplying);
  double best = 0;
  // The best of many short readings: others' load only slows them down.
  for (int round = 0; round < 40; ++round) {
    double start = now();
    double cycles = loop(1 << 16);
    best = std::max(best, cycles / (now() - start));
  }
  return best;
}

//===----------------------------------------------------------------------===//
// Main memory
//===----------------------------------------------------------------------===//

DramReader::DramReader(int64_t bufferBytes, int64_t windowBytes)
    : buffer(HostTensor::allocate(DType::U8, {bufferBytes}, "dram")),
      size(bufferBytes), window(std::min(windowBytes, bufferBytes)) {
  if (!buffer.data)
    return;
  // Untouched pages would all be the one page of zeros.
  char *data = buffer.dataAs<char>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < bufferBytes; i += 4096)
    std::memset(data + i, 1, std::min<int64_t>(4096, bufferBytes - i));
}

ReadLoop run::getReadLoop() {
#ifdef MOE_BENCH_X86
  switch (detectIsa()) {
  case Isa::Avx512BF16:
  case Isa::Avx512:
    return readAvx512;
  case Isa::Avx2:
    return readAvx2;
  case Isa::Plain:
    break;
  }
#endif
  return readPlain;
}

double DramReader::read(int threads) {
  ReadLoop loop = getReadLoop();
  if (position + window > size)
    position = 0;
  const char *data = buffer.dataAs<char>() + position;
  position += window;
  int64_t slice = window / threads & ~int64_t(4095);
  double start = now();
#pragma omp parallel num_threads(threads)
  loop(data + slice * omp_get_thread_num(), slice);
  return slice * threads / (now() - start) * 1e-9;
}

double DramReader::median(int threads, int repeats) {
  std::vector<double> readings;
  for (int r = 0; r < repeats; ++r)
    readings.push_back(read(threads));
  return run::median(readings);
}

//===----------------------------------------------------------------------===//
// Facts about the machine
//===----------------------------------------------------------------------===//

std::string run::vectorIsa() {
  switch (detectIsa()) {
  case Isa::Avx512BF16:
    return "avx512_bf16";
  case Isa::Avx512:
    return "avx512";
  case Isa::Avx2:
    return "avx2+fma";
  case Isa::Plain:
    break;
  }
  return "baseline";
}

/// The text behind the colon of the first line of `file` that starts so.
static std::string lineOf(const char *file, const std::string &key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.compare(0, key.size(), key) != 0)
      continue;
    size_t start = line.find(':');
    if (start == std::string::npos)
      continue;
    start = line.find_first_not_of(" \t", start + 1);
    return start == std::string::npos ? std::string() : line.substr(start);
  }
  return {};
}

std::string run::cpuName() {
  std::string name = lineOf("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown" : name;
}

/// `vendor family model` of what /proc/cpuinfo says of the first CPU.
std::string run::cpuModel() {
  const char *file = "/proc/cpuinfo";
  std::string vendor = lineOf(file, "vendor_id");
  if (!vendor.empty())
    vendor = vendor == "GenuineIntel"   ? "intel"
             : vendor == "AuthenticAMD" ? "amd"
                                        : "";
  else if (!lineOf(file, "CPU implementer").empty())
    vendor = "arm";
  bool isArm = vendor == "arm";
  // "model name" begins in the same way.
  std::string family = lineOf(file, isArm ? "CPU implementer" : "cpu family"),
              model = lineOf(file, isArm ? "CPU part" : "model\t");
  if (vendor.empty() || family.empty() || model.empty())
    return {};
  return vendor + " " + family + " " + model;
}

int64_t run::cacheBytes(int level) {
  // sysconf() reports the whole socket's on some virtual machines; the kernel
  // knows what this CPU shares.
  for (int index = 0; index < 8; ++index) {
    std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" +
                         std::to_string(index) + "/";
    int64_t itsLevel = 0, size = 0;
    std::string type, unit;
    if (std::ifstream(folder + "level") >> itsLevel && itsLevel == level &&
        std::ifstream(folder + "type") >> type && type != "Instruction" &&
        std::ifstream(folder + "size") >> size >> unit)
      return unit == "M" ? size << 20 : size << 10;
  }
  return 0;
}

int64_t run::lastLevelCacheBytes() {
  for (int level = 3; level >= 2; --level)
    if (int64_t bytes = cacheBytes(level))
      return bytes;
  return int64_t(32) << 20;
}

int64_t run::pageBytes() { return sysconf(_SC_PAGESIZE); }

int64_t run::hugePageBytes() {
  std::string folder = "/sys/kernel/mm/transparent_hugepage/", text;
  int64_t bytes = 0;
  if (!std::getline(std::ifstream(folder + "enabled"), text) ||
      text.find("[never]") != std::string::npos)
    return 0;
  std::ifstream(folder + "hpage_pmd_size") >> bytes;
  return bytes;
}

int64_t run::availableMemoryBytes() {
  std::istringstream text(lineOf("/proc/meminfo", "MemAvailable"));
  int64_t kib = 0;
  return text >> kib ? kib * 1024 : 0;
}

int run::maxThreads() { return omp_get_num_procs(); }

void run::setThreads(int threads) { omp_set_num_threads(threads); }

int run::currentThreads() { return omp_get_max_threads(); }
