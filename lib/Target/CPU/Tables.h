//===- Tables.h - One table of CPUs per architecture ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_TABLES_H
#define MOE_LIB_TARGET_CPU_TABLES_H

#include "moe-mlir/Target/CPU/KnownCPUs.h"

namespace moe {

std::vector<KnownCpu> getX86Cpus(); // X86/KnownCPUs.cpp
std::vector<KnownCpu> getArmCpus(); // ARM/KnownCPUs.cpp

/// A chip that runs the code of `set`. It is no default.
KnownCpu derive(KnownCpu set, llvm::StringRef name, llvm::StringRef summary,
                int64_t l1, int64_t l2, std::vector<std::string> models,
                std::vector<std::pair<std::string, int64_t>> rates);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_TABLES_H
