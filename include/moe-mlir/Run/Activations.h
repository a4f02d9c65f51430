//===- Activations.h - What weights are multiplied with ---------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Runs the model in float64 and sums up the squares of what its weights meet,
// which tell how much an error in a column of them counts, and what its routers
// choose.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_ACTIVATIONS_H
#define MOE_MLIR_RUN_ACTIVATIONS_H

#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Artifact/Profile.h"
#include "moe-mlir/Support/Progress.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::run {

/// Adds to `profile` what the routers of `function` choose and its weights are
/// multiplied with when it is called as `desc` with these tensors. False and a
/// message when it cannot be interpreted; its errors are diagnostics.
bool profileActivations(mlir::func::FuncOp function, const FunctionDesc &desc,
                        const std::vector<int64_t> &sizeValues,
                        const FunctionInputs &inputs, unsigned threads,
                        const ProgressFn &progress, Profile &profile,
                        std::string &error);

} // namespace moe::run

#endif // MOE_MLIR_RUN_ACTIVATIONS_H
