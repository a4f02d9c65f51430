/* Calls a layer on a device, for each number of tokens that is given. */
#include "layer.h"
#include "moe-mlir/Runtime/moe_cuda.h"
#include <stdio.h>
#include <stdlib.h>

static void tell(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  printf("  error %d: %s\n", status, message);
}

int main(int argc, char **argv) {
  char message[512];
  moe_cuda *cuda;
  int device = atoi(argv[1]);
  int status = moe_cuda_open(device, &cuda, message, sizeof(message));
  if (status) {
    printf("%s: %s\n", moe_status_string(status), message);
    return 1;
  }
  moe_rt *rt = moe_cuda_rt(cuda);
  rt->error = tell;
  moe_cuda_set_stream(cuda, (void *)7);
  for (int i = 2; i < argc; ++i) {
    int64_t tokens = atoi(argv[i]);
    size_t bytes = layer_workspace_bytes(tokens);
    void *x = moe_cuda_allocate(cuda, 4096), *workspace =
                                                 moe_cuda_allocate(cuda, bytes);
    float one = 1, back = 0;
    if (!x || !workspace || moe_cuda_copy_to(cuda, x, &one, sizeof(one)) ||
        moe_cuda_copy_from(cuda, &back, x, sizeof(back)) || back != 1) {
      printf("%s\n", moe_cuda_error(cuda));
      moe_cuda_free(cuda, x);
      moe_cuda_free(cuda, workspace);
      break;
    }
    printf("T = %d\n", (int)tokens);
    status = layer(rt, tokens, x, x, x, x, x, x, workspace, bytes);
    printf("%s\n", moe_status_string(status));
    if (!status && moe_cuda_synchronize(cuda))
      printf("%s\n", moe_cuda_error(cuda));
    moe_cuda_free(cuda, x);
    moe_cuda_free(cuda, workspace);
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
  moe_cuda_close(cuda);
  moe_cuda_close(NULL);
  return 0;
}
