//===- CompileReport.h - What a compilation decided, and expects -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Per layer and number of tokens: operations, bytes, what bounds them and how
// long they are expected to take; workspace and packed weights; and what was
// fused, or why not; of kernels for a device, what their code says of them. As
// text, as a page and for programs.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REPORT_COMPILEREPORT_H
#define MOE_MLIR_REPORT_COMPILEREPORT_H

#include "moe-mlir/Target/KernelFacts.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace moe {

struct CompileReport {
  /// A kernel of a call; negative seconds are not known.
  struct Kernel {
    std::string phase, bound;
    double operations = 0, bytes = 0, seconds = -1;
  };
  /// A call of a layer with some number of tokens.
  struct Call {
    int64_t tokens = 0;
    /// What has to be done at least, whoever does it: see docs/performance.md.
    double operations = 0, bytes = 0;
    /// What is expected; negative if it is not known.
    double seconds = -1;
    std::string bound;
    /// Bytes; negative if it is not known.
    int64_t workspace = -1;
    std::vector<Kernel> kernels;
  };
  struct Weight {
    std::string name, role;
    int64_t bytes = 0;
  };
  struct Layer {
    std::string name;
    /// Layers with the same code.
    std::vector<std::string> same;
    /// How kernels run, by their phase.
    std::vector<std::pair<std::string, std::string>> schedules;
    std::vector<Call> calls;
    std::vector<Weight> weights;
    /// What is not in the figures.
    std::vector<std::string> unknown;
  };
  /// What a fusion that was missed would save of a call.
  struct Gain {
    int64_t tokens = 0;
    /// Bytes that would not be written and read again; negative shares are not
    /// known. That of seconds takes the bytes at the chip's rate of memory,
    /// which is the most they can cost.
    double bytes = 0, shareOfBytes = -1, shareOfSeconds = -1;
  };
  /// A remark, and how often it was made.
  struct Decision {
    std::string kind, category, message, place;
    int64_t count = 1;
    /// The symbol of the function, and bytes for each token; 0 if not known.
    std::string function;
    int64_t bytesOfToken = 0;
    /// Of the calls of `layer`.
    std::string layer;
    std::vector<Gain> gains;
  };

  std::string model, chip;
  int threads = 1;
  /// What the chip says of itself.
  std::vector<std::pair<std::string, int64_t>> rates;
  std::vector<Layer> layers;
  /// Of a device; none for CPUs.
  std::vector<KernelFacts> kernels;
  /// What formats were chosen for the weights, as text; empty if none were.
  std::string formats;
  std::vector<Decision> decisions;
};

std::string printText(const CompileReport &report);
/// A page that needs nothing else.
std::string printHtml(const CompileReport &report);
/// All figures, for programs: bytes, operations and seconds; what is not known
/// is not there.
std::string printJson(const CompileReport &report);

} // namespace moe

#endif // MOE_MLIR_REPORT_COMPILEREPORT_H
