//===- KnownCPUs.h - The CPUs we generate code for -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_CPU_KNOWNCPUS_H
#define MOE_MLIR_TARGET_CPU_KNOWNCPUS_H

#include "moek/Moek.h"

namespace moe {

/// The target `name` of `--target`, or null. Names and what they need are rows
/// of one table.
moek::CpuAttr lookupCpu(mlir::MLIRContext *context, llvm::StringRef name);

/// All names, best last.
llvm::SmallVector<llvm::StringRef> getKnownCpuNames();

/// What `moe_rt_x86_level()` must at least return to run code for `name`.
int getRequiredLevel(llvm::StringRef name);

/// A suffix for symbols of the variant, such as "v4_bf16".
llvm::StringRef getVariantSuffix(llvm::StringRef name);

} // namespace moe

#endif // MOE_MLIR_TARGET_CPU_KNOWNCPUS_H
