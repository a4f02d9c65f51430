/*===- CPU.c - Which CPU this is, and what it can run --------------*- C -*-===*\
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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t makeModel(uint64_t vendor, uint64_t family, uint64_t model) {
  return vendor << 32 | family << 16 | model;
}

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* Linux's numbers (uapi/asm/hwcap.h), which never change; older headers lack
   the later ones. */
enum {
  HWCAP_BIT_ASIMD = 1,
  HWCAP_BIT_FPHP = 9,
  HWCAP_BIT_ASIMDHP = 10,
  HWCAP_BIT_CPUID = 11,
  HWCAP_BIT_ASIMDDP = 20,
  HWCAP_BIT_SVE = 22,
  HWCAP2_BIT_SVE2 = 1,
  HWCAP2_BIT_I8MM = 13,
  HWCAP2_BIT_BF16 = 14
};

#define HAS(word, bit) (((word) >> (bit)) & 1)

static uint64_t detect(void) {
  unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
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
  return features;
}

/* The file is of the first CPU; the register, which the kernel reads for the
   program, of the one that it happens to be on. */
static uint64_t detectModel(void) {
  unsigned long long midr = 0;
  FILE *file =
      fopen("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "r");
  int isRead = 0;
  if (file) {
    isRead = fscanf(file, "%llx", &midr) == 1;
    fclose(file);
  }
  if (!isRead && HAS(getauxval(AT_HWCAP), HWCAP_BIT_CPUID))
    __asm__("mrs %0, midr_el1" : "=r"(midr));
  return midr ? makeModel(3, midr >> 24 & 0xff, midr >> 4 & 0xfff) : 0;
}

#undef HAS

#elif defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>

static uint64_t detect(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("f16c") || !__builtin_cpu_supports("bmi2"))
    return 0;
  /* Of compilers not all know its name. */
  unsigned eax = 0, ebx, ecx, edx;
  uint64_t features = MOE_CPU_X86_V3;
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1))
    features |= MOE_CPU_X86_AVX_VNNI;
  if (!__builtin_cpu_supports("avx512f") ||
      !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") ||
      !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return features;
  features |= MOE_CPU_X86_V4;
  if (__builtin_cpu_supports("avx512bf16") &&
      __builtin_cpu_supports("avx512vbmi2"))
    features |= MOE_CPU_X86_AVX512_BF16;
  if (__builtin_cpu_supports("avx512vnni"))
    features |= MOE_CPU_X86_AVX512_VNNI;
  return features;
}

/* Cores of two kinds in one chip are of one model. */
static uint64_t detectModel(void) {
  unsigned eax, name[3];
  if (!__get_cpuid(0, &eax, &name[0], &name[2], &name[1]))
    return 0;
  uint64_t vendor = memcmp(name, "GenuineIntel", 12) == 0   ? 1
                    : memcmp(name, "AuthenticAMD", 12) == 0 ? 2
                                                            : 0;
  unsigned ebx, ecx, edx;
  if (!vendor || !__get_cpuid(1, &eax, &ebx, &ecx, &edx))
    return 0;
  uint64_t family = eax >> 8 & 0xf, model = eax >> 4 & 0xf;
  if (family == 6 || family == 15)
    model |= (eax >> 16 & 0xf) << 4;
  if (family == 15)
    family += eax >> 20 & 0xff;
  return makeModel(vendor, family, model);
}

#else

static uint64_t detect(void) { return 0; }
static uint64_t detectModel(void) { return makeModel(0, 0, 0); }

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
    features &= ~(uint64_t)(MOE_CPU_X86_V4 | MOE_CPU_X86_AVX512_VNNI);
  if (level < 3)
    features &= ~(uint64_t)(MOE_CPU_X86_V3 | MOE_CPU_X86_AVX_VNNI);
  return features;
}

static uint64_t detectFeatures(void) { return lower(detect()); }

/* Threads that get here at once compute the same: relaxed is enough. The top
   bit, no feature's and no model's, says that the rest is known. */
static uint64_t getCached(uint64_t *cached, uint64_t (*compute)(void)) {
  const uint64_t known = (uint64_t)1 << 63;
  uint64_t value = __atomic_load_n(cached, __ATOMIC_RELAXED);
  if (!(value & known)) {
    value = compute() | known;
    __atomic_store_n(cached, value, __ATOMIC_RELAXED);
  }
  return value & ~known;
}

uint64_t moe_rt_cpu_features(void) {
  static uint64_t cached;
  return getCached(&cached, detectFeatures);
}

uint64_t moe_rt_cpu_model(void) {
  static uint64_t cached;
  return getCached(&cached, detectModel);
}

int moe_rt_x86_level(void) {
  uint64_t features = moe_rt_cpu_features();
  return features & MOE_CPU_X86_AVX512_BF16 ? 5
         : features & MOE_CPU_X86_V4        ? 4
         : features & MOE_CPU_X86_V3        ? 3
                                            : 0;
}
