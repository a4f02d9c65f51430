/*===- CPU.c - What the CPU can run --------------------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* x86-64: the compiler's own CPUID code also asks XGETBV whether the operating
|* system saves the wide registers. AArch64: Linux tells programs by the
|* auxiliary vector, since the CPU's registers are not theirs to read.
|*
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_rt.h"

#include <stdlib.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* Linux's numbers (uapi/asm/hwcap.h), which never change; older headers lack
   the later ones. */
enum {
  HWCAP_BIT_ASIMD = 1,
  HWCAP_BIT_FPHP = 9,
  HWCAP_BIT_ASIMDHP = 10,
  HWCAP_BIT_ASIMDDP = 20,
  HWCAP_BIT_SVE = 22,
  HWCAP2_BIT_SVE2 = 1,
  HWCAP2_BIT_I8MM = 13,
  HWCAP2_BIT_BF16 = 14
};

static uint64_t detect(void) {
  unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
#define HAS(word, bit) (((word) >> (bit)) & 1)
  uint64_t features = 0;
  if (HAS(first, HWCAP_BIT_ASIMD))
    features |= MOE_CPU_ARM_NEON;
  if (HAS(first, HWCAP_BIT_ASIMDDP))
    features |= MOE_CPU_ARM_DOTPROD;
  if (HAS(first, HWCAP_BIT_FPHP) && HAS(first, HWCAP_BIT_ASIMDHP))
    features |= MOE_CPU_ARM_FP16;
  if (HAS(second, HWCAP2_BIT_I8MM))
    features |= MOE_CPU_ARM_I8MM;
  if (HAS(second, HWCAP2_BIT_BF16))
    features |= MOE_CPU_ARM_BF16;
  if (HAS(first, HWCAP_BIT_SVE))
    features |= MOE_CPU_ARM_SVE;
  if (HAS(second, HWCAP2_BIT_SVE2))
    features |= MOE_CPU_ARM_SVE2;
#undef HAS
  return features;
}

#elif defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

static uint64_t detect(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("f16c") || !__builtin_cpu_supports("bmi2"))
    return 0;
  if (!__builtin_cpu_supports("avx512f") ||
      !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") ||
      !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return MOE_CPU_X86_V3;
  return MOE_CPU_X86_V3 | MOE_CPU_X86_V4 |
         (__builtin_cpu_supports("avx512bf16") &&
                  __builtin_cpu_supports("avx512vbmi2")
              ? MOE_CPU_X86_AVX512_BF16
              : 0);
}

#else

static uint64_t detect(void) { return 0; }

#endif

/* Without the bits of x86-64 above MOE_X86_LEVEL. */
static uint64_t lower(uint64_t features) {
  const char *limit = getenv("MOE_X86_LEVEL");
  if (!limit || limit[0] < '0' || limit[0] > '9' || limit[1] != '\0')
    return features;
  int level = limit[0] - '0';
  if (level < 5)
    features &= ~(uint64_t)MOE_CPU_X86_AVX512_BF16;
  if (level < 4)
    features &= ~(uint64_t)MOE_CPU_X86_V4;
  if (level < 3)
    features &= ~(uint64_t)MOE_CPU_X86_V3;
  return features;
}

uint64_t moe_rt_cpu_features(void) {
  /* Threads that get here at once compute the same: relaxed is enough. The top
     bit, no feature's, says that the rest is known. */
  static uint64_t cached;
  const uint64_t known = (uint64_t)1 << 63;
  uint64_t features = __atomic_load_n(&cached, __ATOMIC_RELAXED);
  if (!(features & known)) {
    features = lower(detect()) | known;
    __atomic_store_n(&cached, features, __ATOMIC_RELAXED);
  }
  return features & ~known;
}

int moe_rt_x86_level(void) {
  uint64_t features = moe_rt_cpu_features();
  return features & MOE_CPU_X86_AVX512_BF16 ? 5
         : features & MOE_CPU_X86_V4        ? 4
         : features & MOE_CPU_X86_V3        ? 3
                                            : 0;
}
