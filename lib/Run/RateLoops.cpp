//===- RateLoops.cpp - Loops of one instruction -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Each is built for the instruction set that it needs and chosen at run time.
//
//===----------------------------------------------------------------------===//

#include "RateLoops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include "moe-mlir/Runtime/moe_rt.h"
#include <arm_neon.h>
#endif

using namespace moe;
using namespace moe::run;

namespace {

/// Enough to cover the latency of two pipes with a latency of six cycles, or of
/// four with one of four, few enough for the registers.
#if defined(__aarch64__)
constexpr int kChains = 16;
#else
constexpr int kChains = 12;
#endif

/// `step` gives the chain `x` its next value, of `operations`; `constant` is
/// made before. `hold` is the letter of vector registers in asm.
#define MOE_RATE_LOOP(name, isa, hold, chainCount, Vector, zero, constant,     \
                      step, operations)                                        \
  __attribute__((target(isa))) double name(int64_t rounds) {                   \
    Vector chains[chainCount];                                                 \
    for (Vector & chain : chains)                                              \
      chain = zero;                                                            \
    constant;                                                                  \
    for (int64_t i = 0; i < rounds; ++i) {                                     \
      _Pragma("GCC unroll 16") for (int c = 0; c < chainCount; ++c) {          \
        Vector &x = chains[c];                                                 \
        x = step;                                                              \
      }                                                                        \
    }                                                                          \
    _Pragma("GCC unroll 16") for (int c = 0; c < chainCount;                   \
                                  ++c) asm volatile("" ::hold(chains[c]));     \
    return double(operations) * chainCount * rounds;                           \
  }
#define MOE_RATE_LOOPS(name, isa, hold, Vector, zero, constant, step,          \
                       operations)                                             \
  MOE_RATE_LOOP(name, isa, hold, kChains, Vector, zero, constant, step,        \
                operations)                                                    \
  MOE_RATE_LOOP(name##Chain, isa, hold, 1, Vector, zero, constant, step,       \
                operations)

/// Sixteen additions are written out, since some cores take two cycles for
/// every branch that is taken.
#define MOE_ADD_ONCE(x)                                                        \
  x += 3;                                                                      \
  asm volatile("" : "+r"(x))
#define MOE_ADD_FOUR(x)                                                        \
  MOE_ADD_ONCE(x);                                                             \
  MOE_ADD_ONCE(x);                                                             \
  MOE_ADD_ONCE(x);                                                             \
  MOE_ADD_ONCE(x)

/// Beside sixteen additions eight multiply-adds, which no CPU needs longer for.
#define MOE_CLOCK_LOOP(name, isa, hold, Vector, zero, constant, step)          \
  __attribute__((target(isa))) double name(int64_t rounds) {                   \
    Vector chains[8];                                                          \
    for (Vector & chain : chains)                                              \
      chain = zero;                                                            \
    constant;                                                                  \
    uint64_t sum = 1;                                                          \
    for (int64_t i = 0; i < rounds; ++i) {                                     \
      MOE_ADD_FOUR(sum);                                                       \
      MOE_ADD_FOUR(sum);                                                       \
      MOE_ADD_FOUR(sum);                                                       \
      MOE_ADD_FOUR(sum);                                                       \
      _Pragma("GCC unroll 8") for (int c = 0; c < 8; ++c) {                    \
        Vector &x = chains[c];                                                 \
        x = step;                                                              \
      }                                                                        \
    }                                                                          \
    _Pragma("GCC unroll 8") for (int c = 0; c < 8;                             \
                                 ++c) asm volatile("" ::hold(chains[c]));      \
    return 16.0 * rounds;                                                      \
  }

/// A pair of bf16 is a lane: the even one is its low half, moved up, the odd
/// one its high half.
#define MOE_WIDEN_LOOP(name, isa, hold, bytes)                                 \
  __attribute__((target(isa))) double name(int64_t rounds) {                   \
    typedef uint32_t Vector __attribute__((vector_size(bytes)));               \
    Vector x = {};                                                             \
    for (int64_t i = 0; i < rounds; ++i) {                                     \
      _Pragma("GCC unroll 8") for (int c = 0; c < 8; ++c) {                    \
        asm volatile("" : "+" hold(x));                                        \
        asm volatile("" ::hold(x << 16), hold(x & 0xffff0000u));               \
      }                                                                        \
    }                                                                          \
    return 8.0 * bytes / 2 * rounds;                                           \
  }

#if defined(__x86_64__)

MOE_RATE_LOOP(fmaChain512, "avx512f", "v", 1, __m512, _mm512_setzero_ps(),
              __m512 a = _mm512_set1_ps(0.5f), _mm512_fmadd_ps(a, a, x), 32)
MOE_RATE_LOOP(fmaChain256, "avx2,fma", "x", 1, __m256, _mm256_setzero_ps(),
              __m256 a = _mm256_set1_ps(0.5f), _mm256_fmadd_ps(a, a, x), 16)
MOE_RATE_LOOPS(dotBF16, "avx512f,avx512bf16", "v", __m512, _mm512_setzero_ps(),
               __m512i a = _mm512_set1_epi16(0x3f80),
               _mm512_dpbf16_ps(x, (__m512bh)a, (__m512bh)a), 64)
MOE_RATE_LOOP(dotInt8, "avx512f,avx512vnni", "v", kChains, __m512i,
              _mm512_setzero_si512(), __m512i a = _mm512_set1_epi8(1),
              _mm512_dpbusd_epi32(x, a, a), 128)
