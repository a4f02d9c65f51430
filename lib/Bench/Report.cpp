//===- Report.cpp - What a benchmark run found -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Text and JSON.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Report.h"

#include "moe-mlir/Run/Statistics.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

#include <algorithm>
#include <cmath>

using namespace moe;
using namespace moe::bench;
using llvm::format;

const Limits *Machine::find(int threads) const {
  for (const Limits &limit : limits)
    if (limit.threads == threads)
      return &limit;
  return nullptr;
}

double Machine::peak(llvm::StringRef format, int threads) const {
  const Limits *limit = find(threads);
  if (!limit)
    return 0;
  return format == "bf16"   ? limit->bf16
         : format == "int8" ? limit->int8
                            : limit->f32;
}

void Machine::raisePeak(llvm::StringRef format, int threads, double reading) {
  for (Limits &limit : limits) {
    if (limit.threads != threads)
      continue;
    double &peak = format == "bf16"   ? limit.bf16
                   : format == "int8" ? limit.int8
                                      : limit.f32;
    peak = std::max(peak, reading);
  }
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

void bench::printMachine(llvm::raw_ostream &os, const Machine &machine) {
  if (!machine.device.empty()) {
    os << machine.device << ": limits are not measured\n";
    return;
  }
  os << machine.cpu << ", " << machine.cpus << " CPUs, " << machine.isa
     << ", last-level cache " << (machine.cacheBytes >> 20) << " MiB\n";
  for (const Limits &limit : machine.limits) {
    os << format("%3d thread%s f32 %7.1f GFLOP/s   bf16 %7.1f GFLOP/s   "
                 "int8 %7.1f GOP/s   DRAM %6.1f GB/s\n",
                 limit.threads, limit.threads == 1 ? ": " : "s:", limit.f32,
                 limit.bf16, limit.int8, limit.dram);
  }
}

static const char *const rowColumns =
    "%-16s %-5s %6s %4s %-15s %10s %9s %8s %8s %-8s %6s";

void bench::printHeader(llvm::raw_ostream &os,
                        const std::vector<std::string> &baselines) {
  os << format(rowColumns, "model", "fmt", "tokens", "thr", "variant", "ms",
               "GFLOP/s", "GB/s", "DRAM", "bound", "roof");
  for (const std::string &name : baselines)
    os << format(" %9s", name.c_str());
  os << "\n";
}

void bench::printRow(llvm::raw_ostream &os, const Row &row,
                     const std::vector<std::string> &baselines) {
  if (row.device.empty())
    os << format("%-16s %-5s %6lld %4d %-15s %10.3f %9.1f %8.1f %8.1f %-8s "
                 "%5.1f%%",
                 row.model.c_str(), row.format.c_str(),
                 static_cast<long long>(row.tokens), row.threads,
                 row.variant.c_str(), row.medianMs, row.gflops, row.gbytesPerS,
                 row.dramGBytesPerS, row.isMemoryBound ? "memory" : "compute",
                 100 * row.rooflineFraction);
  else
    os << format("%-16s %-5s %6lld %4s %-15s %10.3f %9.1f %8.1f %8s %-8s %6s",
                 row.model.c_str(), row.format.c_str(),
                 static_cast<long long>(row.tokens), "-", row.variant.c_str(),
                 row.medianMs, row.gflops, row.gbytesPerS, "-", "-", "-");
  for (const std::string &name : baselines) {
    auto found = llvm::find_if(
        row.baselines, [&](const auto &entry) { return entry.first == name; });
    if (found == row.baselines.end())
      os << format(" %9s", "-");
    else
      os << format(" %8.2fx", found->second);
  }
  os << "\n";
  if (row.expectedMs > 0)
    os << format("    expected %.3f ms, %+.1f%%\n", row.expectedMs,
                 100 * (row.expectedMs / row.medianMs - 1));
  if (!row.phases.empty()) {
    os << "    ";
    for (const auto &[name, share] : row.phases)
      os << name << format(" %.1f%%  ", 100 * share);
    if (row.balance > 0)
      os << format("balance %.1f%%", 100 * row.balance);
    if (row.synchrony > 0)
      os << format("  synchrony %.3f", row.synchrony);
    os << "\n";
  }
}

void bench::printExpectations(llvm::raw_ostream &os, const Report &report) {
  std::vector<double> errors;
  for (const Row &row : report.rows)
    if (row.expectedMs > 0)
      errors.push_back(std::fabs(row.expectedMs / row.medianMs - 1));
    else if (row.expectedMs < 0)
      os << "nothing was expected of " << row.model << ", " << row.tokens
         << " tokens: " << row.variant
         << " does not say enough of its rates; moe-describe-cpu does\n";
  if (errors.empty())
    return;
  os << format("expectations: median error %.1f%%, largest %.1f%%, %zu rows\n",
               100 * run::median(errors),
               100 * *std::max_element(errors.begin(), errors.end()),
               errors.size());
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

namespace {
/// Writes keys in the order they are given, and numbers with as many digits as
/// a timing deserves.
class Writer {
public:
  explicit Writer(llvm::raw_ostream &os) : json(os, 2) {}

  void number(llvm::StringRef key, double value) {
    json.attributeBegin(key);
    json.rawValue([value](llvm::raw_ostream &os) {
      os << format("%.6g", std::isfinite(value) ? value : 0.0);
    });
    json.attributeEnd();
  }
  void numbers(llvm::StringRef key, const Named &values) {
    json.attributeObject(key, [&] {
      for (const auto &[name, value] : values)
        number(name, value);
    });
  }
  void write(const Machine &machine);
  void write(const Row &row);

  llvm::json::OStream json;
};
} // namespace

void Writer::write(const Machine &machine) {
  if (!machine.device.empty())
    return json.attribute("device", machine.device);
  json.attribute("cpu", machine.cpu);
  json.attribute("cpus", machine.cpus);
  json.attribute("isa", machine.isa);
  json.attribute("last_level_cache_bytes", machine.cacheBytes);
  json.attribute("onednn", machine.oneDnn.empty()
                               ? llvm::json::Value(nullptr)
                               : llvm::json::Value(machine.oneDnn));
  json.attributeArray("limits", [&] {
    for (const Limits &limit : machine.limits) {
      json.object([&] {
        json.attribute("threads", limit.threads);
        number("f32_gflops", limit.f32);
        number("bf16_gflops", limit.bf16);
        number("int8_gops", limit.int8);
        number("dram_gbytes_per_s", limit.dram);
      });
    }
  });
}

void Writer::write(const Row &row) {
  json.attribute("suite", row.suite);
  json.attribute("model", row.model);
  json.attribute("format", row.format);
  json.attribute("tokens", row.tokens);
  if (row.device.empty())
    json.attribute("threads", row.threads);
  else
    json.attribute("device", row.device);
  json.attribute("variant", row.variant);
  number("median_ms", row.medianMs);
  number("gflops", row.gflops);
  number("gbytes_per_s", row.gbytesPerS);
  number("tokens_per_s", row.tokensPerS);
  if (row.device.empty()) {
    number("dram_gbytes_per_s", row.dramGBytesPerS);
    json.attribute("bound", row.isMemoryBound ? "memory" : "compute");
    number("roofline_fraction", row.rooflineFraction);
  }
  numbers("baselines", row.baselines);
  numbers("max_relative_difference", row.differences);
  json.attribute("repeats", row.repeats);
  json.attribute("copies", row.copies);
  if (row.peakBeside > 0)
    number("peak_gflops_beside", row.peakBeside);
  if (row.expectedMs != 0)
    number("expected_ms", row.expectedMs);
  if (!row.phases.empty())
    numbers("phases", row.phases);
  if (row.balance > 0)
    number("balance", row.balance);
  if (row.synchrony > 0)
    number("synchrony", row.synchrony);
}

void bench::printJson(llvm::raw_ostream &os, const Report &report) {
  Writer writer(os);
  llvm::json::OStream &json = writer.json;
  json.object([&] {
    json.attribute("version", 1);
    json.attributeObject("machine", [&] { writer.write(report.machine); });
    json.attributeArray("rows", [&] {
      for (const Row &row : report.rows)
        json.object([&] { writer.write(row); });
    });
    json.attributeArray("notes", [&] {
      for (const std::string &note : report.notes)
        json.value(note);
    });
  });
  os << "\n";
}
