/* Calls a layer on a device, for each number of tokens that is given: one of
   moe_cuda.h or, with HIP, of moe_hip.h. */
#include "layer.h"
#ifdef HIP
#include "moe-mlir/Runtime/moe_hip.h"
#define DEVICE(name) moe_hip##name
#else
#include "moe-mlir/Runtime/moe_cuda.h"
#define DEVICE(name) moe_cuda##name
#endif
#include <stdio.h>
#include <stdlib.h>

static void tell(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  printf("  error %d: %s\n", status, message);
}

int main(int argc, char **argv) {
  char message[512];
  DEVICE() * gpu;
  int device = atoi(argv[1]);
  int status = DEVICE(_open)(device, &gpu, message, sizeof(message));
  if (status) {
    printf("%s: %s\n", moe_status_string(status), message);
    return 1;
  }
  moe_rt *rt = DEVICE(_rt)(gpu);
  rt->error = tell;
  DEVICE(_set_stream)(gpu, (void *)7);
  for (int i = 2; i < argc; ++i) {
    int64_t tokens = atoi(argv[i]);
    size_t bytes = layer_workspace_bytes(tokens);
    void *x = DEVICE(_allocate)(gpu, 4096),
         *workspace = DEVICE(_allocate)(gpu, bytes);
    float one = 1, back = 0;
    if (!x || !workspace || DEVICE(_copy_to)(gpu, x, &one, sizeof(one)) ||
        DEVICE(_copy_from)(gpu, &back, x, sizeof(back)) || back != 1) {
      printf("%s\n", DEVICE(_error)(gpu));
      DEVICE(_free)(gpu, x);
      DEVICE(_free)(gpu, workspace);
      break;
    }
    printf("T = %d\n", (int)tokens);
    status = layer(rt, tokens, x, x, x, x, x, x, workspace, bytes);
    printf("%s\n", moe_status_string(status));
    if (!status && DEVICE(_synchronize)(gpu))
      printf("%s\n", DEVICE(_error)(gpu));
    DEVICE(_free)(gpu, x);
    DEVICE(_free)(gpu, workspace);
  }
  /* A runtime that starts nothing. */
  moe_rt plain;
  moe_rt_init(&plain, 1);
  plain.error = tell;
  size_t bytes = layer_workspace_bytes(1);
  void *workspace = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!getenv("FAIL_AT"))
    printf("without: %s\n",
           moe_status_string(layer(&plain, 1, workspace, workspace, workspace,
                                   workspace, workspace, workspace, workspace,
                                   bytes)));
  free(workspace);
  DEVICE(_close)(gpu);
  DEVICE(_close)(NULL);
  return 0;
}
