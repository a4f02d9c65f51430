//===- Comparison.h - Results and what rounding explains -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Whether a result is an exact one but for rounding. How much that is comes
// from draws of the interpreter with random rounding errors: docs/verify.md has
// the reasons for every number here.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_COMPARISON_H
#define MOE_MLIR_RUN_COMPARISON_H

#include "moe-mlir/Support/HostTensor.h"

#include "llvm/ADT/ArrayRef.h"

#include <string>

namespace moe::run {

/// How many standard deviations an error may have, when they were estimated
/// from so many independent draws.
double allowedDeviations(double draws);

struct Comparison {
  int64_t compared = 0; ///< Elements.
  /// The largest error, in parts of what is allowed there, and both in parts
  /// of its row.
  double worst = 0.0, error = 0.0, allowed = 0.0;
  /// What is wrong, or nothing.
  std::string complaint;
};

/// Compares `got` with `exact`; `draws` are exact ones with rounding errors.
/// Rows are `width` elements long: what is lost in one of them is judged by its
/// size.
Comparison compare(const HostTensor &got, const HostTensor &exact,
                   llvm::ArrayRef<HostTensor> draws, int64_t width);

} // namespace moe::run

#endif // MOE_MLIR_RUN_COMPARISON_H
