/*===- CPU.c - What the CPU can run --------------------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* The compiler's own CPUID code also asks XGETBV whether the operating system
|* saves the wide registers.
|*
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_rt.h"

#include <stdlib.h>

static int detectLevel(void) {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("f16c") || !__builtin_cpu_supports("bmi2"))
    return 0;
  if (!__builtin_cpu_supports("avx512f") ||
      !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") ||
      !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl"))
    return 3;
  return __builtin_cpu_supports("avx512bf16") ? 5 : 4;
#else
  return 0;
#endif
}

int moe_rt_x86_level(void) {
  /* Threads that get here at once compute the same: relaxed is enough. */
  static int cached = -1;
  int level = __atomic_load_n(&cached, __ATOMIC_RELAXED);
  if (level >= 0)
    return level;
  level = detectLevel();
  const char *limit = getenv("MOE_X86_LEVEL");
  if (limit && limit[0] >= '0' && limit[0] <= '9' && limit[1] == '\0' &&
      limit[0] - '0' < level)
    level = limit[0] - '0';
  __atomic_store_n(&cached, level, __ATOMIC_RELAXED);
  return level;
}
