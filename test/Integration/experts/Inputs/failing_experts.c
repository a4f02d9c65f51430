/* Experts that fail: of a layer with one, which ends the call, and of another, which
   counts as none. */
#include "moe-mlir/Runtime/moe_rt.h"

#include <math.h>

static float largest(int64_t rows, const float *x) {
  float most = 0;
  for (int64_t i = 0; i < rows * 64; ++i)
    most = fmaxf(most, fabsf(x[i]));
  return most;
}

/* Rows of ones are refused. */
int recall(const moe_rt *rt, int64_t expert, int64_t rows, const float *x,
           const float *keys, const float *answers, float *y) {
  (void)rt, (void)expert;
  for (int64_t r = 0; r < rows; ++r, x += 64, y += 64) {
    float weights[16], most = -INFINITY, total = 0;
    if (x[0] == 1 && x[1] == 1)
      return -5;
    for (int i = 0; i < 16; ++i) {
      weights[i] = 0;
      for (int j = 0; j < 64; ++j)
        weights[i] += x[j] * keys[i * 64 + j];
      most = fmaxf(most, weights[i]);
    }
    for (int i = 0; i < 16; ++i)
      total += weights[i] = expf(weights[i] - most);
    for (int j = 0; j < 64; ++j) {
      y[j] = 0;
      for (int i = 0; i < 16; ++i)
        y[j] += weights[i] / total * answers[i * 64 + j];
    }
  }
  return 0;
}

int interactions(const moe_rt *rt, int64_t expert, int64_t rows, const float *x,
                 float *y) {
  (void)rt;
  /* Something is written in any case, and the number of the expert is that of the
     layer. */
  for (int64_t i = 0; i < rows * 64; ++i)
    y[i] = x[i] * x[i / 64 * 64 + (i + 1) % 64];
  return expert != 6 || largest(rows, x) > 1e20f;
}

int retrieve(const moe_rt *rt, int64_t expert, int64_t rows, const float *x,
             const float *documents, float *y) {
  (void)rt, (void)expert, (void)rows, (void)x, (void)documents, (void)y;
  return 1;
}
