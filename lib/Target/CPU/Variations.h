//===- Variations.h - What may be tried on a CPU ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_VARIATIONS_H
#define MOE_LIB_TARGET_CPU_VARIATIONS_H

#include "moe-mlir/Target/Target.h"
#include "moe_cpu/MoeCpu.h"

namespace moe {

/// See Target::getVariations.
Target::Variations getCpuVariations(moecpu::TargetAttr cpu);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_VARIATIONS_H
