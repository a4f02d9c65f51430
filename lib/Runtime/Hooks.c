/*===- Hooks.c - The default hooks of the runtime ------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Parallel loops on OpenMP where there is one, messages to stderr.
|*
\*===----------------------------------------------------------------------===*/

#define _POSIX_C_SOURCE 200809L

#include "moe-mlir/Runtime/moe_rt_layout.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef _OPENMP
/* A child has none of its parent's threads, and OpenMP waits for them for ever:
   a child of a process that has used the hook does its items by itself. */
static int poolIsUsed, isChild;

static void afterFork(void) { isChild |= poolIsUsed; }

static pthread_once_t forkOnce = PTHREAD_ONCE_INIT;
static void watchForks(void) { pthread_atfork(NULL, NULL, afterFork); }
#endif

static void defaultParallelFor(const moe_rt *rt, int64_t items,
                               moe_body_fn body, void *arg) {
#ifdef _OPENMP
  int64_t threads = rt->num_threads;
  if (threads > items)
    threads = items;
  if (threads > 1 && !isChild) {
    pthread_once(&forkOnce, watchForks);
    __atomic_store_n(&poolIsUsed, 1, __ATOMIC_RELAXED);
    /* Items differ in size by orders of magnitude: an expert may have one row
       or all of them. */
#pragma omp parallel for schedule(dynamic, 1) num_threads((int)threads)
    for (int64_t item = 0; item < items; ++item)
      body(arg, item);
    return;
  }
#else
  (void)rt;
#endif
  for (int64_t item = 0; item < items; ++item)
    body(arg, item);
}

static void defaultError(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  fprintf(stderr, "moe: %s: %s\n", moe_status_string(status),
          message ? message : "(no details)");
}

void moe_rt_init_sized(moe_rt *rt, size_t size, int32_t num_threads) {
  int32_t all = 1;
#ifdef _OPENMP
  all = omp_get_max_threads();
#endif
  const moe_rt hooks = {.abi = MOE_RT_ABI,
                        .num_threads = num_threads > 0 ? num_threads : all,
                        .size = size,
                        .parallel_for = defaultParallelFor,
                        .error = defaultError};
  size_t known = size < sizeof(hooks) ? size : sizeof(hooks);
  memcpy(rt, &hooks, known);
  memset((char *)rt + known, 0, size - known);
}

static moe_rt defaultRuntime;
static pthread_once_t defaultOnce = PTHREAD_ONCE_INIT;

static void initDefault(void) { moe_rt_init(&defaultRuntime, 0); }

const moe_rt *moe_rt_default(void) {
  pthread_once(&defaultOnce, initDefault);
  return &defaultRuntime;
}

const char *moe_status_string(int status) {
  switch (status) {
  case MOE_OK:
    return "ok";
  case MOE_ERR_NULL_ARGUMENT:
    return "null argument";
  case MOE_ERR_BAD_SIZE:
    return "bad size";
  case MOE_ERR_WORKSPACE:
    return "workspace too small";
  case MOE_ERR_ALIGNMENT:
    return "misaligned pointer";
  case MOE_ERR_UNSUPPORTED_CPU:
    return "unsupported CPU";
  case MOE_ERR_BAD_ROUTING:
    return "bad routing";
  case MOE_ERR_BAD_ABI:
    return "incompatible runtime";
  case MOE_ERR_BAD_VALUE:
    return "bad value";
  case MOE_ERR_DEVICE:
    return "device failure";
  case MOE_ERR_EXPERT:
    return "failed expert";
  }
  return "unknown status";
}
