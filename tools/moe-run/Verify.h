//===- Verify.h - Comparing with the interpreter ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Runs the model in float64 on the same tensors and compares row by row.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOERUN_VERIFY_H
#define MOE_TOOLS_MOERUN_VERIFY_H

#include "moe-mlir/Artifact/FunctionInputs.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::run {

struct VerifyOptions {
  /// How many tokens to compare, 0 for all.
  int64_t tokens = 0;
  /// Threads of the interpreter, 0 for one per CPU.
  unsigned threads = 0;
};

/// Compares `results` of `desc` with what the interpreter computes for
/// `function`, and prints one line for each result. Fails, with a message,
/// when one differs too much or the two cannot be compared.
llvm::LogicalResult verify(mlir::func::FuncOp function,
                           const FunctionDesc &desc,
                           const std::vector<int64_t> &sizeValues,
                           const FunctionInputs &inputs,
                           const std::vector<HostTensor> &results,
                           const VerifyOptions &options);

} // namespace moe::run

#endif // MOE_TOOLS_MOERUN_VERIFY_H
