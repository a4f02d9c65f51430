//===- count-columns.c - Columns of weights that kernels multiply -*- C -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Calls the layer of columns.mlir, whose kernels count multiply-adds. The sums
// have to be those of plain loops over all columns, bit by bit, and the count
// that of the columns in which one of an expert's rows is above 0, where the
// rows are at most ROWS and these columns at most COLUMNS; else that of all.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Runtime/moe_rt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 129, EXPERTS = 4, K = 200, N = 64, PANEL = 32 };

#ifndef ROWS
#define ROWS 6
#endif
#ifndef COLUMNS
#define COLUMNS 100
#endif

int columns__v3(const moe_rt *, int64_t, const int32_t *, const float *,
                const float *, const void *, float *, void *, size_t);
int64_t columns_workspace_bytes__v3(int64_t);

extern int64_t multiply_adds;

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

static int32_t experts[TOKENS];
static float weights[TOKENS], x[TOKENS][K], y[TOKENS][N], sums[TOKENS][N];
static float down[EXPERTS][N / PANEL][K][PANEL] __attribute__((aligned(64)));

static float draw(void) { return (float)(rand() % 2048 - 1024) / 1024; }

/* About `percent` of the values are above 0; with `odd`, some of them in odd
   ways, others of the zeros and what is below. */
static void fill(int64_t tokens, int percent, int odd) {
  for (int64_t t = 0; t < tokens; ++t)
    for (int k = 0; k < K; ++k) {
      float value = fabsf(draw()) + 1e-3f;
      x[t][k] = rand() % 100 < percent ? value : -value;
      if (odd && rand() % 16 == 0)
        x[t][k] = rand() % 2 ? 0.0f : -0.0f;
      if (odd && rand() % 64 == 0)
        x[t][k] = copysignf(1e-42f, x[t][k]);
    }
  if (odd && tokens > 2) {
    x[0][K - 1] = INFINITY;
    x[tokens / 2][0] = NAN;
    x[tokens - 1][7] = -INFINITY;
  }
}

static float above(float v) { return v > 0 || v != v ? v : 0.0f; }

/* Fills `sums` and returns how many multiply-adds they should take. */
static int64_t compute(int64_t tokens) {
  int64_t count = 0;
  for (int e = 0; e < EXPERTS; ++e) {
    int64_t rows = 0, used = 0;
    for (int64_t t = 0; t < tokens; ++t) {
      if (experts[t] != e)
        continue;
      rows++;
      for (int n = 0; n < N; ++n) {
        float sum = 0;
        for (int k = 0; k < K; ++k)
          sum = fmaf(above(x[t][k]), down[e][n / PANEL][k][n % PANEL], sum);
        sums[t][n] = sum;
      }
    }
    for (int k = 0; k < K; ++k) {
      int any = 0;
      for (int64_t t = 0; t < tokens; ++t)
        any |= experts[t] == e && above(x[t][k]) != 0;
      used += any;
    }
    count += rows * N * (rows <= ROWS && used <= COLUMNS ? used : K);
  }
  return count;
}

static int same(float a, float b) {
  return (a != a && b != b) || memcmp(&a, &b, sizeof(a)) == 0;
}

int main(void) {
  static const int percents[] = {0, 5, 20, 50, 100};
  static const int64_t sizes[] = {0, 1, 2, 17, TOKENS};
  int failures = 0;
  srand(1);
  for (int e = 0; e < EXPERTS; ++e)
    for (int i = 0; i < N * K; ++i)
      (&down[e][0][0][0])[i] = draw();
  for (int t = 0; t < TOKENS; ++t)
    weights[t] = 1;
  for (int p = 0; p < 5; ++p)
    for (int s = 0; s < 5; ++s)
      for (int kind = 0; kind < 4; ++kind) {
        int64_t tokens = sizes[s];
        for (int64_t t = 0; t < tokens; ++t)
          experts[t] = kind & 1 ? 2 : rand() % EXPERTS;
        fill(tokens, percents[p], kind & 2);
        int64_t expected = compute(tokens);
        int64_t bytes = columns_workspace_bytes__v3(tokens);
        void *workspace = aligned_alloc(64, (bytes + 63) / 64 * 64);
        multiply_adds = 0;
        int status = columns__v3(&runtime, tokens, experts, weights, &x[0][0],
                                 down, &y[0][0], workspace, bytes);
        free(workspace);
        int64_t differ = 0;
        for (int64_t t = 0; t < tokens; ++t)
          for (int n = 0; n < N; ++n)
            differ += !same(y[t][n], sums[t][n]);
        if (status || differ || multiply_adds != expected) {
          printf("%d %%, %d tokens, kind %d: status %d, %d sums differ, %lld "
                 "multiply-adds, expected %lld\n",
                 percents[p], (int)tokens, kind, status, (int)differ,
                 (long long)multiply_adds, (long long)expected);
          failures++;
        }
        if (tokens == 1 && kind == 0)
          printf("%d %%: %lld of %d columns\n", percents[p],
                 (long long)(multiply_adds / N), K);
      }
  printf("%d failures\n", failures);
  return failures != 0;
}
