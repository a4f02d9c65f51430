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

#ifndef MOE_MLIR_RUN_VERIFY_H
#define MOE_MLIR_RUN_VERIFY_H

#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Run/Comparison.h"
#include "moe-mlir/Run/Replay.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::run {

struct VerifyOptions {
  /// How many tokens to compare, 0 for all.
  int64_t tokens = 0;
  /// Threads of the interpreter, 0 for one per CPU.
  unsigned threads = 0;
  /// The code that ran rounds rows to bf16 where it multiplies with bf16.
  bool narrowsRows = false;
  /// And rows that meet weights in formats as this says; see getRowTypes().
  std::string activations = {};
  /// Told of experts that the interpreter is done with.
  ProgressFn progress = {};
};

/// What was seen of one result.
struct ResultCheck {
  std::string name;
  Comparison comparison;
  /// Whether its rows are tokens, and how many of those were compared.
  bool isRows = false;
  int64_t rows = 0;
  /// Tokens of them that were routed as the kernel did, near a tie of scores.
  int64_t replayed = 0;
  /// Tokens left out: near a tie of a router that is not traced.
  int64_t leftOut = 0;
  /// Whether that is all of them.
  bool isUnknown() const { return isRows && !rows && leftOut; }
};

struct Verification {
  /// Why all tokens were compared although fewer would have done, or nothing.
  std::string whyAll;
  std::vector<ResultCheck> results;
  /// What is wrong with the routing, or nothing.
  std::string routingComplaint;

  /// Elements of all results. Without any, nothing was verified.
  int64_t compared() const;
  bool passed() const;
};

/// Compares `results` of `desc` with what the interpreter computes for
/// `function` with the routings of `trace`. False and a message when that
/// cannot be done; errors of the interpreter are diagnostics.
bool verify(mlir::func::FuncOp function, const FunctionDesc &desc,
            const std::vector<int64_t> &sizeValues,
            const FunctionInputs &inputs,
            const std::vector<HostTensor> &results, const RoutingTrace &trace,
            const VerifyOptions &options, Verification &verification,
            std::string &error);

} // namespace moe::run

#endif // MOE_MLIR_RUN_VERIFY_H
