//===- Targets.cpp - Which code of an artifact runs -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one place here that asks the table of CPUs.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Targets.h"

#include "moe-mlir/Target/CPU/KnownCPUs.h"

#include "llvm/ADT/StringExtras.h"

using namespace moe;
using namespace moe::run;

const Architecture *run::getArchitecture(const Manifest &manifest,
                                         std::string &error) {
  for (const std::string &target : manifest.targets)
    if (const KnownCpu *cpu = findKnownCpu(target))
      return &getArchitectureOf(*cpu);
  error = "its targets are unknown here: " + llvm::join(manifest.targets, ", ");
  return nullptr;
}

std::string run::getForeignTriple(const Architecture &architecture) {
  return &architecture == &getHostArchitecture() ? ""
                                                 : architecture.gnuTriple;
}

/// Best last; null if there is none.
static const KnownCpu *findVariantCpu(const Manifest &manifest) {
  const KnownCpu *best = nullptr;
  for (const std::string &target : manifest.targets)
    if (const KnownCpu *cpu = findKnownCpu(target); cpu && isNative(*cpu))
      best = cpu;
  return best;
}

std::string run::findVariant(const Manifest &manifest) {
  const KnownCpu *cpu = findVariantCpu(manifest);
  return cpu ? cpu->name : "";
}

/// Of a chip that is no row here nobody knows: it may.
static bool narrows(const KnownCpu *cpu) { return !cpu || cpu->narrowsRows(); }

bool run::narrowsRows(const Manifest &manifest, bool isEmulated) {
  if (!isEmulated)
    return narrows(findVariantCpu(manifest));
  return llvm::any_of(manifest.targets, [](const std::string &target) {
    return narrows(findKnownCpu(target));
  });
}
