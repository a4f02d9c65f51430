//===- ChipFile.h - CPUs as JSON --------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_CHIPFILE_H
#define MOE_LIB_TARGET_CPU_CHIPFILE_H

#include "moe_cpu/MoeCpu.h"

#include "llvm/Support/JSON.h"

namespace moe {

/// #moe_cpu.target with the parameters that `chip` has under their names. A
/// null result comes with `error`.
moecpu::TargetAttr parseCpu(mlir::MLIRContext *context,
                            const llvm::json::Object &chip, std::string &error);
/// All of its parameters.
llvm::json::Object describeCpu(moecpu::TargetAttr cpu);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_CHIPFILE_H
