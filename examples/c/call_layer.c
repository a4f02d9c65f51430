/*===- call_layer.c - Calls a compiled layer from C ---------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

/* For fstat, mmap and posix_memalign in strict C99. */
#define _POSIX_C_SOURCE 200809L

#include "layer.h" /* written by moe-compile -o layer */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The bytes of a tensor in a mapped .safetensors file: 8 bytes that say how
 * long the JSON header is, the header, the data. */
static const void *find(const char *file, const char *name, size_t bytes) {
  char key[64];
  uint64_t header;
  size_t begin, end;
  const char *at;
  memcpy(&header, file, sizeof(header));
  snprintf(key, sizeof(key), "\"%s\":", name);
  at = strstr(file + 8, key);
  if (at && (at = strstr(at, "data_offsets")) &&
      sscanf(at, "data_offsets\":[%zu,%zu", &begin, &end) == 2 &&
      end - begin == bytes)
    return file + 8 + header + begin;
  fprintf(stderr, "no tensor %s of %zu bytes\n", name, bytes);
  exit(1);
}

static void *allocate(size_t bytes) {
  void *memory = NULL;
  if (posix_memalign(&memory, MOE_ALIGNMENT, bytes ? bytes : 1))
    exit(1);
  return memory;
}

int main(int argc, char **argv) {
  int fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;
  struct stat info;
  if (fd < 0 || fstat(fd, &info)) {
    fprintf(stderr, "usage: call_layer <packed.safetensors> <tokens>\n");
    return 2;
  }
  /* Packed weights are used where they are mapped. */
  void *mapped =
      mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapped == MAP_FAILED)
    return 1;
  const char *weights = (const char *)mapped;
  const void *router =
      find(weights, "router.weight", LAYER_0_ROUTER_WEIGHT_BYTES);
  const void *up =
      find(weights, "experts.gate_up", LAYER_0_EXPERTS_GATE_UP_BYTES);
  const void *down =
      find(weights, "experts.down_proj", LAYER_0_EXPERTS_DOWN_PROJ_BYTES);

  int64_t T = atoll(argv[2]), count = T * LAYER_0_H;
  float *x = (float *)allocate((size_t)count * sizeof(float));
  float *y = (float *)allocate((size_t)count * sizeof(float));
  for (int64_t i = 0; i < count; ++i)
    x[i] = (float)(i * 37 % 101 - 50) / 64;

  /* The caller owns all memory; a null moe_rt is the default one. */
  size_t bytes = layer_0_workspace_bytes(T);
  void *workspace = allocate(bytes);
  int status = layer_0(NULL, T, x, router, up, down, y, workspace, bytes);
  printf("%s: %lld tokens, workspace of %zu bytes\n", moe_status_string(status),
         (long long)T, bytes);
  for (int64_t i = 0; status == MOE_OK && i < count && i < 4; ++i)
    printf("y[%lld] = %.6g\n", (long long)i, (double)y[i]);
  return status;
}
