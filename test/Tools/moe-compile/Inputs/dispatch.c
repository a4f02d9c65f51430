/* Stands in for the variants of an artifact and for the CPU: prints which of
 * them the artifact's own function calls for each set of features, in a process
 * of its own, since it chooses once. */
#include "moe-mlir/Runtime/moe_rt.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Never called with what they take: only who is called matters. */
#define VARIANT(name)                                                          \
  int ok__##name(void) { return puts(#name), 0; }                              \
  size_t ok_workspace_bytes__##name(void) { return 64; }
#ifdef __aarch64__
VARIANT(neon)
VARIANT(dotprod)
VARIANT(sve)
VARIANT(mmla)
VARIANT(sve2)
#else
VARIANT(v3)
VARIANT(v4)
VARIANT(v4_bf16)
#endif

static uint64_t features;
uint64_t moe_rt_cpu_features(void) { return features; }
uint64_t moe_rt_cpu_model(void) { return 0; }

static void complain(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  printf("%d: %s\n", status, message);
}
const moe_rt *moe_rt_default(void) {
  static moe_rt rt = {
      .abi = MOE_RT_ABI, .size = sizeof(moe_rt), .error = complain};
  return &rt;
}

int ok(const moe_rt *rt, const float *x, float *y, void *workspace,
       size_t bytes);
size_t ok_workspace_bytes(void);
const char *ok__variant(void);

int main(int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    pid_t child = fork();
    if (child != 0) {
      waitpid(child, NULL, 0);
      continue;
    }
    features = strtoull(argv[i], NULL, 16);
    printf("%s, workspace %zu: ", argv[i], ok_workspace_bytes());
    ok(NULL, NULL, NULL, NULL, 0);
    /* No other is chosen later. */
    features = 0;
    const char *name = ok__variant();
    printf("still %s\n", name ? name : "none");
    fflush(stdout);
    _exit(0);
  }
  /* Whose hooks may be elsewhere is told nothing. */
  features = 0;
  moe_rt other = *moe_rt_default();
  other.abi = MOE_RT_ABI + 1;
  printf("another version: %d\n", ok(&other, NULL, NULL, NULL, 0));
  other.abi = MOE_RT_ABI;
  other.size = 47; /* This version began with 48. */
  printf("a smaller one: %d\n", ok(&other, NULL, NULL, NULL, 0));
  return 0;
}
