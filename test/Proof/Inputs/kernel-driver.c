//===- kernel-driver.c - Runs a kernel of kernels.mlir once -----*- C -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Calls -DKERNEL=... for the case its argument names, and compares the lists
// with what plain loops make of the same scores.
//
//===----------------------------------------------------------------------===//

#include "cases.h"

#define EXPERTS 64
#define TOKENS 16

#define VECTOR(T) T *, T *, int64_t, int64_t, int64_t
#define MATRIX(T) T *, T *, int64_t, int64_t, int64_t, int64_t, int64_t
void KERNEL(MATRIX(float), VECTOR(float), VECTOR(float), MATRIX(int32_t),
            VECTOR(int32_t));

static float scores[EXPERTS][TOKENS], thresholds[EXPERTS], weights[TOKENS];
static int32_t lists[EXPERTS][TOKENS + 8], counts[EXPERTS];

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  for (int e = 0; e < EXPERTS; ++e)
    for (int t = 0; t < TOKENS; ++t)
      scores[e][t] = score(argv[1], t, e, EXPERTS);
  KERNEL(&scores[0][0], &scores[0][0], 0, EXPERTS, TOKENS, TOKENS, 1,
         thresholds, thresholds, 0, EXPERTS, 1, weights, weights, 0, TOKENS, 1,
         &lists[0][0], &lists[0][0], 0, EXPERTS, TOKENS + 8, TOKENS + 8, 1,
         counts, counts, 0, EXPERTS, 1);

  static int32_t expected[EXPERTS][TOKENS], lengths[EXPERTS];
  for (int t = 0; t < TOKENS; ++t) {
    int taken = 0, best = 0;
    float value = -INFINITY;
    for (int e = 0; e < EXPERTS; ++e) {
      if (scores[e][t] > value) {
        value = scores[e][t];
        best = e;
      }
      if (scores[e][t] > thresholds[e]) {
        expected[e][lengths[e]++] = t;
        ++taken;
      }
    }
    if (!taken && FALLBACK)
      expected[best][lengths[best]++] = t;
  }
  for (int e = 0; e < EXPERTS; ++e)
    if (counts[e] != lengths[e] ||
        memcmp(lists[e], expected[e], sizeof(int32_t) * (size_t)lengths[e])) {
      fprintf(stderr, "%s: wrong list of expert %d\n", argv[1], e);
      return 1;
    }
  return 0;
}
