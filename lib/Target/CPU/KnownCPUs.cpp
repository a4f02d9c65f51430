//===- KnownCPUs.cpp - The CPUs we generate code for -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Looks into the tables of all architectures.
//
//===----------------------------------------------------------------------===//

#include "Tables.h"

using namespace moe;

static const Architecture *const kArchitectures[] = {&x86Architecture,
                                                     &armArchitecture};

const Architecture &moe::getArchitecture(moek::Arch arch) {
  for (const Architecture *architecture : kArchitectures)
    if (architecture->arch == arch)
      return *architecture;
  llvm_unreachable("every architecture has a table");
}

const Architecture &moe::getHostArchitecture() {
#ifdef __aarch64__
  return armArchitecture;
#else
  return x86Architecture;
#endif
}

llvm::SmallVector<const KnownCpu *> moe::getKnownCpus() {
  llvm::SmallVector<const KnownCpu *> cpus;
  for (const Architecture *architecture : kArchitectures)
    for (const KnownCpu &cpu : architecture->cpus)
      cpus.push_back(&cpu);
  return cpus;
}

llvm::SmallVector<llvm::StringRef> moe::getKnownCpuNames() {
  llvm::SmallVector<llvm::StringRef> names;
  for (const KnownCpu *cpu : getKnownCpus())
    names.push_back(cpu->name);
  return names;
}

const KnownCpu *moe::findKnownCpu(llvm::StringRef name) {
  for (const KnownCpu *cpu : getKnownCpus())
    if (name == cpu->name)
      return cpu;
  return nullptr;
}

const Architecture &moe::getArchitectureOf(const KnownCpu &cpu) {
  for (const Architecture *architecture : kArchitectures)
    if (&cpu >= architecture->cpus.begin() && &cpu < architecture->cpus.end())
      return *architecture;
  llvm_unreachable("not a row of a table");
}

moek::CpuAttr moe::lookupCpu(mlir::MLIRContext *context, llvm::StringRef name) {
  const KnownCpu *row = findKnownCpu(name);
  if (!row)
    return {};
  return moek::CpuAttr::get(context, row->cpu, row->features, row->lanes,
                            row->registers, row->l1, row->l2, row->bf16Dot,
                            getArchitectureOf(*row).arch, row->bf16Mmla,
                            row->scalable);
}
