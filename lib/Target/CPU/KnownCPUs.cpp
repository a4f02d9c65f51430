//===- KnownCPUs.cpp - The CPUs we generate code for -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The tables of all architectures, and rows that came later.
//
//===----------------------------------------------------------------------===//

#include "Tables.h"

#include "moe-mlir/Runtime/moe_rt.h"

#include "mlir/IR/Builders.h"

#include <deque>

using namespace mlir;
using namespace moe;

const Architecture &moe::getArchitecture(moecpu::Arch arch) {
  ArrayRef<HostPlatform> platforms = getHostPlatforms();
  static const Architecture x86{platforms[0], moecpu::Arch::X86_64};
  static const Architecture arm{platforms[1], moecpu::Arch::AArch64};
  return arch == moecpu::Arch::X86_64 ? x86 : arm;
}

const Architecture &moe::getHostArchitecture() {
  const Architecture &arm = getArchitecture(moecpu::Arch::AArch64);
  return isHost(arm.gnuTriple) ? arm : getArchitecture(moecpu::Arch::X86_64);
}

const Architecture &moe::getArchitectureOf(const KnownCpu &cpu) {
  return getArchitecture(cpu.arch);
}

KnownCpu moe::derive(KnownCpu set, StringRef name, StringRef summary,
                     int64_t l1, int64_t l2, std::vector<std::string> models,
                     std::vector<std::pair<std::string, int64_t>> rates) {
  KnownCpu chip = std::move(set);
  chip.name = name.str();
  chip.suffix = name.str();
  std::replace(chip.suffix.begin(), chip.suffix.end(), '-', '_');
  chip.summary = summary.str();
  chip.l1 = l1;
  chip.l2 = l2;
  chip.models = std::move(models);
  chip.rates = std::move(rates);
  chip.isDefault = false;
  return chip;
}

/// Rows stay where they are when others are added.
static std::deque<KnownCpu> &getTable() {
  static std::deque<KnownCpu> table = [] {
    std::deque<KnownCpu> all;
    llvm::append_range(all, getX86Cpus());
    llvm::append_range(all, getArmCpus());
    return all;
  }();
  return table;
}

std::vector<const KnownCpu *> moe::getKnownCpus() {
  std::vector<const KnownCpu *> cpus;
  for (const KnownCpu &cpu : getTable())
    cpus.push_back(&cpu);
  llvm::stable_sort(cpus, [](const KnownCpu *a, const KnownCpu *b) {
    return a->arch < b->arch;
  });
  return cpus;
}

const KnownCpu *moe::findKnownCpu(StringRef name) {
  for (const KnownCpu &cpu : getTable())
    if (name == cpu.name)
      return &cpu;
  return nullptr;
}

void moe::addKnownCpu(KnownCpu cpu) {
  if (!findKnownCpu(cpu.name))
    getTable().push_back(std::move(cpu));
}

bool moe::isNative(const KnownCpu &cpu) {
  return runsHere(getArchitectureOf(cpu).gnuTriple, cpu.needs);
}

ArrayRef<CpuFeature> moe::getCpuFeatures() {
  static constexpr CpuFeature features[] = {
      {"x86_v3", MOE_CPU_X86_V3},
      {"x86_v4", MOE_CPU_X86_V4},
      {"x86_avx512_bf16", MOE_CPU_X86_AVX512_BF16},
      {"x86_avx512_vnni", MOE_CPU_X86_AVX512_VNNI},
      {"x86_avx_vnni", MOE_CPU_X86_AVX_VNNI},
      {"arm_neon", MOE_CPU_ARM_NEON},
      {"arm_dotprod", MOE_CPU_ARM_DOTPROD},
      {"arm_fp16", MOE_CPU_ARM_FP16},
      {"arm_i8mm", MOE_CPU_ARM_I8MM},
      {"arm_bf16", MOE_CPU_ARM_BF16},
      {"arm_sve", MOE_CPU_ARM_SVE},
      {"arm_sve2", MOE_CPU_ARM_SVE2},
  };
  return features;
}

moecpu::TargetAttr moe::getTargetAttr(MLIRContext *context,
                                      const KnownCpu &cpu) {
  Builder b(context);
  SmallVector<StringRef> needs;
  for (const CpuFeature &feature : getCpuFeatures())
    if (cpu.needs & feature.bit)
      needs.push_back(feature.name);
  SmallVector<StringRef> instructions(cpu.instructions.begin(),
                                      cpu.instructions.end());
  SmallVector<StringAttr> models;
  for (const std::string &model : cpu.models)
    models.push_back(b.getStringAttr(model));
  SmallVector<NamedAttribute> rates;
  for (const auto &[rate, value] : cpu.rates)
    rates.push_back(b.getNamedAttr(rate, b.getI64IntegerAttr(value)));
  SmallVector<moecpu::PrefetchAttr> prefetch;
  for (const KnownCpu::Prefetch &rule : cpu.prefetch)
    prefetch.push_back(
        moecpu::PrefetchAttr::get(context, rule.rows, rule.ahead, rule.levels));
  return moecpu::TargetAttr::get(
      context, cpu.name, cpu.arch, cpu.cpu, cpu.features,
      b.getStrArrayAttr(needs), b.getStrArrayAttr(instructions), cpu.lanes,
      cpu.registers, cpu.l1, cpu.l2, cpu.scalable, models,
      rates.empty() ? DictionaryAttr() : b.getDictionaryAttr(rates),
      /*run=*/0, /*chunk=*/0, prefetch, /*prefetch_level=*/0, cpu.widened);
}
