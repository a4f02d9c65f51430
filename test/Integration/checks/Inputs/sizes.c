/* Calls the functions of sizes.mlir with sizes that fit and sizes that do not,
 * and provokes every status. The first bytes behind each result have to stay.
 */
#include "sizes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 64 };
static float x[ROOM], y[ROOM], z[ROOM];
static char message[256];
static void *workspace;
enum { BYTES = 1 << 20 };

static void remember(const moe_rt *rt, int status, const char *text) {
  (void)rt;
  (void)status;
  snprintf(message, sizeof(message), "%s", text);
}

static moe_rt rt;

static void fill(void) {
  for (int i = 0; i < ROOM; ++i) {
    x[i] = (float)(i + 1);
    y[i] = 100.0f + (float)i;
    z[i] = -1.0f;
  }
  message[0] = '\0';
}

/* What was written of z: how many of its first numbers, and none behind. */
static void report(const char *what, int status) {
  int written = 0;
  for (int i = 0; i < ROOM; ++i)
    if (z[i] != -1.0f)
      written = i + 1;
  printf("%s: %s, %d written%s%s\n", what, moe_status_string(status), written,
         message[0] ? ": " : "", message);
  fill();
}

#define CALL(WHAT, NAME, ...)                                                  \
  report(WHAT, NAME(&rt, __VA_ARGS__, workspace, BYTES))

int main(void) {
  moe_rt_init(&rt, 2);
  rt.error = remember;
  workspace = aligned_alloc(64, BYTES);
  fill();

  CALL("renamed 4 4", renamed, 4, 4, x, z);
  CALL("renamed 2 8", renamed, 2, 8, x, z);
  CALL("renamed 8 2", renamed, 8, 2, x, z);
  CALL("fixed 4", fixed, 4, x, z);
  CALL("fixed 40", fixed, 40, x, z);
  CALL("twice 2 4", twice, 2, 4, x, z, z + 16);
  CALL("twice 2 2", twice, 2, 2, x, z, z + 16);
  CALL("twice 3 6", twice, 3, 6, x, z, z + 24);
  CALL("sum 5 5", sum, 5, 5, x, y, z);
  CALL("sum 9 2", sum, 9, 2, x, y, z);
  CALL("product 2 3 2 3", product, 2, 3, 2, 3, x, y, z);
  CALL("product 2 3 2 1", product, 2, 3, 2, 1, x, y, z);

  static const int64_t windows[][4] = {
      /* T, at, n, N: x[at], x[at + 2], ... */
      {9, 0, 5, 5},         {9, 1, 4, 4},         {9, 1, 5, 5},
      {9, 0, 5, 4},         {9, -1, 2, 2},        {9, 0, -1, 1},
      {9, INT64_MAX, 2, 2}, {9, 1, INT64_MAX, 2}, {0, 0, 5, 5}};
  for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); ++i) {
    const int64_t *w = windows[i];
    char what[128];
    snprintf(what, sizeof(what), "window %d of %d", (int)i, (int)w[0]);
    CALL(what, window, w[0], w[3], w[0] ? x : NULL, &w[1], &w[2], z);
  }

  int64_t at = 3;
  CALL("patch 6 3 at 3", patch, 6, 3, x, y, &at, z);
  CALL("patch 6 4 at 3", patch, 6, 4, x, y, &at, z);
  at = INT64_MIN;
  CALL("patch 6 3 far", patch, 6, 3, x, y, &at, z);
  int64_t b = 3;
  CALL("pairs 6 3", pairs, 6, 3, x, &b, z);
  CALL("pairs 6 4", pairs, 6, 4, x, &b, z);
  b = 4;
  CALL("pairs 6 by 4", pairs, 6, 4, x, &b, z);
  b = (INT64_C(1) << 62) + 3;
  CALL("pairs 6 by far", pairs, 6, 3, x, &b, z);
  int64_t n = 2;
  CALL("chunks 7 with 2", chunks, 7, x, &n, z);
  n = 1000;
  CALL("chunks 7 with 1000", chunks, 7, x, &n, z);
  n = 7;
  CALL("steps 7 with 7", steps, 7, x, &n, z);
  n = 8;
  CALL("steps 7 with 8", steps, 7, x, &n, z);

  /* Nothing of these is there; nobody looks. */
  int32_t indices[] = {0, 1}, offsets[] = {-1, -1, -1};
  const int64_t most = INT32_MAX / 2;
  printf("routing: %d, workspace %s\n",
         routing(&rt, most + 1, indices, x, offsets, workspace, BYTES),
         routing_workspace_bytes(most + 1) ? "wrong" : "none");
  printf("%s\n", message);
  printf("offsets %d; workspace of one less: %s\n", offsets[2],
         routing_workspace_bytes(most) ? "some" : "wrong");
  fill();
  CALL("square", square, INT32_MAX, x, z);
  printf("%d\n", (int)square_workspace_bytes(INT32_MAX));
  CALL("wide", wide, 1024, 1024, x, y, x, z);
  printf("%d\n", (int)wide_workspace_bytes(1024, 1024));

  /* Every status. */
  int32_t ids[] = {2, 0}, table[] = {0, 1, 2, 3, 1, 0},
          experts[] = {-7, -7, -7, -7};
  int seen[10] = {0};
