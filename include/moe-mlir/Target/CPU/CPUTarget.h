//===- CPUTarget.h - CPUs as a target ---------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_CPU_CPUTARGET_H
#define MOE_MLIR_TARGET_CPU_CPUTARGET_H

#include "moe-mlir/Target/Target.h"

namespace moe {

/// x86-64 and AArch64, through vectors and LLVM. Chips are #moe_cpu.target.
std::unique_ptr<Target> createCPUTarget();

} // namespace moe

#endif // MOE_MLIR_TARGET_CPU_CPUTARGET_H
