/* Calls the functions of frames.mlir on a thread with 512 KiB of stack. */
#include "frames.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 700, LISTED = 16384, MASKED = 4096, GIVEN = 200000 };

/* All items, the last one first. */
static void backwards(const moe_rt *rt, int64_t items, moe_body_fn body,
                      void *arg) {
  (void)rt;
  while (items-- > 0)
    body(arg, items);
}

static void *allocate(size_t bytes) {
  return aligned_alloc(64, (bytes + 127) / 64 * 64);
}

static int failed;
static void expect(int right, const char *what) {
  printf("%s: %s\n", what, right ? "right" : "wrong");
  failed |= !right;
}

/* Numbers of a row are all different. */
static float score(int64_t t, int64_t e, int64_t n) {
  return (float)((e * 7919 + t * 31) % n);
}

static void *run(void *unused) {
  (void)unused;
  moe_rt rt;
  moe_rt_init(&rt, 8);
  rt.parallel_for = backwards;

  float *z = allocate(sizeof(float) * T * LISTED);
  int32_t *experts = allocate(sizeof(int32_t) * T * MASKED);
  float *weights = allocate(sizeof(float) * T * 2);
  for (int64_t t = 0; t < T; ++t)
    for (int64_t e = 0; e < LISTED; ++e)
      z[t * LISTED + e] = score(t, e, LISTED);
  size_t bytes = lists_workspace_bytes(T);
  void *workspace = allocate(bytes);
  int ok = lists(&rt, T, z, experts, weights, workspace, bytes) == MOE_OK;
  for (int64_t t = 0; ok && t < T; ++t)
    for (int k = 0; k < 2; ++k)
      ok &= weights[2 * t + k] == LISTED - 1 - k &&
            score(t, experts[2 * t + k], LISTED) == LISTED - 1 - k;
  expect(ok, "lists");
  free(workspace);

  float *thresholds = allocate(sizeof(float) * MASKED);
  int32_t *offsets = allocate(sizeof(int32_t) * (GIVEN + 1));
  for (int64_t e = 0; e < MASKED; ++e)
    thresholds[e] = MASKED - 4;
  for (int64_t t = 0; t < T; ++t)
    for (int64_t e = 0; e < MASKED; ++e)
      z[t * MASKED + e] = score(t, e, MASKED);
  bytes = masks_workspace_bytes(T);
  workspace = allocate(bytes);
  ok = masks(&rt, T, z, thresholds, experts, offsets, workspace, bytes) ==
       MOE_OK;
  int64_t count = 0;
  for (int64_t t = 0; ok && t < T; ++t)
    for (int64_t e = 0; e < MASKED; ++e) {
      int fires = score(t, e, MASKED) > MASKED - 4;
      ok &= experts[t * MASKED + e] == (fires ? e : -1);
      count += fires;
    }
  expect(ok && offsets[MASKED] == count && count == 3 * T, "masks");
  free(workspace);

  int32_t *given_experts = allocate(sizeof(int32_t) * T * 20);
  float *given_weights = allocate(sizeof(float) * T * 20);
  for (int64_t i = 0; i < T * 20; ++i) {
    given_experts[i] = (int32_t)((i * 7919) % GIVEN);
    given_weights[i] = 1.0f;
  }
  bytes = given_workspace_bytes(T);
  workspace = allocate(bytes);
  ok = given(&rt, T, given_experts, given_weights, offsets, workspace, bytes) ==
       MOE_OK;
  expect(ok && offsets[0] == 0 && offsets[GIVEN] == T * 20, "given");
  return NULL;
}

int main(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 512 * 1024);
  if (pthread_create(&thread, &attributes, run, NULL) != 0)
    return 2;
  pthread_join(thread, NULL);
  return failed;
}
