/*===- Calibrate.c - How fast this CPU multiplies ------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Each loop is compiled for the CPU that has its instructions, whatever the
|* rest of the library is compiled for.
|*
\*===----------------------------------------------------------------------===*/

#define _POSIX_C_SOURCE 200809L

#include "moe-mlir/Runtime/moe_rates.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"

#include <string.h>
#include <time.h>

/* Independent accumulators: enough to cover the latency of two pipes with a
   latency of five cycles, few enough for sixteen registers. Each begins with
   another value: compilers make one of those that are equal. */
#define CHAINS 12
#define FOR_CHAINS _Pragma("GCC unroll 12") for (int c = 0; c < CHAINS; ++c)

/*===----------------------------------------------------------------------===*\
|* The loops
\*===----------------------------------------------------------------------===*/

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>

__attribute__((target("avx512f"))) static double fmaAvx512(int64_t rounds,
                                                           float *sink) {
  __m512 chains[CHAINS];
  FOR_CHAINS chains[c] = _mm512_set1_ps((float)c);
  __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  for (int64_t i = 0; i < rounds; ++i)
    FOR_CHAINS chains[c] = _mm512_fmadd_ps(a, chains[c], b);
  __m512 sum = _mm512_setzero_ps();
  FOR_CHAINS sum = _mm512_add_ps(sum, chains[c]);
  *sink = _mm512_cvtss_f32(sum);
  return 2.0 * 16 * CHAINS * (double)rounds;
}

__attribute__((target("avx512f,avx512bf16"))) static double
dotAvx512(int64_t rounds, float *sink) {
  __m512 chains[CHAINS];
  FOR_CHAINS chains[c] = _mm512_set1_ps((float)c);
  __m512i ones = _mm512_set1_epi16(0x3f80);
  for (int64_t i = 0; i < rounds; ++i)
    FOR_CHAINS chains[c] =
        _mm512_dpbf16_ps(chains[c], (__m512bh)ones, (__m512bh)ones);
  __m512 sum = _mm512_setzero_ps();
  FOR_CHAINS sum = _mm512_add_ps(sum, chains[c]);
  *sink = _mm512_cvtss_f32(sum);
  return 2.0 * 32 * CHAINS * (double)rounds;
}

__attribute__((target("avx2,fma"))) static double fmaAvx2(int64_t rounds,
                                                          float *sink) {
  __m256 chains[CHAINS];
  FOR_CHAINS chains[c] = _mm256_set1_ps((float)c);
  __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  for (int64_t i = 0; i < rounds; ++i)
    FOR_CHAINS chains[c] = _mm256_fmadd_ps(a, chains[c], b);
  __m256 sum = _mm256_setzero_ps();
  FOR_CHAINS sum = _mm256_add_ps(sum, chains[c]);
  *sink = _mm256_cvtss_f32(sum);
  return 2.0 * 8 * CHAINS * (double)rounds;
}

static moe_rate_loop *findFma(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") ? fmaAvx512
         : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
             ? fmaAvx2
             : NULL;
}

moe_rate_loop *moe_rt_bf16_loop(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bf16")
             ? dotAvx512
             : NULL;
}

#elif defined(__aarch64__)
#include <arm_neon.h>

static double fmaNeon(int64_t rounds, float *sink) {
  float32x4_t chains[CHAINS];
  FOR_CHAINS chains[c] = vdupq_n_f32((float)c);
  float32x4_t a = vdupq_n_f32(0.5f);
  for (int64_t i = 0; i < rounds; ++i)
    FOR_CHAINS chains[c] = vfmaq_f32(chains[c], a, a);
  float32x4_t sum = vdupq_n_f32(0);
  FOR_CHAINS sum = vaddq_f32(sum, chains[c]);
  *sink = vgetq_lane_f32(sum, 0);
  return 2.0 * 4 * CHAINS * (double)rounds;
}

static moe_rate_loop *findFma(void) { return fmaNeon; }

/* Compilers that know the instruction in a function of its own. */
#if (defined(__clang__) && __clang_major__ >= 16) ||                           \
    (!defined(__clang__) && defined(__GNUC__) && __GNUC__ >= 10)
