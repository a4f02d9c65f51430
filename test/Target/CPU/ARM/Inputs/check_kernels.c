/*===- check_kernels.c - Micro-kernels against plain loops ------------------===
 * Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
 * See LICENSE for license information.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *===------------------------------------------------------------------------===
 *
 * Compile with -DKERNEL=<dispatcher> -DROWS=<its most rows> -DPITCH=<bytes
 * between rows> and one of -DFMA, -DWIDEN, -DMMLA=<k_block>.
 *
 * Every number of rows and several lengths of k. fma and widen: the same bits
 * as one chain of fmaf over ascending k. mmla rounds in its own way: close to
 * the sum in double precision. Nothing but the rows asked for may change.
 *
 *===------------------------------------------------------------------------===*/

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOIN(a, b) a##b
#define NEXT_OF(kernel) JOIN(kernel, _next)
void KERNEL(int64_t rows, int64_t blocks, const void *panel, const void *lhs,
            float *acc);
void NEXT_OF(KERNEL)(int64_t rows, int64_t blocks, const void *panel,
                     const void *lhs, float *acc, const void *next,
                     int64_t stride);

enum { Columns = 32, MaxBlocks = 7 };
#ifdef FMA
enum { BlockK = 8, KBlock = 1 };
typedef float Weight, Left;
#elif defined WIDEN
enum { BlockK = 16, KBlock = 2 };
typedef uint16_t Weight;
typedef float Left;
#else
enum { BlockK = 16, KBlock = MMLA };
typedef uint16_t Weight, Left;
#endif

static float fromBF16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}
static float toFloat(const void *array, int64_t i, size_t size) {
  return size == 4 ? ((const float *)array)[i]
                   : fromBF16(((const uint16_t *)array)[i]);
}
static void randomize(void *array, int64_t count, size_t size) {
  for (int64_t i = 0; i < count; ++i) {
    float value = (float)rand() / RAND_MAX - 0.5f;
    if (size == 4) {
      ((float *)array)[i] = value;
    } else {
      uint32_t bits;
      memcpy(&bits, &value, 4);
      ((uint16_t *)array)[i] = bits >> 16;
    }
  }
}

int main(void) {
  static Weight panel[MaxBlocks * BlockK * Columns];
  static Left lhs[ROWS * PITCH / sizeof(Left)];
  static float acc[(ROWS + 1) * Columns], before[(ROWS + 1) * Columns];
  int failures = 0;
  for (int64_t rows = 1; rows <= ROWS; ++rows)
    for (int64_t blocks = 1; blocks <= MaxBlocks; blocks += 3)
      for (int64_t stride = -64; stride <= 64; stride += 64) {
        randomize(panel, sizeof(panel) / sizeof(Weight), sizeof(Weight));
        randomize(lhs, sizeof(lhs) / sizeof(Left), sizeof(Left));
        randomize(acc, sizeof(acc) / 4, 4);
        memcpy(before, acc, sizeof(acc));
        if (stride < 0)
          KERNEL(rows, blocks, panel, lhs, acc);
        else
          NEXT_OF(KERNEL)(rows, blocks, panel, lhs, acc, panel, stride);
        for (int64_t r = 0; r <= ROWS; ++r)
          for (int64_t c = 0; c < Columns; ++c) {
            float want = before[r * Columns + c], got = acc[r * Columns + c];
            double exact = want, size = fabs(exact);
            for (int64_t k = 0; r < rows && k < blocks * BlockK; ++k) {
              float a = toFloat(lhs, r * PITCH / sizeof(Left) + k, sizeof(Left));
              float w = toFloat(
                  panel, (k / KBlock * Columns + c) * KBlock + k % KBlock,
                  sizeof(Weight));
              want = fmaf(a, w, want);
              exact += (double)a * w;
              size += fabs((double)a * w);
            }
#ifdef MMLA
            int good = r < rows ? fabs(got - exact) <= 1e-6 * size : got == want;
#else
            int good = memcmp(&got, &want, 4) == 0;
#endif
            if (!good && ++failures <= 5)
              printf("rows %d, blocks %d: [%d][%d] is %a, expected %a\n",
                     (int)rows, (int)blocks, (int)r, (int)c, got, want);
          }
      }
  printf("%d row counts, %d failures\n", ROWS, failures);
  return failures != 0;
}