#define EXPECT(STATUS, ...)                                                    \
  do {                                                                         \
    int got = __VA_ARGS__;                                                     \
    seen[STATUS] = got == STATUS && experts[0] == -7 && experts[3] == -7;      \
    if (!seen[STATUS])                                                         \
      printf("not " #STATUS " but %d\n", got);                                 \
  } while (0)
  if (getenv("MOE_X86_LEVEL")) {
    EXPECT(MOE_ERR_UNSUPPORTED_CPU,
           hashed(&rt, 2, ids, table, experts, workspace, BYTES));
    printf("unsupported CPU: %d\n", seen[MOE_ERR_UNSUPPORTED_CPU]);
    return 0;
  }
  EXPECT(MOE_ERR_NULL_ARGUMENT,
         hashed(&rt, 2, NULL, table, experts, workspace, BYTES));
  EXPECT(MOE_ERR_BAD_SIZE,
         hashed(&rt, -1, ids, table, experts, workspace, BYTES));
  EXPECT(MOE_ERR_WORKSPACE, hashed(&rt, 2, ids, table, experts, workspace, 0));
  EXPECT(MOE_ERR_ALIGNMENT,
         hashed(&rt, 2, ids, table, experts, (char *)workspace + 4, BYTES - 4));
  int32_t twice_to_one[] = {1, 1};
  EXPECT(MOE_ERR_BAD_ROUTING,
         routing(&rt, 1, twice_to_one, x, offsets, workspace, BYTES));
  moe_rt other = rt;
  other.abi += 1;
  EXPECT(MOE_ERR_BAD_ABI,
         hashed(&other, 2, ids, table, experts, workspace, BYTES));
  other = rt;
  other.size = 47; /* This version began with 48. */
  EXPECT(MOE_ERR_BAD_ABI,
         hashed(&other, 2, ids, table, experts, workspace, BYTES));
  ids[1] = 3;
  EXPECT(MOE_ERR_BAD_VALUE,
         hashed(&rt, 2, ids, table, experts, workspace, BYTES));
  printf("%s\n", message);
  ids[1] = 0;
  table[4] = 4;
  EXPECT(MOE_ERR_BAD_VALUE,
         hashed(&rt, 2, ids, table, experts, workspace, BYTES));
  printf("%s\n", message);
  table[4] = 1;
  EXPECT(MOE_OK, 0 * (experts[0] = -7));
  printf("experts %d", hashed(&rt, 2, ids, table, experts, workspace, BYTES));
  for (int i = 0; i < 4; ++i)
    printf(" %d", experts[i]);
  printf("\nstatuses");
  for (int i = 0; i < 9; ++i)
    printf(" %d", seen[i]);
  printf("; behind the last: %s\n", moe_status_string(MOE_ERR_EXPERT + 1));
  free(workspace);
  return 0;
}
