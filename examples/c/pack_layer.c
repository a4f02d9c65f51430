/*===- pack_layer.c - Packs weights in memory and calls a layer ---*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
\*===----------------------------------------------------------------------===*/

/* For posix_memalign in strict C99. */
#define _POSIX_C_SOURCE 200809L

#include "layer.h" /* written by moe-compile -o layer */

#include <stdio.h>
#include <stdlib.h>

static void *allocate(size_t bytes) {
  void *memory = NULL;
  if (posix_memalign(&memory, MOE_ALIGNMENT, bytes ? bytes : 1))
    exit(1);
  return memory;
}

/* Stands for an engine that has loaded a model: gives the tensor that a plan
 * wants. This one makes it up, as f32; moe_pack() rounds it if it has to. */
static moe_tensor load(const moe_tensor *wanted) {
  moe_tensor tensor = *wanted;
  int64_t count = 1;
  for (int32_t d = 0; d < tensor.rank; ++d)
    count *= tensor.shape[d];
  float *data = (float *)allocate((size_t)count * sizeof(float));
  for (int64_t i = 0; i < count; ++i)
    data[i] = (float)(i * 29 % 127 - 63) / 512;
  tensor.dtype = MOE_F32;
  tensor.data = data;
  return tensor;
}

/* The bytes of a packed argument. */
static const void *pack(const moe_pack_plan *plan) {
  size_t count = (size_t)plan->num_tensors;
  moe_tensor *tensors = (moe_tensor *)allocate(count * sizeof(moe_tensor));
  for (size_t i = 0; i < count; ++i)
    tensors[i] = load(&plan->tensors[i]);
  void *packed = allocate(plan->bytes);
  if (moe_pack(NULL, plan, tensors, packed, plan->bytes) != MOE_OK)
    exit(1);
  /* The kernels read the packed weights only. */
  for (size_t i = 0; i < count; ++i)
    free((void *)tensors[i].data);
  free(tensors);
  return packed;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: pack_layer <tokens>\n");
    return 2;
  }
  const void *router = pack(&layer_0__plans[LAYER_0_ROUTER_WEIGHT_PLAN]);
  const void *up = pack(&layer_0__plans[LAYER_0_EXPERTS_GATE_UP_PLAN]);
  const void *down = pack(&layer_0__plans[LAYER_0_EXPERTS_DOWN_PROJ_PLAN]);

  int64_t T = atoll(argv[1]), count = T * LAYER_0_H;
  float *x = (float *)allocate((size_t)count * sizeof(float));
  float *y = (float *)allocate((size_t)count * sizeof(float));
  for (int64_t i = 0; i < count; ++i)
    x[i] = (float)(i * 37 % 101 - 50) / 64;
  size_t bytes = layer_0_workspace_bytes(T);
  void *workspace = allocate(bytes);
  int status = layer_0(NULL, T, x, router, up, down, y, workspace, bytes);
  printf("%s: %lld tokens\n", moe_status_string(status), (long long)T);
  for (int64_t i = 0; status == MOE_OK && i < count && i < 4; ++i)
    printf("y[%lld] = %.6g\n", (long long)i, (double)y[i]);
  return status;
}
