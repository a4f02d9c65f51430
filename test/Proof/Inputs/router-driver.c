//===- router-driver.c - Runs the compiled router once ----------*- C -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Calls the variant -DENTRY=... of router.mlir on one thread for the case its
// argument names, and compares the routing with what plain loops make of it.
//
//===----------------------------------------------------------------------===//

#include "cases.h"
#include "moe-mlir/Runtime/moe_rt.h"

#define EXPERTS 64
#ifndef TOKENS
#define TOKENS 80 /* One block of 64 lanes, and one that is not full. */
#endif
#define HIDDEN 16
#define WORKSPACE (1 << 22)

int ENTRY(const moe_rt *, int64_t, const float *, const float *, const float *,
          const void *, const void *, int32_t *, float *, int32_t *, float *,
          void *, size_t);

static void inOrder(const moe_rt *rt, int64_t items, moe_body_fn body,
                    void *arg) {
  (void)rt;
  for (int64_t item = 0; item < items; ++item)
    body(arg, item);
}

static void complain(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  fprintf(stderr, "%d: %s\n", status, message);
}

static const moe_rt runtime = {.abi = MOE_RT_ABI,
                               .num_threads = 1,
                               .size = sizeof(moe_rt),
                               .parallel_for = inOrder,
                               .error = complain};

/* A null runtime is never given. */
const moe_rt *moe_rt_default(void) { return &runtime; }

static float scores[TOKENS][EXPERTS], thresholds[EXPERTS];
static float x[TOKENS][HIDDEN], weights[TOKENS][EXPERTS], y[TOKENS][HIDDEN];
static int32_t experts[TOKENS][EXPERTS], offsets[EXPERTS + 1];
/* Enough for the packed weights of all experts, whatever their layout. */
static char up[EXPERTS * 64 * 64 * 4] __attribute__((aligned(64)));
static char down[EXPERTS * 64 * 64 * 4] __attribute__((aligned(64)));
static char workspace[WORKSPACE] __attribute__((aligned(64)));

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  for (int t = 0; t < TOKENS; ++t)
    for (int e = 0; e < EXPERTS; ++e)
      scores[t][e] = score(argv[1], t, e, EXPERTS);
  int status = ENTRY(&runtime, TOKENS, &scores[0][0], thresholds, &x[0][0], up,
                     down, &experts[0][0], &weights[0][0], offsets, &y[0][0],
                     workspace, sizeof(workspace));
  if (status != MOE_OK)
    return 1;

  int32_t lengths[EXPERTS] = {0};
  for (int t = 0; t < TOKENS; ++t) {
    int taken = 0, best = -1;
    for (int e = 0; e < EXPERTS; ++e) {
      float value = scores[t][e];
      taken += value > thresholds[e];
      /* NaN comes after every number, of equal ones the lower expert first. */
      if (best < 0 || value > scores[t][best] ||
          (isnan(scores[t][best]) && !isnan(value)))
        best = e;
    }
    for (int e = 0; e < EXPERTS; ++e) {
      int mine = taken ? scores[t][e] > thresholds[e] : e == best;
      float weight = mine ? 1.0f / (float)(taken ? taken : 1) : 0.0f;
      lengths[e] += mine;
      if (experts[t][e] != (mine ? e : -1) || weights[t][e] != weight) {
        fprintf(stderr, "%s: token %d has expert %d, weight %g in slot %d\n",
                argv[1], t, experts[t][e], weights[t][e], e);
        return 1;
      }
    }
  }
  for (int e = 0; e < EXPERTS; ++e)
    if (offsets[e + 1] - offsets[e] != lengths[e]) {
      fprintf(stderr, "%s: wrong number of rows of expert %d\n", argv[1], e);
      return 1;
    }
  return 0;
}
