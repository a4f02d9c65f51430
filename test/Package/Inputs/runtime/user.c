/*===- user.c - A C program with the runtime alone ----------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_rt.h"

#include <stdio.h>

static void store(void *results, int64_t item) {
  ((int64_t *)results)[item] = item;
}

int main(void) {
  int64_t results[10], sum = 0;
  const moe_rt *rt = moe_rt_default();
  rt->parallel_for(rt, 10, store, results);
  for (int i = 0; i < 10; ++i)
    sum += results[i];
  printf("%d\n%s\n", (int)sum, moe_status_string(MOE_ERR_WORKSPACE));
  return 0;
}
