//===- Passes.h - Passes that read profiles -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_PROFILE_PASSES_H
#define MOE_MLIR_PROFILE_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace moe {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "moe-mlir/Profile/Passes.h.inc"
} // namespace moe

#endif // MOE_MLIR_PROFILE_PASSES_H
