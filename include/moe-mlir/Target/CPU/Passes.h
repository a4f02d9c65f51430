//===- Passes.h - Decisions for a CPU -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_CPU_PASSES_H
#define MOE_MLIR_TARGET_CPU_PASSES_H

#include "moek/Moek.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace moe {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "moe-mlir/Target/CPU/Passes.h.inc"
} // namespace moe

#endif // MOE_MLIR_TARGET_CPU_PASSES_H