MOE_RATE_LOOP(dotInt8Avx2, "avx2,avxvnni", "x", kChains, __m256i,
              _mm256_setzero_si256(), __m256i a = _mm256_set1_epi8(1),
              _mm256_dpbusd_avx_epi32(x, a, a), 64)
MOE_CLOCK_LOOP(clock512, "avx512f", "v", __m512, _mm512_setzero_ps(),
               __m512 a = _mm512_set1_ps(0.5f), _mm512_fmadd_ps(a, a, x))
MOE_CLOCK_LOOP(clock256, "avx2,fma", "x", __m256, _mm256_setzero_ps(),
               __m256 a = _mm256_set1_ps(0.5f), _mm256_fmadd_ps(a, a, x))
MOE_WIDEN_LOOP(widen512, "avx512f", "v", 64)
MOE_WIDEN_LOOP(widen256, "avx2", "x", 32)

#elif defined(__aarch64__) && defined(__linux__)

MOE_RATE_LOOP(fmaChainNeon, "arch=armv8-a", "w", 1, float32x4_t, vdupq_n_f32(0),
              float32x4_t a = vdupq_n_f32(0.5f), vfmaq_f32(x, a, a), 8)
MOE_RATE_LOOP(dotInt8, "arch=armv8.2-a+dotprod", "w", kChains, int32x4_t,
              vdupq_n_s32(0), int8x16_t a = vdupq_n_s8(1), vdotq_s32(x, a, a),
              32)
MOE_RATE_LOOP(mmlaInt8, "arch=armv8.2-a+i8mm", "w", kChains, int32x4_t,
              vdupq_n_s32(0), int8x16_t a = vdupq_n_s8(1), vmmlaq_s32(x, a, a),
              64)
/// GCC 12 moves a constant that it sees by an instruction that is not there.
inline uint16_t getOneInBF16() {
  uint16_t one = 0x3f80;
  asm volatile("" : "+r"(one));
  return one;
}
MOE_RATE_LOOPS(
    mmlaBF16, "arch=armv8.2-a+bf16", "w", float32x4_t, vdupq_n_f32(0),
    bfloat16x8_t a = vreinterpretq_bf16_u16(vdupq_n_u16(getOneInBF16())),
    vbfmmlaq_f32(x, a, a), 32)
MOE_CLOCK_LOOP(clockNeon, "arch=armv8-a", "w", float32x4_t, vdupq_n_f32(0),
               float32x4_t a = vdupq_n_f32(0.5f), vfmaq_f32(x, a, a))
MOE_WIDEN_LOOP(widenNeon, "arch=armv8-a", "w", 16)

#endif

double addPlainly(int64_t rounds) {
  uint64_t sum = 1;
  for (int64_t i = 0; i < rounds; ++i) {
    MOE_ADD_FOUR(sum);
    MOE_ADD_FOUR(sum);
    MOE_ADD_FOUR(sum);
    MOE_ADD_FOUR(sum);
  }
  return 16.0 * rounds;
}

} // namespace

#if defined(__x86_64__)

static bool hasAvx512() { return __builtin_cpu_supports("avx512f"); }
static bool hasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

std::vector<Instruction> run::getInstructions() {
  std::vector<Instruction> found;
  if (hasAvx512())
    found.push_back({nullptr, "fma_latency", nullptr, fmaChain512});
  else if (hasAvx2())
    found.push_back({nullptr, "fma_latency", nullptr, fmaChain256});
  if (hasAvx512() && __builtin_cpu_supports("avx512bf16"))
    found.push_back({"dot_bf16", "dot_latency", dotBF16, dotBF16Chain});
  if (hasAvx512() && __builtin_cpu_supports("avx512vnni"))
    found.push_back({"dot_int8", nullptr, dotInt8, nullptr});
  else if (hasAvx2() && __builtin_cpu_supports("avxvnni"))
    found.push_back({"dot_int8", nullptr, dotInt8Avx2, nullptr});
  return found;
}

RateLoop run::getWidenLoop() {
  return hasAvx512() ? widen512 : hasAvx2() ? widen256 : nullptr;
}

RateLoop run::getClockLoop(bool isMultiplying) {
  return !isMultiplying ? addPlainly
         : hasAvx512()  ? clock512
         : hasAvx2()    ? clock256
                        : addPlainly;
}

int64_t run::getLanes() { return hasAvx512() ? 16 : hasAvx2() ? 8 : 4; }

#elif defined(__aarch64__) && defined(__linux__)

std::vector<Instruction> run::getInstructions() {
  uint64_t features = moe_rt_cpu_features();
  std::vector<Instruction> found;
  found.push_back({nullptr, "fma_latency", nullptr, fmaChainNeon});
  if (features & MOE_CPU_ARM_DOTPROD)
    found.push_back({"dot_int8", nullptr, dotInt8, nullptr});
  if (features & MOE_CPU_ARM_I8MM)
    found.push_back({"mmla_int8", nullptr, mmlaInt8, nullptr});
  if (features & MOE_CPU_ARM_BF16)
    found.push_back({"mmla_bf16", "dot_latency", mmlaBF16, mmlaBF16Chain});
  return found;
}

RateLoop run::getWidenLoop() { return widenNeon; }

RateLoop run::getClockLoop(bool isMultiplying) {
  return isMultiplying ? clockNeon : addPlainly;
}

int64_t run::getLanes() { return 4; }

#else

std::vector<Instruction> run::getInstructions() { return {}; }
RateLoop run::getWidenLoop() { return nullptr; }
RateLoop run::getClockLoop(bool) { return addPlainly; }
int64_t run::getLanes() { return 4; }

#endif
