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

#include "moe-mlir/Artifact/Manifest.h"

#include <string>

namespace moe {
struct Architecture;
} // namespace moe

namespace moe::run {

/// The architecture of an artifact by the targets in its manifest; null and a
/// message when this build does not know them.
const Architecture *getArchitecture(const Manifest &manifest,
                                    std::string &error);

/// GNU's name of an architecture that is not that of this machine; else empty.
std::string getForeignTriple(const Architecture &architecture);

/// The best of the targets that this CPU has, whose code it runs; empty if
/// there is none.
std::string findVariant(const Manifest &manifest);

/// Whether the code that runs rounds rows to bf16 where it multiplies with
/// bf16; in an emulator, whether code for any target does.
bool narrowsRows(const Manifest &manifest, bool isEmulated);

} // namespace moe::run

#endif // MOE_MLIR_RUN_TARGETS_H
