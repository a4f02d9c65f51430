/*===- call_layer.c - Calls a compiled layer from C ---------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

#include "layer.h" /* written by moe-compile -o layer */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The bytes of a tensor in a mapped .safetensors file: 8 bytes that say how long
 * the JSON header is, the header, the data. */
static const void *find(const char *file, const char *name) {
  char key[64];
  size_t header = *(const uint64_t *)file, begin;
  snprintf(key, sizeof(key), "\"%s\":", name);
  const char *at = strstr(file + 8, key);
  if (at && sscanf(strstr(at, "data_offsets"), "data_offsets\":[%zu", &begin) == 1)
    return file + 8 + header + begin;
  fprintf(stderr, "no tensor %s\n", name);
  exit(1);
}

int main(int argc, char **argv) {
  int fd = argc == 4 ? open(argv[1], O_RDONLY) : -1;
  struct stat info;
  if (fd < 0 || fstat(fd, &info)) {
    fprintf(stderr, "usage: call_layer <packed.safetensors> <tokens> <hidden size>\n");
    return 2;
  }
  /* Packed weights are used where they are mapped. */
  const char *weights = mmap(NULL, info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  int64_t T = atoll(argv[2]), H = atoll(argv[3]);

  float *x = malloc(T * H * sizeof(float)), *y = malloc(T * H * sizeof(float));
  for (int64_t i = 0; i < T * H; ++i)
    x[i] = (float)(i * 37 % 101 - 50) / 64;

  /* The caller owns all memory; a null moe_rt is the default one. */
  size_t bytes = layer_0_workspace_bytes(T);
  bytes = (bytes + MOE_ALIGNMENT - 1) / MOE_ALIGNMENT * MOE_ALIGNMENT;
  void *workspace = aligned_alloc(MOE_ALIGNMENT, bytes);
  int status = layer_0(NULL, T, x, find(weights, "router.weight"),
                       find(weights, "experts.gate_up"),
                       find(weights, "experts.down_proj"), y, workspace, bytes);
  printf("%s: %lld tokens, workspace of %zu bytes\n", moe_status_string(status),
         (long long)T, bytes);
  for (int64_t i = 0; status == MOE_OK && i < T * H && i < 4; ++i)
    printf("y[%lld] = %.6g\n", (long long)i, y[i]);
  return status;
}