__attribute__((target("arch=armv8.2-a+bf16"))) static double
mmlaNeon(int64_t rounds, float *sink) {
  float32x4_t chains[CHAINS];
  FOR_CHAINS chains[c] = vdupq_n_f32((float)c);
  /* Not to be folded: GCC 12 makes an fmov of f16 of it. */
  uint16_t one = 0x3f80;
  __asm__("" : "+r"(one));
  bfloat16x8_t ones = vreinterpretq_bf16_u16(vdupq_n_u16(one));
  for (int64_t i = 0; i < rounds; ++i)
    FOR_CHAINS chains[c] = vbfmmlaq_f32(chains[c], ones, ones);
  float32x4_t sum = vdupq_n_f32(0);
  FOR_CHAINS sum = vaddq_f32(sum, chains[c]);
  *sink = vgetq_lane_f32(sum, 0);
  return 2.0 * 16 * CHAINS * (double)rounds;
}

moe_rate_loop *moe_rt_bf16_loop(void) {
  return moe_rt_cpu_features() & MOE_CPU_ARM_BF16 ? mmlaNeon : NULL;
}
#else
moe_rate_loop *moe_rt_bf16_loop(void) { return NULL; }
#endif

#else

static moe_rate_loop *findFma(void) { return NULL; }
moe_rate_loop *moe_rt_bf16_loop(void) { return NULL; }

#endif

/* For CPUs with none of the above: honest about what plain code reaches. */
static double fmaPlain(int64_t rounds, float *sink) {
  float chains[CHAINS];
  for (int c = 0; c < CHAINS; ++c)
    chains[c] = (float)c;
  float a = 0.5f, b = 0.25f;
  for (int64_t i = 0; i < rounds; ++i)
    for (int c = 0; c < CHAINS; ++c)
      chains[c] = a * chains[c] + b;
  *sink = 0;
  for (int c = 0; c < CHAINS; ++c)
    *sink += chains[c];
  return 2.0 * CHAINS * (double)rounds;
}

moe_rate_loop *moe_rt_fma_loop(void) {
  moe_rate_loop *loop = findFma();
  return loop ? loop : fmaPlain;
}

/*===----------------------------------------------------------------------===*\
|* The calibration
\*===----------------------------------------------------------------------===*/

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* In millions of operations a second; at least 1. */
static int64_t readRate(moe_rate_loop *loop, int64_t rounds) {
  volatile float keep;
  float sink;
  double begin = now();
  double operations = loop(rounds, &sink);
  double seconds = now() - begin;
  keep = sink;
  (void)keep;
  double rate = operations / (seconds > 1e-9 ? seconds : 1e-9) * 1e-6;
  return rate > 1 ? (int64_t)rate : 1;
}

int moe_rt_calibrate(moe_calibration *calibration) {
  if (calibration->size < MOE_CALIBRATION_LEAST_SIZE)
    return MOE_ERR_BAD_SIZE;
  moe_rate_loop *fma = moe_rt_fma_loop(), *bf16 = moe_rt_bf16_loop();
  moe_calibration result = {.size = calibration->size,
                            .model = moe_rt_cpu_model()};
  double begin = now();
  /* Readings of half a millisecond; the clock of wide vectors comes up
     meanwhile. */
  int64_t rounds = 1 << 8;
  for (double start = begin, end; rounds < 1 << 30; rounds *= 2, start = end) {
    readRate(fma, rounds);
    end = now();
    if (end - start > 5e-4)
      break;
  }
  /* In turns, so that both have the same clock; the best of each, since others
     may run here, too. */
  for (int i = 0; i < 16 && (i == 0 || now() - begin < 25e-3); ++i) {
    int64_t rate = readRate(fma, rounds);
    result.fma = rate > result.fma ? rate : result.fma;
    rate = bf16 ? readRate(bf16, rounds) : 0;
    result.bf16 = rate > result.bf16 ? rate : result.bf16;
  }
  size_t known =
      calibration->size < sizeof(result) ? calibration->size : sizeof(result);
  memcpy(calibration, &result, known);
  return MOE_OK;
}
