//===- Device.h - Kernels for GPUs, judged ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOEBRANCHCHECK_DEVICE_H
#define MOE_TOOLS_MOEBRANCHCHECK_DEVICE_H

#include "moe-mlir/Analysis/Branches/BranchCheck.h"

#include "llvm/Support/MemoryBuffer.h"

#include <optional>

namespace moe::branchcheck {

/// The kernels that score, select and pack, as targets name them.
inline constexpr llvm::StringLiteral
    kDeviceKernels("_(logits|logits_few|select|capacity|index|expert_choice|"
                   "limit|rows|weigh)(_[0-9]+)?$");

/// The file that has the code of `path`: of a manifest, the library beside it.
std::string getCodeFile(llvm::StringRef path);

/// Whether `file` is an artifact's code, or has kernels for GPUs.
bool isDeviceCode(const llvm::MemoryBuffer &file);

/// Prints the verdicts on its kernels, and says whether all are proved. Nothing
/// and a message where nothing could be said.
std::optional<bool> proveDeviceCode(const llvm::MemoryBuffer &file,
                                    const Options &options, std::string &error);

} // namespace moe::branchcheck

#endif // MOE_TOOLS_MOEBRANCHCHECK_DEVICE_H
