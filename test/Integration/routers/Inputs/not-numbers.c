/* Calls given() of not-numbers.mlir and prints what came, as moe-interpret
 * does. */
#include "not-numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 7 };

static void weights(const char *name, const float *w, int n) {
  printf("%s", name);
  for (int i = 0; i < n; ++i)
    isnan(w[i]) ? printf(" nan") : printf(" %g", w[i]);
  printf("\n");
}

static void experts(const char *name, const int32_t *e, int n) {
  printf("%s", name);
  for (int i = 0; i < n; ++i)
    printf(" %d", e[i]);
  printf("\n");
}

int main(void) {
  const float inf = INFINITY;
  const float z[T * 4] = {1,    2, NAN, 3, 900,  0,   0,    0,    -inf, 5,
                          -inf, 5, 0,   0, inf,  900, -inf, -inf, -inf, -inf,
                          -NAN, 0, 0,   0, -900, 900, 0,    900};
  int32_t a[T * 2], b[T * 2], d[T];
  float v[T * 2], w[T * 2], u[T];
  size_t bytes = given_workspace_bytes(T);
  void *workspace = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (given(NULL, T, z, a, v, b, w, d, u, workspace, bytes) != MOE_OK)
    return 1;
  experts("normalized", a, T * 2);
  weights("weights", v, T * 2);
  experts("plain", b, T * 2);
  weights("weights", w, T * 2);
  experts("limited", d, T);
  weights("weights", u, T);
  free(workspace);
  return 0;
}
