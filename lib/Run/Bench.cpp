//===- Bench.cpp - One function beside what the machine can do --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Bench.h"

#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Run/Statistics.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"

#include <algorithm>

using namespace moe;
using namespace moe::run;

std::vector<SeenRouting> run::seenRoutings(const RoutingTrace &trace) {
  std::vector<SeenRouting> seen;
  for (const RoutingTrace::Routing &routing : trace.routings) {
    SeenRouting &each = seen.emplace_back();
    each.tokens = routing.tokens;
    each.slots = routing.slots;
    each.rows.assign(routing.experts, 0);
    for (int32_t expert : routing.expertOf)
      if (expert >= 0 && expert < routing.experts)
        ++each.rows[expert];
  }
  return seen;
}

std::map<std::string, int64_t> run::namedSizes(const Call &call) {
  std::map<std::string, int64_t> sizes;
  for (auto [name, value] :
       llvm::zip_equal(call.function().sizes, call.sizes()))
    sizes[name] = value;
  return sizes;
}

std::string run::formatOf(const Work &work, llvm::StringRef rowType) {
  std::string format = "f32";
  if (rowType == "bf16" && work.weightType && !work.weightType.isF32())
    return "bf16";
  if (!rowType.empty() && work.weightType && work.weightType.isInteger(8))
    return "int8";
  if (work.weightType) {
    format.clear();
    llvm::raw_string_ostream(format) << work.weightType;
  }
  return format;
}

Roofline Roofline::get(double operations, double bytes, double peak,
                       double dram, double seconds) {
  Roofline roofline;
  if (!(peak > 0) || !(dram > 0) || !(seconds > 0))
    return roofline;
  double compute = operations / peak, memory = bytes / dram;
  roofline.isMemoryBound = memory > compute;
  roofline.fraction = std::max(compute, memory) / seconds;
  return roofline;
}

double BenchResult::median() const { return run::median(seconds); }

double BenchResult::minimum() const {
  return seconds.empty() ? 0
                         : *std::min_element(seconds.begin(), seconds.end());
}

double BenchResult::tokensPerSecond() const {
  return sizes.empty() || median() <= 0 ? 0 : sizes.front().second / median();
}

Roofline BenchResult::roofline() const {
  if (!work)
    return {};
  return Roofline::get(work->operations(), work->bytes(), peak, dram, median());
}

/// What stays on the device is called again and again.
static bool benchOnDevice(Call &call, int64_t repeats, BenchResult &result,
                          const ProgressFn &progress, std::string &error) {
  for (int64_t i = 0; i < repeats; ++i) {
    double begin = now();
    if (!call.repeat(error))
      return false;
    result.seconds.push_back(now() - begin);
    if (progress)
      progress(i + 1, repeats, "");
  }
  return true;
}

bool run::bench(Call &call, mlir::func::FuncOp model, const RoutingTrace &trace,
                int64_t repeats, BenchResult &result, std::string &error,
                const ProgressFn &progress) {
  if (call.threads() < 1) {
    error = "a call without threads cannot be timed";
    return false;
  }
  result.function = call.function().name;
  result.variant = call.variant();
  result.threads = static_cast<int>(call.threads());
  for (auto [name, size] : llvm::zip_equal(call.function().sizes, call.sizes()))
    result.sizes.emplace_back(name, size);
  if (model && !model.isExternal())
    result.work = computeWork(model, namedSizes(call), seenRoutings(trace));
  if (result.work)
    result.format = formatOf(*result.work, call.rowType());
  result.device = call.deviceName();
  if (!result.device.empty())
    return benchOnDevice(call, repeats, result, progress, error);

  // Twice the cache leaves nothing of what was in it.
  int64_t window = std::clamp<int64_t>(2 * lastLevelCacheBytes(),
                                       int64_t(32) << 20, int64_t(512) << 20);
  DramReader dram(2 * window, window);
  if (!dram.valid()) {
    error = "no memory for reading DRAM: it takes " +
            std::to_string(dram.bufferBytes() >> 20) + " MiB";
    return false;
  }
  PeakMeter meter(result.format == "bf16"   ? PeakMeter::BF16
                  : result.format == "int8" ? PeakMeter::Int8
                                            : PeakMeter::F32);
  result.peak = meter.best(result.threads, 5) * 1e9;
  std::vector<double> readings;
  for (int64_t i = 0; i < repeats; ++i) {
    readings.push_back(dram.read(result.threads));
    double begin = now();
    if (!call.invoke(error))
      return false;
    result.seconds.push_back(now() - begin);
    if (progress)
      progress(i + 1, repeats, "");
  }
  result.dram = run::median(readings) * 1e9;
  return true;
}

void run::writeJson(llvm::raw_ostream &os, const BenchResult &result) {
  llvm::json::OStream json(os, 2);
  json.object([&] {
    json.attribute("version", 1);
    json.attribute("function", result.function);
    json.attribute("variant", result.variant);
    json.attributeObject("sizes", [&] {
      for (const auto &[name, size] : result.sizes)
        json.attribute(name, size);
    });
    bool isOnDevice = !result.device.empty();
    if (isOnDevice)
      json.attribute("device", result.device);
    else
      json.attribute("threads", result.threads);
    json.attribute("repeats", static_cast<int64_t>(result.seconds.size()));
    double median = result.median();
    json.attribute("median_ms", median * 1e3);
    json.attribute("minimum_ms", result.minimum() * 1e3);
    json.attribute("tokens_per_s", result.tokensPerSecond());
    if (!isOnDevice)
      json.attribute("dram_gbytes_per_s", result.dram * 1e-9);
    if (!result.work)
      return;
    const Work &work = *result.work;
    if (!isOnDevice)
      json.attribute("peak_gflops", result.peak * 1e-9);
    json.attribute("format", result.format);
    json.attribute("routing", work.isExpected ? "expected" : "seen");
    json.attribute("operations", work.operations());
    json.attribute("weight_bytes", work.weightBytes);
    json.attribute("activation_bytes", work.activationBytes);
    json.attribute("gflops", work.operations() / median * 1e-9);
    json.attribute("gbytes_per_s", work.bytes() / median * 1e-9);
    if (!isOnDevice) {
      Roofline roofline = result.roofline();
      json.attribute("bound", roofline.isMemoryBound ? "memory" : "compute");
      json.attribute("roofline_fraction", roofline.fraction);
    }
    json.attributeArray("not_counted", [&] {
      for (const std::string &what : work.unknown)
        json.value(what);
    });
  });
  os << "\n";
}
