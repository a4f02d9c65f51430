//===- StreamLoops.cpp - Rows times a stream of weights ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Plain C++ with the compiler's vectors, once for each width. Products and sums
// are contracted: see CMakeLists.txt.
//
//===----------------------------------------------------------------------===//

#include "StreamLoops.h"

#include "RateLoops.h"

#include <cstring>

using namespace moe;
using namespace moe::run;

/// Of Cortex-A and Neoverse, too: lines are 64 bytes. Vectors narrower than
/// that ask for the line once.
static constexpr int64_t kLine = 64;

#define MOE_STREAM_LOOP(name, isa, vectorBytes)                                \
  template <int rows, Ahead ahead>                                             \
  isa static void name(const char *data, int64_t bytes, const float *x,        \
                       int64_t far, int64_t near) {                            \
    typedef float Vector __attribute__((vector_size(vectorBytes)));            \
    constexpr int64_t step = 2 * vectorBytes;                                  \
    for (int64_t begin = 0; begin + step * kStreamSteps <= bytes;              \
         begin += step * kStreamSteps) {                                       \
      Vector tile[2 * rows] = {};                                              \
      const char *panel = data + begin;                                        \
      for (int64_t k = 0; k < kStreamSteps; ++k, panel += step) {              \
        if (step >= kLine || (k * step) % kLine == 0)                          \
          _Pragma("GCC unroll 2") for (int64_t line = 0; line < step;          \
                                       line += kLine) {                        \
            if (ahead == Ahead::First)                                         \
              __builtin_prefetch(panel + far + line, 0, 3);                    \
            if (ahead == Ahead::Second || ahead == Ahead::Both)                \
              __builtin_prefetch(panel + far + line, 0, 2);                    \
            if (ahead == Ahead::Both)                                          \
              __builtin_prefetch(panel + near + line, 0, 3);                   \
          }                                                                    \
        Vector w[2];                                                           \
        std::memcpy(w, panel, sizeof(w));                                      \
        _Pragma("GCC unroll 14") for (int r = 0; r < rows; ++r) {              \
          float value = x[r * kStreamPitch + k];                               \
          tile[2 * r] += w[0] * value;                                         \
          tile[2 * r + 1] += w[1] * value;                                     \
        }                                                                      \
      }                                                                        \
      asm volatile("" ::"m"(tile));                                            \
    }                                                                          \
  }

#if defined(__x86_64__)
MOE_STREAM_LOOP(stream512, __attribute__((target("avx512f"))), 64)
MOE_STREAM_LOOP(stream256, __attribute__((target("avx2,fma"))), 32)
#endif
MOE_STREAM_LOOP(streamPlain, , 16)

template <int rows> static StreamLoop pick(Ahead ahead) {
#define MOE_PICK(loop)                                                         \
  switch (ahead) {                                                             \
  case Ahead::None:                                                            \
    return loop<rows, Ahead::None>;                                            \
  case Ahead::First:                                                           \
    return loop<rows, Ahead::First>;                                           \
  case Ahead::Second:                                                          \
    return loop<rows, Ahead::Second>;                                          \
  case Ahead::Both:                                                            \
    return loop<rows, Ahead::Both>;                                            \
  }
#if defined(__x86_64__)
  if (getLanes() == 16)
    MOE_PICK(stream512)
  // More rows have too many accumulators for sixteen registers.
  if constexpr (rows <= 6)
    if (getLanes() == 8)
      MOE_PICK(stream256)
#endif
  MOE_PICK(streamPlain)
  return nullptr;
}

std::vector<int64_t> run::getStreamRows() {
  if (getLanes() == 8)
    return {1, 2, 4, 6};
  return {1, 2, 4, 6, 8, 11, 14};
}

StreamLoop run::getStreamLoop(int64_t rows, Ahead ahead) {
  switch (rows) {
  case 1:
    return pick<1>(ahead);
  case 2:
    return pick<2>(ahead);
  case 4:
    return pick<4>(ahead);
  case 6:
    return pick<6>(ahead);
  case 8:
    return pick<8>(ahead);
  case 11:
    return pick<11>(ahead);
  case 14:
    return pick<14>(ahead);
  }
  return nullptr;
}
