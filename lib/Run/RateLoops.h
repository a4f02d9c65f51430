//===- RateLoops.h - Loops of one instruction -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RUN_RATELOOPS_H
#define MOE_LIB_RUN_RATELOOPS_H

#include <cstdint>
#include <vector>

namespace moe::run {

/// Does a number of rounds and returns the operations done.
using RateLoop = double (*)(int64_t rounds);

/// An instruction that multiplies and adds, by the names that its rates have in
/// #moe_cpu.target. What is null is not measured.
struct Instruction {
  const char *rate = nullptr, *latency = nullptr;
  /// Chains enough to cover the latency, and one chain.
  RateLoop many = nullptr, one = nullptr;
};

/// Those of this CPU that there are loops for, but for the rate of f32, which
/// is PeakMeter's.
std::vector<Instruction> getInstructions();

/// bf16 that become f32 in registers: values instead of operations. Null if
/// there is no loop.
RateLoop getWidenLoop();

/// Additions, each of which needs the one before: a cycle each. The second kind
/// multiplies full vectors beside them, which lets some CPUs run slower.
RateLoop getClockLoop(bool isMultiplying);

/// f32 in the widest vector that there are loops for.
int64_t getLanes();

} // namespace moe::run

#endif // MOE_LIB_RUN_RATELOOPS_H
