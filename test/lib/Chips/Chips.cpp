//===- Chips.cpp - Chips that are made for models of CPUs -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A plugin with rows that run on every CPU of x86-64-v3: `test-own` is made for
// the one that this is, `test-other` for another, `test-any` for all.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Runtime/moe_rt.h"
#include "moe-mlir/Target/CPU/KnownCPUs.h"

#include "mlir/Tools/Plugins/PassPlugin.h"

static void addChip(std::string name, std::vector<std::string> models) {
  moe::KnownCpu chip;
  chip.name = "test-" + name;
  chip.suffix = std::move(name);
  chip.arch = moecpu::Arch::X86_64;
  chip.cpu = "x86-64-v3";
  chip.needs = MOE_CPU_X86_V3;
  chip.lanes = 8;
  chip.registers = 16;
  chip.l1 = 32 << 10;
  chip.l2 = 512 << 10;
  chip.models = std::move(models);
  chip.isDefault = false;
  moe::addKnownCpu(chip);
}

static void registerChips() {
  uint64_t model = moe_rt_cpu_model();
  const char *vendors[] = {"intel", "amd", "arm"};
  // Nobody is number 0.
  if (model)
    addChip("own", {"arm 1 1", std::string(vendors[(model >> 32) - 1]) + " " +
                                   std::to_string(model >> 16 & 0xffff) + " " +
                                   std::to_string(model & 0xffff)});
  addChip("any", {});
  addChip("other", {"arm 1 1"});
}

extern "C" LLVM_ATTRIBUTE_WEAK mlir::PassPluginLibraryInfo
mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "TestChips", "0.1", registerChips};
}
