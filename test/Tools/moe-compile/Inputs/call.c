/* Calls project() in every way it can be called, and prints what happened. */
#include "project.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 5 };

static const char *last_message = "";
static char copy[256];

static void remember(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  (void)status;
  snprintf(copy, sizeof(copy), "%s", message);
  last_message = copy;
}

static void report(int status) {
  printf("%s -> %d\n", last_message, status);
  last_message = "?";
}

int main(int argc, char **argv) {
  static float x[TOKENS * 64], w[16 * 64 + 1], y[TOKENS * 16], before[TOKENS * 16];
  moe_rt rt, broken;
  moe_rt_init(&rt, 2);
  rt.error = remember;
  for (int i = 0; i < TOKENS * 64; ++i)
    x[i] = (float)(i % 7) * 0.1f;
  for (int i = 0; i < 16 * 64; ++i)
    w[i] = (float)(i % 5) * 0.05f - 0.1f;
  size_t bytes = project_workspace_bytes(TOKENS);
  char *workspace = aligned_alloc(64, bytes + 128);

  if (argc > 1 && !strcmp(argv[1], "unsupported")) {
    report(project(&rt, TOKENS, x, w, y, workspace, bytes));
    return 0;
  }

  if (project(&rt, TOKENS, x, w, y, workspace, bytes) != MOE_OK)
    return 1;
  int right = 1;
  for (int t = 0; t < TOKENS; ++t) {
    float sum = 0;
    for (int j = 0; j < 16; ++j)
      sum += y[t * 16 + j];
    right &= sum > 0.9999f && sum < 1.0001f;
  }
  printf("%s: sums are right\n", right ? "ok" : "not ok");

  memcpy(before, y, sizeof(y));
  report(project(&rt, -1, x, w, y, workspace, bytes));
  report(project(&rt, INT64_C(1) << 31, x, w, y, workspace, bytes));
  report(project(&rt, TOKENS, NULL, w, y, workspace, bytes));
  report(project(&rt, TOKENS, x, w, NULL, workspace, bytes));
  report(project(&rt, TOKENS, x, (const float *)((const char *)w + 1), y,
                 workspace, bytes));
  report(project(&rt, TOKENS, x, w, y, workspace, bytes - 1));
  report(project(&rt, TOKENS, x, w, y, NULL, bytes));
  report(project(&rt, TOKENS, x, w, y, workspace + 4, bytes));
  broken = rt;
  broken.abi = MOE_RT_ABI + 1;
  last_message = "another abi";
  report(project(&broken, TOKENS, x, w, y, workspace, bytes));
  broken = rt;
  broken.parallel_for = NULL;
  printf("no parallel_for: ");
  report(project(&broken, TOKENS, x, w, y, workspace, bytes));
  last_message = "no tokens";
  report(project(&rt, 0, NULL, w, NULL, NULL, 0));
  printf("bytes of a bad size: %d\n", (int)project_workspace_bytes(-1));
  {
    int64_t sizes[] = {TOKENS};
    void *buffers[] = {x, w, y};
    last_message = "invoke";
    if (project__invoke_workspace(sizes) != bytes)
      return 1;
    report(project__invoke(&rt, sizes, buffers, workspace, bytes));
  }
  printf("%s was written by failed calls\n",
         memcmp(before, y, sizeof(y)) ? "something" : "nothing");
  free(workspace);
  return 0;
}
