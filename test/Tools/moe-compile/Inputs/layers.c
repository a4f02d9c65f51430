/* Calls layers of a model by the table in the header, and one by its name. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 3 };
static float x[TOKENS * LAYER_0_H], y[TOKENS * LAYER_0_H], first[LAYER_0_H];
/* Weights, and room to align them. */
static float router[LAYER_0_ROUTER_WEIGHT_BYTES / 4 + MOE_ALIGNMENT / 4],
    up[LAYER_0_EXPERTS_GATE_UP_BYTES / 4 + MOE_ALIGNMENT / 4],
    down[LAYER_0_EXPERTS_DOWN_PROJ_BYTES / 4 + MOE_ALIGNMENT / 4];
static char memory[1 << 20];

static void *align(void *memory_) {
  return (void *)(((uintptr_t)memory_ + MOE_ALIGNMENT - 1) / MOE_ALIGNMENT *
                  MOE_ALIGNMENT);
}

static void fill(float *values, size_t count) {
  for (size_t i = 0; i < count; ++i)
    values[i] = (float)(i * 37 % 101) / 1024.0f;
}

static void report(int status) {
  printf("%s, ", moe_status_string(status));
  if (first[0] == 0) {
    memcpy(first, y, sizeof(first));
    printf("first value %g\n", (double)y[0]);
  } else {
    printf("%s\n", memcmp(first, y, sizeof(first)) ? "another" : "the same");
  }
  memset(y, 0, sizeof(y));
}

static void trace(const moe_rt *rt, const moe_trace_event *event) {
  (void)rt;
  if (event->kind == MOE_TRACE_ROUTING)
    printf("event of %d bytes, ", (int)event->size);
}

int main(void) {
  fill(x, sizeof(x) / sizeof(*x));
  fill(router, sizeof(router) / sizeof(*router));
  fill(up, sizeof(up) / sizeof(*up));
  fill(down, sizeof(down) / sizeof(*down));
  const int64_t sizes[] = {TOKENS};
  void *buffers[] = {x, align(router), align(up), align(down), y};
  void *workspace = align(memory);
  moe_rt rt;
  moe_rt_init(&rt, 2);
  rt.trace = trace;
  for (int i = 0; i < LAYER_0_NUM_LAYERS; ++i) {
    const moe_layer *layer = &layer_0__layers[i];
    size_t bytes = layer->workspace_bytes(sizes);
    if (bytes > sizeof(memory) - MOE_ALIGNMENT)
      return 1;
    printf("%s, layer %d: ", layer->name, (int)layer->layer);
    report(layer->invoke(&rt, sizes, buffers, workspace, bytes));
  }
  printf("layer_3 by its own name: ");
  report(layer_3(NULL, TOKENS, x, buffers[1], buffers[2], buffers[3], y,
                 workspace, layer_3_workspace_bytes(TOKENS)));
  return 0;
}
