/* A compiled function with a planted error. Built into a library that is loaded
 * in place of the artifact's and calls it; PLANT_INVOKE is the name of the
 * uniform entry. What is planted is in the environment:
 *
 *   PLANT=zeros | scale | column         in the result, of PLANT_WIDTH columns
 *   PLANT=swap | drop PLANT_ARGUMENT=n   in argument n, PLANT_BYTES bytes long:
 *                                        swaps what two experts have there, or
 *                                        clears what one has
 *   PLANT_ARGUMENTS=n PLANT_EXPERTS=n    how many there are
 *   PLANT_TYPE=f32 | bf16                of the result
 *
 * Experts are the two that most tokens go to, as a first call shows. */

#define _GNU_SOURCE
#include "moe-mlir/Runtime/moe_rt.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef int (*invoke_fn)(const moe_rt *, const int64_t *, void *const *, void *,
                         size_t);

static int64_t loads[4096];

static int64_t number(const char *name) {
  const char *text = getenv(name);
  return text ? atoll(text) : 0;
}

static void count(const moe_rt *rt, const moe_trace_event *event) {
  (void)rt;
  if (event->kind != MOE_TRACE_ROUTING)
    return;
  for (int64_t i = 0; i < event->tokens * event->slots; ++i)
    if (event->indices[i] >= 0 && event->indices[i] < number("PLANT_EXPERTS"))
      ++loads[event->indices[i]];
}

static int64_t busiest(int64_t except) {
  int64_t best = except == 0 ? 1 : 0;
  for (int64_t e = 0; e < number("PLANT_EXPERTS"); ++e)
    if (e != except && loads[e] > loads[best])
      best = e;
  return best;
}

/* One element of the result, whatever its type. */
static float load(const char *data, int64_t i, int narrow) {
  float value;
  uint32_t bits;
  if (!narrow) {
    memcpy(&value, data + 4 * i, 4);
    return value;
  }
  bits = (uint32_t)((const uint16_t *)data)[i] << 16;
  memcpy(&value, &bits, 4);
  return value;
}

static void store(char *data, int64_t i, int narrow, float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if (narrow)
    ((uint16_t *)data)[i] =
        (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  else
    memcpy(data + 4 * i, &value, 4);
}

int PLANT_INVOKE(const moe_rt *rt, const int64_t *sizes, void *const *buffers,
                 void *workspace, size_t bytes) {
  union {
    void *pointer;
    invoke_fn function;
  } original;
  original.pointer = dlsym(RTLD_NEXT, PLANT_NAME);
  const char *plant = getenv("PLANT");
  int64_t arguments = number("PLANT_ARGUMENTS");
  if (!strcmp(plant, "swap") || !strcmp(plant, "drop")) {
    moe_rt counting = *rt;
    counting.trace = count;
    int status = original.function(&counting, sizes, buffers, workspace, bytes);
    if (status)
      return status;
    void *changed[64];
    memcpy(changed, buffers, (arguments + 1) * sizeof(void *));
    size_t size = number("PLANT_BYTES"), own = size / number("PLANT_EXPERTS");
    char *copy = aligned_alloc(64, (size + 63) / 64 * 64);
    int64_t place = number("PLANT_ARGUMENT"), a = busiest(-1), b = busiest(a);
    memcpy(copy, buffers[place], size);
    if (!strcmp(plant, "drop")) {
      memset(copy + a * own, 0, own);
    } else {
      memcpy(copy + a * own, (char *)buffers[place] + b * own, own);
      memcpy(copy + b * own, (char *)buffers[place] + a * own, own);
    }
    changed[place] = copy;
    status = original.function(rt, sizes, changed, workspace, bytes);
    free(copy);
    return status;
  }
  int status = original.function(rt, sizes, buffers, workspace, bytes);
  int64_t width = number("PLANT_WIDTH"), count = sizes[0] * width;
  int narrow = !strcmp(getenv("PLANT_TYPE"), "bf16");
  char *result = buffers[arguments];
  for (int64_t i = 0; i < count; ++i) {
    if (!strcmp(plant, "zeros"))
      store(result, i, narrow, 0.0f);
    else if (!strcmp(plant, "scale"))
      store(result, i, narrow, 1.01f * load(result, i, narrow));
    else if (!strcmp(plant, "column") && i % width == width - 1)
      store(result, i, narrow, load(result, i - 1, narrow));
  }
  return status;
}
