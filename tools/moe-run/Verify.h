//===- Verify.h - Comparing with the interpreter ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Runs the model in float64 on the same tensors and compares row by row, within
// what rounding explains: docs/verify.md.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOERUN_VERIFY_H
#define MOE_TOOLS_MOERUN_VERIFY_H

#include "Replay.h"

#include "moe-mlir/Artifact/FunctionInputs.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::run {

struct VerifyOptions {
  /// How many tokens to compare, 0 for all.
  int64_t tokens = 0;
  /// Threads of the interpreter, 0 for one per CPU.
  unsigned threads = 0;
  /// The code that ran rounds rows to bf16 where it multiplies with bf16.
  bool narrowsRows = false;
};

/// Whether code for the best of `targets` that this CPU has does that; in an
/// emulator, whether code for any of them does.
bool narrowsRows(const std::vector<std::string> &targets, bool isEmulated);

/// Compares `results` of `desc` with what the interpreter computes for
/// `function` with the routings of `trace`, and prints one line for each
/// result. Fails, with a message, when one differs by more than rounding, when
/// the routing does, or when nothing could be compared.
llvm::LogicalResult
verify(mlir::func::FuncOp function, const FunctionDesc &desc,
       const std::vector<int64_t> &sizeValues, const FunctionInputs &inputs,
       const std::vector<HostTensor> &results, const RoutingTrace &trace,
       const VerifyOptions &options);

} // namespace moe::run

#endif // MOE_TOOLS_MOERUN_VERIFY_H
