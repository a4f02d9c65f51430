//===- Results.h - What a call gave -----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Results in files, and in a few numbers.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_RESULTS_H
#define MOE_MLIR_RUN_RESULTS_H

#include "moe-mlir/Support/HostTensor.h"
#include "moe-mlir/Support/OutputSet.h"

#include <string>
#include <vector>

namespace moe::run {

/// Writes to a .safetensors file, to a .npy file (one tensor), or to NAME.npy
/// in a folder.
bool writeResults(OutputSet &outputs, const std::string &path,
                  const std::vector<HostTensor> &results, std::string &error);

struct Summary {
  /// Of the elements that are finite.
  double meanMagnitude = 0.0, largest = 0.0;
  int64_t notFinite = 0;
};

Summary summarize(const HostTensor &tensor);

} // namespace moe::run

#endif // MOE_MLIR_RUN_RESULTS_H
