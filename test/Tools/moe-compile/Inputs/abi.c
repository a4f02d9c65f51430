/* Calls project() with a moe_rt of the size that this header has. */
#include "project.h"

#include <stdio.h>
#include <string.h>

enum { TOKENS = 5 };
static float x[TOKENS * 64], w[16 * 64], y[TOKENS * 16];
static double workspace[1024]; /* More than it takes, and more than aligned. */

static void ignore(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  (void)status;
  (void)message;
}

static void call(const moe_rt *rt) {
  char *aligned = (char *)workspace;
  aligned += -(uintptr_t)aligned % MOE_ALIGNMENT;
  memset(y, 0, sizeof(y));
  int status = project(rt, TOKENS, x, w, y, aligned, 4096);
  int right = 1;
  for (int t = 0; t < TOKENS; ++t) {
    float sum = 0;
    for (int j = 0; j < 16; ++j)
      sum += y[t * 16 + j];
    right &= sum > 0.9999f && sum < 1.0001f;
  }
  printf("%s: sums are %s\n", moe_status_string(status),
         right ? "right" : "wrong");
}

int main(void) {
  struct {
    moe_rt rt;
    unsigned char behind[64];
  } memory;
  memset(&memory, 0xaa, sizeof(memory));
  moe_rt_init(&memory.rt, 2);
  int written = 0;
  for (int i = 0; i < 64; ++i)
    written |= memory.behind[i] != 0xaa;
  printf("version %u, %zu bytes, %s written behind them\n", memory.rt.abi,
         memory.rt.size, written ? "something" : "nothing");
#ifdef LONGER
  printf("the later hook is %s\n", memory.rt.later ? "set" : "null");
#endif
  memory.rt.error = ignore;
  for (int i = 0; i < TOKENS * 64; ++i)
    x[i] = (float)(i % 7) * 0.1f;
  for (int i = 0; i < 16 * 64; ++i)
    w[i] = (float)(i % 5) * 0.05f - 0.1f;
  call(&memory.rt);
  printf("without a runtime: ");
  call(NULL);
  return 0;
}
