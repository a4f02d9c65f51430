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

std::vector<std::string> run::getDevices(const Manifest &manifest) {
  std::vector<std::string> devices;
  for (const TargetDesc &target : manifest.targets)
    if (!llvm::is_contained(devices, target.device))
      devices.push_back(target.device);
  return devices;
}

std::string run::findVariant(const Manifest &manifest,
                             const ArtifactFunction &function,
                             const moe_rt *rt) {
  if (function.variant) {
    const char *name = function.getVariant(rt);
    return name ? name : "";
  }
  // Those that cannot be asked take the last one.
  for (const TargetDesc &target : llvm::reverse(manifest.targets))
    if (target.device.empty() && runsHere(target.platform, target.needs))
      return target.name;
  return "";
}

static bool isTrueOf(bool TargetDesc::*field, const Manifest &manifest,
                     const std::string &variant) {
  return llvm::any_of(manifest.targets, [&](const TargetDesc &target) {
    return target.*field && (variant.empty() || target.name == variant);
  });
}

bool run::narrowsRows(const Manifest &manifest, const std::string &variant) {
  return isTrueOf(&TargetDesc::narrowsRows, manifest, variant);
}

std::string run::getActivations(const Manifest &manifest,
                                const std::string &variant) {
  for (const TargetDesc &target : manifest.targets)
    if (!target.activations.empty() &&
        (variant.empty() || target.name == variant))
      return target.activations;
  return "";
}
