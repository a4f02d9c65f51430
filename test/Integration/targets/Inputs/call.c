/* One function for the CPU and for devices: what it needs and runs, by the
   runtime that it is called with. Arguments: the kinds of runtimes. */
#include "layer.h"
#include "moe-mlir/Runtime/moe_cuda.h"
#include "moe-mlir/Runtime/moe_vulkan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tell(const moe_rt *rt, int status, const char *message) {
  (void)rt;
  printf("error %d: %s\n", status, message);
}

static void describe(const char *name, const moe_rt *rt) {
  const char *variant = layer__variant_on(rt);
  int64_t tokens = 100;
  size_t bytes = layer_workspace_bytes_on(rt, tokens);
  printf("%s: %s, %s\n", name, variant ? variant : "none",
         bytes == layer__invoke_workspace_on(rt, &tokens) ? "the same"
                                                          : "not the same");
  if (!variant)
    printf("%s: %u bytes, status %d\n", name, (unsigned)bytes,
           layer(rt, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0));
}

static int startNothing(const moe_rt *rt, const moe_launch *launch) {
  (void)rt;
  printf("  %s\n", launch->kernel);
  return 0;
}

/* Each plan is for the same argument in either layout. */
static void comparePlans(void) {
  for (int i = 0; i < LAYER_NUM_PLANS; ++i) {
    const moe_pack_plan *host = &layer__plans[i],
                        *device = &layer__plans__sm_80[i];
    printf("%s: %s, %d and %d columns\n", host->name,
           strcmp(host->name, device->name) ? device->name : "the same",
           (int)host->columns, (int)device->columns);
  }
  printf("layout: %d %d\n",
         strcmp(layer__plans[LAYER_ROUTER_WEIGHT_PLAN].id,
                MOE_LAYOUT_layer__router_weight),
         strcmp(layer__plans__sm_80[LAYER_ROUTER_WEIGHT_PLAN].id,
                MOE_LAYOUT_layer__router_weight__sm_80));
  printf("bytes: %d %d\n",
         layer__plans[LAYER_ROUTER_WEIGHT_PLAN].bytes ==
             LAYER_ROUTER_WEIGHT_BYTES,
         layer__plans__sm_80[LAYER_ROUTER_WEIGHT_PLAN].bytes ==
             LAYER_ROUTER_WEIGHT_BYTES__SM_80);
}

int main(void) {
  describe("null", NULL);
  printf("alike: %d\n",
         layer_workspace_bytes(100) == layer_workspace_bytes_on(NULL, 100));
  comparePlans();

  moe_rt rt;
  moe_rt_init(&rt, 1);
  rt.error = tell;
  rt.launch = startNothing;
  describe("unnamed", &rt);
  rt.device = "vulkan";
  describe("vulkan", &rt);
  rt.device = "nvidia";
  for (int model = 70; model <= 120; model += 10) {
    rt.device_model = model;
    char name[16];
    snprintf(name, sizeof(name), "nvidia %d", model);
    describe(name, &rt);
  }
  rt.device = "amd";
  describe("amd", &rt);
  size_t host = layer_workspace_bytes(100000);
  rt.device = "vulkan";
  printf("more for vulkan: %d\n", layer_workspace_bytes_on(&rt, 100000) > host);
  /* The CPU's workspace is not the device's. */
  void *memory = aligned_alloc(64, (host + 63) / 64 * 64);
  printf("status %d\n", layer(&rt, 100000, memory, memory, memory, memory,
                              memory, memory, host));
  free(memory);

  char message[512];
  moe_cuda *cuda;
  if (moe_cuda_open(0, &cuda, message, sizeof(message))) {
    printf("%s\n", message);
    return 1;
  }
  describe("cuda", moe_cuda_rt(cuda));
  moe_cuda_close(cuda);
  return 0;
}
