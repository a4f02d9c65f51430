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

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
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
  return format == "bf16" && limit->bf16 > 0 ? limit->bf16 : limit->f32;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

void bench::printMachine(llvm::raw_ostream &os, const Machine &machine) {
  os << machine.cpu << ", " << machine.cpus << " CPUs, " << machine.isa
     << ", last-level cache " << (machine.cacheBytes >> 20) << " MiB\n";
  for (const Limits &limit : machine.limits) {
    os << format("%3d thread%s f32 %7.1f GFLOP/s   bf16 ", limit.threads,
                 limit.threads == 1 ? ": " : "s:", limit.f32);
    if (limit.bf16 > 0)
      os << format("%7.1f GFLOP/s", limit.bf16);
    else
      os << "      -        ";
    os << format("   DRAM %6.1f GB/s\n", limit.dram);
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
  os << format("%-16s %-5s %6lld %4d %-15s %10.3f %9.1f %8.1f %8.1f %-8s "
               "%5.1f%%",
               row.model.c_str(), row.format.c_str(),
               static_cast<long long>(row.tokens), row.threads,
               row.variant.c_str(), row.medianMs, row.gflops, row.gbytesPerS,
               row.dramGBytesPerS, row.isMemoryBound ? "memory" : "compute",
               100 * row.rooflineFraction);
  for (const std::string &name : baselines) {
    auto found = llvm::find_if(
        row.baselines, [&](const auto &entry) { return entry.first == name; });
    if (found == row.baselines.end())
      os << format(" %9s", "-");
    else
      os << format(" %8.2fx", found->second);
  }
  os << "\n";
  if (!row.phases.empty()) {
    os << "    ";
    for (const auto &[name, share] : row.phases)
      os << name << format(" %.1f%%  ", 100 * share);
    os << "\n";
  }
}

//===----------------------------------------------------------------------===//
// JSON
//===----------------------------------------------------------------------===//

/// Enough digits to compare, few enough to read.
static double rounded(double value) {
  if (!std::isfinite(value) || value == 0)
    return 0;
  double unit = std::pow(10.0, std::floor(std::log10(std::fabs(value))) - 5);
  return std::round(value / unit) * unit;
}

static llvm::json::Object objectOf(const Named &values) {
  llvm::json::Object object;
  for (const auto &[name, value] : values)
    object[name] = rounded(value);
  return object;
}

void bench::printJson(llvm::raw_ostream &os, const Report &report) {
  const Machine &machine = report.machine;
  llvm::json::Array limits;
  for (const Limits &limit : machine.limits) {
    llvm::json::Object object{
        {"threads", limit.threads},
        {"f32_gflops", rounded(limit.f32)},
        {"dram_gbytes_per_s", rounded(limit.dram)},
    };
    if (limit.bf16 > 0)
      object["bf16_gflops"] = rounded(limit.bf16);
    else
      object["bf16_gflops"] = nullptr;
    limits.push_back(std::move(object));
  }
  llvm::json::Object machineObject{
      {"cpu", machine.cpu},
      {"cpus", machine.cpus},
      {"isa", machine.isa},
      {"last_level_cache_bytes", machine.cacheBytes},
      {"limits", std::move(limits)},
  };
  if (machine.oneDnn.empty())
    machineObject["onednn"] = nullptr;
  else
    machineObject["onednn"] = machine.oneDnn;

  llvm::json::Array rows;
  for (const Row &row : report.rows) {
    llvm::json::Object object{
        {"suite", row.suite},
        {"model", row.model},
        {"format", row.format},
        {"tokens", row.tokens},
        {"threads", row.threads},
        {"variant", row.variant},
        {"median_ms", rounded(row.medianMs)},
        {"gflops", rounded(row.gflops)},
        {"gbytes_per_s", rounded(row.gbytesPerS)},
        {"dram_gbytes_per_s", rounded(row.dramGBytesPerS)},
        {"bound", row.isMemoryBound ? "memory" : "compute"},
        {"roofline_fraction", rounded(row.rooflineFraction)},
        {"baselines", objectOf(row.baselines)},
        {"max_relative_difference", objectOf(row.differences)},
        {"repeats", row.repeats},
        {"copies", row.copies},
    };
    if (row.peakBeside > 0)
      object["peak_gflops_beside"] = rounded(row.peakBeside);
    if (!row.phases.empty())
      object["phases"] = objectOf(row.phases);
    rows.push_back(std::move(object));
  }
  llvm::json::Array notes;
  for (const std::string &note : report.notes)
    notes.push_back(note);
  os << llvm::formatv("{0:2}",
                      llvm::json::Value(llvm::json::Object{
                          {"version", 1},
                          {"machine", std::move(machineObject)},
                          {"rows", std::move(rows)},
                          {"notes", std::move(notes)},
                      }))
     << "\n";
}
