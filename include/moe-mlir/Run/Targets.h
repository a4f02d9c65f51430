//===- Targets.h - Which code of an artifact runs ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the targets in a manifest mean on this machine.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_TARGETS_H
#define MOE_MLIR_RUN_TARGETS_H

#include "moe-mlir/Artifact/ArtifactLibrary.h"

#include <string>
#include <vector>

namespace moe::run {

/// GNU's name of the platform that an artifact is for; empty if its manifest
/// names no target.
std::string getPlatform(const Manifest &manifest);

/// Where its layers may run, as ChipCode::device says it, each once; the CPU is
/// the empty one.
std::vector<std::string> getDevices(const Manifest &manifest);

/// The name of the target whose code `function` runs when it is called with
/// `rt`, null for one of the CPU; empty if there is none.
std::string findVariant(const Manifest &manifest,
                        const ArtifactFunction &function, const moe_rt *rt);

/// Whether the code for the target `variant` rounds rows to bf16 where it
/// multiplies with bf16; if it is empty, whether code for any target does.
bool narrowsRows(const Manifest &manifest, const std::string &variant);
/// How it rounds rows that it multiplies with codes; empty: not at all.
std::string getActivations(const Manifest &manifest,
                           const std::string &variant);

} // namespace moe::run

#endif // MOE_MLIR_RUN_TARGETS_H
