//===- count-rows.c - Rows that kernels multiply ----------------*- C -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Calls the layers of rows.mlir, whose kernels count multiply-adds, for several
// numbers of tokens, and compares the count with that of the assignments that
// plain loops find, at most MOST of each token. What weights hold is of no
// matter.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Runtime/moe_rt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 300, EXPERTS = 8, HIDDEN = 64, INNER = 128 };

#ifndef CAPACITY
#define CAPACITY 5
#endif
#ifndef MOST
#define MOST EXPERTS
#endif

#define LAYER(name, ...)                                                       \
  int name##__v3(const moe_rt *, int64_t, __VA_ARGS__, const float *,          \
                 const void *, const void *, float *, void *, size_t);         \
  int64_t name##_workspace_bytes__v3(int64_t)
LAYER(any, const float *);
LAYER(limited, const float *);
LAYER(given, const int32_t *, const float *);

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

static float scores[TOKENS][EXPERTS], weights[TOKENS][3];
static int32_t indices[TOKENS][3];
static float x[TOKENS][HIDDEN], y[TOKENS][HIDDEN];
static char up[EXPERTS * HIDDEN * INNER * 4] __attribute__((aligned(64)));
static char down[EXPERTS * HIDDEN * INNER * 4] __attribute__((aligned(64)));

static float draw(void) { return (float)(rand() % 1024) / 1024; }

/* Assignments of each token in each of the layers. */
static int rowsOf[3][TOKENS];

/* Those of the best two experts that find room. */
static void countLimited(int64_t tokens) {
  int room[EXPERTS];
  for (int e = 0; e < EXPERTS; ++e)
    room[e] = CAPACITY;
  for (int slot = 0; slot < 2; ++slot)
    for (int64_t t = 0; t < tokens; ++t) {
      int best = 0, second = -1;
      for (int e = 1; e < EXPERTS; ++e)
        if (scores[t][e] > scores[t][best])
          best = e;
      for (int e = 0; e < EXPERTS; ++e)
        if (e != best && (second < 0 || scores[t][e] > scores[t][second]))
          second = e;
      rowsOf[1][t] += room[slot == 0 ? best : second]-- > 0;
    }
}

static int64_t sumOf(int layer, int64_t tokens) {
  int64_t sum = 0;
  for (int64_t t = 0; t < tokens; ++t)
    sum += rowsOf[layer][t] < MOST ? rowsOf[layer][t] : MOST;
  return sum;
}

int main(void) {
  int failures = 0;
  srand(1);
  for (int64_t tokens = 1; tokens <= TOKENS; tokens += tokens < 30 ? 1 : 90) {
    memset(rowsOf, 0, sizeof(rowsOf));
    for (int64_t t = 0; t < tokens; ++t) {
      for (int e = 0; e < EXPERTS; ++e) {
        scores[t][e] = t % 5 == 4 ? 0.0f : draw();
        rowsOf[0][t] += scores[t][e] > 0.5f;
      }
      for (int s = 0; s < 3; ++s) {
        indices[t][s] =
            (t * 3 + s + rand() % 2) % 2 ? (s * 3 + t) % EXPERTS : -1;
        rowsOf[2][t] += indices[t][s] >= 0;
      }
    }
    const char *names[] = {"any", "limited", "given"};
    countLimited(tokens);
    int64_t expected[] = {sumOf(0, tokens), sumOf(1, tokens), sumOf(2, tokens)};
    int64_t bytes[] = {any_workspace_bytes__v3(tokens),
                       limited_workspace_bytes__v3(tokens),
                       given_workspace_bytes__v3(tokens)};
    for (int i = 0; i < 3; ++i) {
      void *workspace = aligned_alloc(64, (bytes[i] + 63) / 64 * 64);
      multiply_adds = 0;
      int status =
          i == 0 ? any__v3(&runtime, tokens, &scores[0][0], &x[0][0], up, down,
                           &y[0][0], workspace, bytes[i])
          : i == 1
              ? limited__v3(&runtime, tokens, &scores[0][0], &x[0][0], up, down,
                            &y[0][0], workspace, bytes[i])
              : given__v3(&runtime, tokens, &indices[0][0], &weights[0][0],
                          &x[0][0], up, down, &y[0][0], workspace, bytes[i]);
      free(workspace);
      int64_t rows = multiply_adds / (2 * HIDDEN * INNER);
      if (status || rows != expected[i] ||
          multiply_adds % (2 * HIDDEN * INNER) != 0) {
        printf("%s, %d tokens: status %d, %lld multiply-adds, expected those "
               "of %lld rows\n",
               names[i], (int)tokens, status, (long long)multiply_adds,
               (long long)expected[i]);
        failures++;
      }
      if (tokens == 210)
        printf("%s: %lld rows of %lld slots\n", names[i], (long long)rows,
               (long long)(tokens * (i == 0 ? EXPERTS : i + 1)));
    }
  }
  printf("%d failures\n", failures);
  return failures != 0;
}
