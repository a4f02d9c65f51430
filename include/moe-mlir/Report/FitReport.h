//===- FitReport.h - Formats that fit into a budget ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which format each matrix of a model was given, what is lost by it, and what
// it does to bytes and times.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REPORT_FITREPORT_H
#define MOE_MLIR_REPORT_FITREPORT_H

#include <cstdint>
#include <string>
#include <vector>

namespace moe {

struct FitReport {
  struct Weight {
    std::string function, name;
    /// Formats, or types of numbers.
    std::string from, to;
    /// Whether the model said so before.
    bool isGiven = false;
    /// Numbers, and what they are stored in.
    int64_t count = 0, bytes = 0;
    /// The root of the mean square of errors, in parts of that of the values.
    double error = 0;
  };

  std::vector<Weight> weights;
  /// What keeps its type: names, without repetitions, and bytes in all.
  std::vector<std::string> kept;
  int64_t keptBytes = 0;
  /// Of all packed weights.
  int64_t budget = 0, bytesBefore = 0, bytes = 0;
  /// Of the result of a layer, if errors of its matrices add up as squares; the
  /// root of the mean square of layers.
  double error = 0;
  /// What errors were measured on, such as "normal draws".
  std::string errorsOf;
  /// What is made small: "error" or "speed", and by how many parts another
  /// choice might be better.
  std::string objective;
  double gap = 0;
  /// Of a call of each layer, one after the other; negative if it is not known.
  double secondsBefore = -1, seconds = -1;
  int64_t tokens = 1;
  int threads = 1;
  std::string chip;
  /// What `moe-quantize --to` takes to store the model so; empty if nothing
  /// changes.
  std::string rules;
};

std::string printText(const FitReport &report);

} // namespace moe

#endif // MOE_MLIR_REPORT_FITREPORT_H
