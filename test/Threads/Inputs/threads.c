/*===- threads.c - Hooks and layers among many threads -------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* A thread pool as parallel_for, which several threads call at once, each with
|* a layer, a workspace and results of its own, and all with the same weights;
|* first use of the runtime from all of them together. ThreadSanitizer watches.
|* With PLANT_RACE the pool does not wait for its workers.
|*
|* LAYER is the name of the compiled function of layer.mlir: its entry, or that
|* of one target.
|*
\*===----------------------------------------------------------------------===*/

#define _POSIX_C_SOURCE 200809L

#include "moe-mlir/Runtime/moe_rt.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#ifndef SUFFIX
#define SUFFIX
#endif
#define LAYER JOIN(layer, SUFFIX)
#define LAYER_WORKSPACE JOIN(layer_workspace_bytes, SUFFIX)

int LAYER(const moe_rt *rt, int64_t T, const float *x, const void *router,
          const void *gate_up, const void *down, float *y, void *workspace,
          size_t workspace_bytes);
size_t LAYER_WORKSPACE(int64_t T);

enum { kCallers = 4, kWorkers = 3, kCalls = 6, kHidden = 24, kExperts = 5 };
/* More than the packed weights of the layer need. */
enum { kPackedFloats = 65536 };

/*===- The pool: one loop at a time, and its callers help --------------------===*/

typedef struct {
  pthread_mutex_t lock, turn;
  pthread_cond_t work, done;
  moe_body_fn body;
  void *arg;
  int64_t next, items, running;
  int stop;
  pthread_t threads[kWorkers];
} pool;

/* With the lock held. */
static int doOne(pool *p) {
  if (p->next == p->items)
    return 0;
  int64_t item = p->next++;
  moe_body_fn body = p->body;
  void *arg = p->arg;
  ++p->running;
  pthread_mutex_unlock(&p->lock);
  body(arg, item);
#ifdef PLANT_RACE
  nanosleep(&(struct timespec){0, 1000000}, NULL);
#endif
  pthread_mutex_lock(&p->lock);
  if (--p->running == 0 && p->next == p->items)
    pthread_cond_broadcast(&p->done);
  return 1;
}

static void *work(void *arg) {
  pool *p = arg;
  pthread_mutex_lock(&p->lock);
  while (!p->stop)
    if (!doOne(p))
      pthread_cond_wait(&p->work, &p->lock);
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

static void parallelFor(const moe_rt *rt, int64_t items, moe_body_fn body,
                        void *arg) {
  pool *p = rt->user;
  pthread_mutex_lock(&p->turn);
  pthread_mutex_lock(&p->lock);
  p->body = body;
  p->arg = arg;
  p->next = 0;
  p->items = items;
  pthread_cond_broadcast(&p->work);
  while (doOne(p)) {
  }
#ifndef PLANT_RACE
  while (p->running)
    pthread_cond_wait(&p->done, &p->lock);
#endif
  pthread_mutex_unlock(&p->lock);
  pthread_mutex_unlock(&p->turn);
}

/*===- Callers ----------------------------------------------------------------===*/

static float x[64 * kHidden];
/* Packed: any numbers do. */
static float *router, *gateUp, *down;
static pool thePool = {.lock = PTHREAD_MUTEX_INITIALIZER,
                       .turn = PTHREAD_MUTEX_INITIALIZER,
                       .work = PTHREAD_COND_INITIALIZER,
                       .done = PTHREAD_COND_INITIALIZER};

typedef struct {
  int number, failed, traced, errors;
  const moe_rt *rt;
  float y[64 * kHidden];
} caller;

/* The hooks have no other way to find their caller. */
static __thread caller *mine;

static void trace(const moe_rt *rt, const moe_trace_event *event) {
  (void)rt;
  if (event->kind == MOE_TRACE_ROUTING && event->experts == kExperts)
    ++mine->traced;
}

static void onError(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  if (status != MOE_OK && message)
    ++mine->errors;
}

static void call(caller *c, const moe_rt *rt, int64_t T) {
  size_t bytes = LAYER_WORKSPACE(T);
  void *workspace = NULL;
  if (posix_memalign(&workspace, MOE_ALIGNMENT, bytes ? bytes : MOE_ALIGNMENT))
    abort();
  c->failed +=
      LAYER(rt, T, x, router, gateUp, down, c->y, workspace, bytes) != MOE_OK;
  if (T && bytes)
    c->failed += LAYER(rt, T, x, router, gateUp, down, c->y, workspace,
                       bytes - 1) != MOE_ERR_WORKSPACE;
  free(workspace);
}

static void *callMany(void *arg) {
  caller *c = mine = arg;
  /* First uses, by all at once. */
  if (moe_rt_default() != moe_rt_default() || moe_rt_cpu_features() == 0 ||
      strcmp(moe_status_string(MOE_OK), "ok") != 0)
    ++c->failed;
  moe_rt own;
  moe_rt_init(&own, 2);
  own.error = onError;
  own.trace = trace;
  for (int i = 0; i < kCalls; ++i) {
    call(c, c->rt, i % 2 ? 64 : 0);
    call(c, &own, 64);
  }
  return NULL;
}

static void fill(float *data, int64_t count, unsigned seed) {
  for (int64_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    data[i] = (float)(seed >> 8) / (1 << 24) - 0.5f;
  }
}

static float *packed(unsigned seed) {
  float *data = aligned_alloc(MOE_ALIGNMENT, kPackedFloats * sizeof(float));
  if (!data)
    abort();
  fill(data, kPackedFloats, seed);
  return data;
}

int main(void) {
  fill(x, 64 * kHidden, 1);
  router = packed(2);
  gateUp = packed(3);
  down = packed(4);
  for (int i = 0; i < kWorkers; ++i)
    pthread_create(&thePool.threads[i], NULL, work, &thePool);
  moe_rt shared;
  memset(&shared, 0, sizeof(shared));
  shared.abi = MOE_RT_ABI;
  shared.size = sizeof(shared);
  shared.num_threads = kWorkers + 1;
  shared.parallel_for = parallelFor;
  shared.error = onError;
  shared.trace = trace;
  shared.user = &thePool;

  static caller callers[kCallers];
  pthread_t threads[kCallers];
  for (int i = 0; i < kCallers; ++i) {
    callers[i].number = i;
    callers[i].rt = &shared;
    pthread_create(&threads[i], NULL, callMany, &callers[i]);
  }
  int failed = 0;
  for (int i = 0; i < kCallers; ++i) {
    pthread_join(threads[i], NULL);
    caller *c = &callers[i];
    failed += c->failed;
    failed += c->traced == 0 || c->errors == 0;
    failed += memcmp(c->y, callers[0].y, sizeof(c->y)) != 0;
  }
  pthread_mutex_lock(&thePool.lock);
  thePool.stop = 1;
  pthread_cond_broadcast(&thePool.work);
  pthread_mutex_unlock(&thePool.lock);
  for (int i = 0; i < kWorkers; ++i)
    pthread_join(thePool.threads[i], NULL);
  free(router);
  free(gateUp);
  free(down);
  printf("%d callers of %d calls, %d failures\n", kCallers, 4 * kCalls, failed);
  return failed != 0;
}
