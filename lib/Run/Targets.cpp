//===- Targets.cpp - Which code of an artifact runs -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Targets.h"

#include "moe-mlir/Target/Target.h"

using namespace moe;
using namespace moe::run;

std::string run::getPlatform(const Manifest &manifest) {
  return manifest.targets.empty() ? "" : manifest.targets.front().platform;
}

/// Null if there is none.
static const TargetDesc *findNative(const Manifest &manifest) {
  for (const TargetDesc &target : llvm::reverse(manifest.targets))
    if (runsHere(target.platform, target.needs))
      return &target;
  return nullptr;
}

std::string run::findVariant(const Manifest &manifest) {
  const TargetDesc *target = findNative(manifest);
  return target ? target->name : "";
}

bool run::narrowsRows(const Manifest &manifest, bool isEmulated) {
  auto narrows = [](const TargetDesc &target) { return target.narrowsRows; };
  // What the emulated CPU has is not known.
  if (isEmulated)
    return llvm::any_of(manifest.targets, narrows);
  const TargetDesc *target = findNative(manifest);
  return target && narrows(*target);
}
