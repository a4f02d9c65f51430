//===- StreamLoops.h - Rows times a stream of weights -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a micro-kernel does to memory: it reads two vectors of weights for each
// k, multiplies each by a value of every row, and may ask for lines ahead.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RUN_STREAMLOOPS_H
#define MOE_LIB_RUN_STREAMLOOPS_H

#include <cstdint>
#include <vector>

namespace moe::run {

/// Steps of k of a panel, and where the values of a row begin behind those of
/// the row before, in f32: rows of 8 KiB would all be in the same sets.
constexpr int64_t kStreamSteps = 2048, kStreamPitch = kStreamSteps + 16;

/// Which lines a loop asks for: none, those of one distance into the first or
/// the second level, or one distance into each.
enum class Ahead { None, First, Second, Both };

/// Multiplies `rows` rows, at `x`, with the `bytes` at `data`. `far` and `near`
/// are distances in bytes; with one distance it is `far`.
using StreamLoop = void (*)(const char *data, int64_t bytes, const float *x,
                            int64_t far, int64_t near);

/// Numbers of rows that there are loops for, ascending.
std::vector<int64_t> getStreamRows();
StreamLoop getStreamLoop(int64_t rows, Ahead ahead);

} // namespace moe::run

#endif // MOE_LIB_RUN_STREAMLOOPS_H
