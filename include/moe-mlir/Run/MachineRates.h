//===- MachineRates.h - How fast this machine does what ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The rates that #moe_cpu.target knows, by its names, as far as this machine
// can be made to tell them. A rate that there is no loop for is not there.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_MACHINERATES_H
#define MOE_MLIR_RUN_MACHINERATES_H

#include <cstdint>
#include <string>
#include <vector>

namespace moe::run {

struct MachineRate {
  std::string name;
  int64_t value = 0;
  /// For people: "operations a cycle".
  std::string unit;
};

/// As #moe_cpu.prefetch has it.
struct PrefetchRule {
  int64_t rows = 0;
  std::vector<int64_t> ahead, levels;
};

/// What asking for lines ahead gained a number of rows.
struct PrefetchTrial {
  int64_t rows = 0;
  double gbytesPerSecond = 0; ///< read without asking, by all cores
  PrefetchRule best;          ///< without distances: nothing gained
  double gain = 0;            ///< of the best that asks, 0.1 for 10 %
};

struct MachineRates {
  std::string model; ///< as cpuModel() has it
  int64_t l1 = 0, l2 = 0;
  std::vector<MachineRate> rates;
  std::vector<PrefetchTrial> trials;
  std::vector<PrefetchRule> prefetch;
  /// Somebody else had one of the cores: what needs all of them, `dram` and
  /// what to prefetch, was not measured.
  bool isBusy = false;
};

/// Takes some seconds, and with `isQuick` less than one, less exactly. Nothing
/// else should run meanwhile. A false result comes with `error`.
bool measureMachine(bool isQuick, MachineRates &rates, std::string &error);

} // namespace moe::run

#endif // MOE_MLIR_RUN_MACHINERATES_H
