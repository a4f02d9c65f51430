/*===- experts.c - Experts that are C functions -------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* The functions that examples/modular_experts.mlir and examples/expert_rag.mlir
|* declare. `moe-compile --emit=header` writes their prototypes, with which a
|* program that includes them cannot go wrong.
|*
|* Each gets rows of one expert and writes as many. Calls come from any threads,
|* several at once, so nothing here is global. `rt` is the runtime of the call,
|* whose `user` is the caller's; null where the interpreter calls.
|*
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_rt.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 64, MEMORIES = 16, DOCUMENTS = 200, BEST = 4 };

static float dot(const float *a, const float *b) {
  float sum = 0;
  for (int i = 0; i < WIDTH; ++i)
    sum += a[i] * b[i];
  return sum;
}

/** The mean of `count` vectors, weighted by the softmax of their scores. */
static void mix(const float *const *vectors, const float *scores, int count,
                float *y) {
  float most = scores[0], total = 0;
  for (int i = 1; i < count; ++i)
    most = fmaxf(most, scores[i]);
  memset(y, 0, WIDTH * sizeof(float));
  for (int i = 0; i < count; ++i) {
    float weight = expf(scores[i] - most);
    total += weight;
    for (int j = 0; j < WIDTH; ++j)
      y[j] += weight * vectors[i][j];
  }
  for (int j = 0; j < WIDTH; ++j)
    y[j] /= total;
}

/** Answers, mixed by how well their keys fit a row. */
int recall(const moe_rt *rt, int64_t expert, int64_t rows, const float *x,
           const float *keys, const float *answers, float *y) {
  (void)rt, (void)expert;
  for (int64_t r = 0; r < rows; ++r) {
    const float *vectors[MEMORIES];
    float scores[MEMORIES];
    for (int i = 0; i < MEMORIES; ++i) {
      vectors[i] = answers + i * WIDTH;
      scores[i] = dot(x + r * WIDTH, keys + i * WIDTH);
    }
    mix(vectors, scores, MEMORIES, y + r * WIDTH);
  }
  return 0;
}

/** Products of neighbours; of finite numbers alone. */
int interactions(const moe_rt *rt, int64_t expert, int64_t rows, const float *x,
                 float *y) {
  (void)rt, (void)expert;
  for (int64_t r = 0; r < rows; ++r, x += WIDTH, y += WIDTH)
    for (int i = 0; i < WIDTH; ++i) {
      if (!isfinite(x[i]))
        return 1;
      y[i] = x[i] * x[(i + 1) % WIDTH];
    }
  return 0;
}

/** The documents that fit a row best, mixed by how well; the first of equals. */
int retrieve(const moe_rt *rt, int64_t expert, int64_t rows, const float *x,
             const float *documents, float *y) {
  (void)rt, (void)expert;
  for (int64_t r = 0; r < rows; ++r) {
    const float *best[BEST];
    float scores[BEST];
    int found = 0;
    for (int d = 0; d < DOCUMENTS; ++d) {
      const float *document = documents + d * WIDTH;
      float score = dot(x + r * WIDTH, document);
      int at = found < BEST ? found++ : BEST;
      for (; at > 0 && scores[at - 1] < score; --at)
        if (at < BEST) {
          best[at] = best[at - 1];
          scores[at] = scores[at - 1];
        }
      if (at < BEST) {
        best[at] = document;
        scores[at] = score;
      }
    }
    mix(best, scores, BEST, y + r * WIDTH);
  }
  return 0;
}
