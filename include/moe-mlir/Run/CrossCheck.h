//===- CrossCheck.h - Comparing two code generators -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The interpreter is slow on layers of real size. Code of another generator is
// not: a few tokens are compared with the interpreter, which says what rounding
// does to a row, and then all of both, which are that far from exact each.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_CROSSCHECK_H
#define MOE_MLIR_RUN_CROSSCHECK_H

#include "moe-mlir/Run/Call.h"
#include "moe-mlir/Run/Verify.h"

namespace moe::run {

/// One result of two calls.
struct CrossCheckedResult {
  std::string name;
  /// Of dimension 0, and those of them whose token was routed otherwise.
  int64_t rows = 0, leftOut = 0;
  /// The largest difference, in parts of its row, and what is allowed.
  double difference = 0.0, allowed = 0.0;
  /// The first element that differs by more, or nothing.
  std::string complaint;
};

/// Compares the results of two calls with the same arguments. `sample` is how
/// some tokens of `call` compare with the interpreter.
std::vector<CrossCheckedResult>
crossCheck(const Call &call, const RoutingTrace &routings, const Call &other,
           const RoutingTrace &otherRoutings, const Verification &sample);

} // namespace moe::run

#endif // MOE_MLIR_RUN_CROSSCHECK_H
