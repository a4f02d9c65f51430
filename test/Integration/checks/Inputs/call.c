/* Calls checked() with ids that pass and ids that do not. */
#include "checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void remember(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  printf("%d: %s\n", status, message);
}

int main(void) {
  enum { TOKENS = 3 };
  float x[TOKENS * 4], y[TOKENS * 4], before[TOKENS * 4];
  int32_t ids[][TOKENS] = {{0, 9, 5}, {0, 10, 5}, {-1, 3, 3}, {0, 3, 2}, {1, 2, 4}};
  moe_rt rt;
  moe_rt_init(&rt, 2);
  rt.error = remember;
  size_t bytes = checked_workspace_bytes(TOKENS);
  void *workspace = aligned_alloc(64, bytes + 64);
  for (int i = 0; i < TOKENS * 4; ++i)
    x[i] = (float)(i + 1);
  for (int call = 0; call < 5; ++call) {
    for (int i = 0; i < TOKENS * 4; ++i)
      before[i] = y[i] = -1.0f;
    int status = checked(&rt, TOKENS, x, ids[call], y, workspace, bytes);
    int right = 1;
    for (int i = 0; i < TOKENS * 4; ++i)
      right &= y[i] == 2 * x[i];
    printf("call %d: %s, y is %s\n", call, moe_status_string(status),
           right                                  ? "right"
           : memcmp(y, before, sizeof(y)) == 0 ? "untouched"
                                                  : "wrong");
  }
  rt.error = NULL;
  printf("no hook: %d\n",
         checked(&rt, TOKENS, x, ids[1], y, workspace, bytes));
  free(workspace);
  return 0;
}
