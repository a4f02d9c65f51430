//===- Kernels.h - Kernels as Halide sees them ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_HALIDE_KERNELS_H
#define MOE_LIB_HALIDE_KERNELS_H

#include "Halide.h"

#include <stdexcept>
#include <string>
#include <vector>

namespace moe_halide {

/// A program that is none, or that Halide cannot say; `what` is a few words.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The words of each line.
using Lines = std::vector<std::vector<std::string>>;
Lines splitLines(const std::string &program);

/// A pipeline and what it is called with, in order, before its results.
struct Kernel {
  Halide::Pipeline pipeline;
  std::vector<Halide::Argument> arguments;
  /// Whether it multiplies pairs of bf16 by one instruction, which Halide finds
  /// only where it may reorder sums. Nothing else is computed then.
  bool multipliesPairs = false;
};

/// The kernel of a program; see KernelEmitter.h. Throws `Refused`.
Kernel makeKernel(const std::string &program);
Kernel makeTile(const std::vector<std::string> &words);
Kernel makeLanes(const Lines &lines);

/// A number without sign; throws `Refused` if `text` is none up to `most`.
uint64_t parseNumber(const std::string &text, uint64_t most);

} // namespace moe_halide

#endif // MOE_LIB_HALIDE_KERNELS_H
