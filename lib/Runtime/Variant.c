/*===- Variant.c - Which code of an artifact runs ------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* The choice itself is a function of its arguments; what this process and its
|* CPU are comes to it here.
|*
\*===----------------------------------------------------------------------===*/

#include "moe-mlir/Runtime/moe_rt_layout.h"
#include "moe-mlir/Runtime/moe_variant.h"

#include <stdlib.h>
#include <string.h>

/*===----------------------------------------------------------------------===*\
|* The choice
\*===----------------------------------------------------------------------===*/

static int runs(const moe_variant *variant, const moe_cpu *cpu) {
  return (variant->needs & ~cpu->features) == 0;
}

static int isMadeFor(const moe_variant *variant, uint64_t model) {
  for (int64_t i = 0; i < variant->num_models; ++i)
    if (model >= variant->models[i].first && model <= variant->models[i].last)
      return 1;
  return 0;
}

/* By model, calibration and features. */
static int32_t chooseBest(const moe_variants *variants, const moe_cpu *cpu) {
  /* The last one of each kind: whether it is made for models, and whether it
     multiplies bf16 by instructions for that. */
  int32_t last[2][2] = {{MOE_VARIANT_NONE, MOE_VARIANT_NONE},
                        {MOE_VARIANT_NONE, MOE_VARIANT_NONE}};
  int32_t own = MOE_VARIANT_NONE;
  for (int32_t i = 0; i < variants->count; ++i) {
    const moe_variant *variant = &variants->variants[i];
    if (!runs(variant, cpu))
      continue;
    if (isMadeFor(variant, cpu->model))
      own = i;
    last[variant->num_models > 0]
        [(variant->traits & MOE_VARIANT_NARROWS_ROWS) != 0] = i;
  }
  if (own >= 0)
    return own;
  for (int restricted = 0; restricted < 2; ++restricted) {
    int32_t widens = last[restricted][0], narrows = last[restricted][1];
    if (widens >= 0 && (widens > narrows || cpu->bf16_speed == MOE_BF16_SLOW))
      return widens;
    if (narrows >= 0)
      return narrows;
  }
  return MOE_VARIANT_NONE;
}

int32_t moe_rt_choose_variant_for(const moe_variants *variants,
                                  const moe_cpu *cpu) {
  if (!cpu->wanted || !*cpu->wanted)
    return chooseBest(variants, cpu);
  for (const char *name = cpu->wanted; name;) {
    const char *end = strchr(name, ',');
    size_t length = end ? (size_t)(end - name) : strlen(name);
    if (length == 1 && *name == '*')
      return chooseBest(variants, cpu);
    for (int32_t i = 0; i < variants->count; ++i) {
      const moe_variant *variant = &variants->variants[i];
      if (strlen(variant->name) == length &&
          memcmp(variant->name, name, length) == 0 && runs(variant, cpu))
        return i;
    }
    name = end ? end + 1 : NULL;
  }
  return MOE_VARIANT_NONE;
}

/*===----------------------------------------------------------------------===*\
|* This process
\*===----------------------------------------------------------------------===*/

/* A moe_bf16_speed. */
static int32_t knownSpeed = MOE_BF16_UNKNOWN;

/* A kernel of dot products also has to round its rows, and one that widens
   hides some of that behind loads: near one they are equal. */
static int32_t getSpeed(const moe_calibration *calibration) {
  if (calibration->bf16 == 0)
    return MOE_BF16_UNKNOWN;
  return calibration->bf16 < calibration->fma / 10 * 9 ? MOE_BF16_SLOW
                                                       : MOE_BF16_FAST;
}

int moe_rt_set_calibration(const moe_calibration *calibration) {
  int32_t speed = MOE_BF16_UNKNOWN;
  if (calibration) {
    if (calibration->size < MOE_CALIBRATION_LEAST_SIZE)
      return MOE_ERR_BAD_SIZE;
    if (calibration->model != moe_rt_cpu_model() || calibration->fma <= 0 ||
        calibration->bf16 < 0)
      return MOE_ERR_BAD_VALUE;
    speed = getSpeed(calibration);
  }
  __atomic_store_n(&knownSpeed, speed, __ATOMIC_RELAXED);
  return MOE_OK;
}

/* Whether the speed of instructions for bf16 decides, nobody knows it, and it
   may be measured. */
static int wantsCalibration(const moe_variants *variants, const moe_cpu *cpu) {
  const char *allowed = getenv("MOE_CALIBRATE");
  if (cpu->bf16_speed != MOE_BF16_UNKNOWN || !allowed ||
      strcmp(allowed, "1") != 0)
    return 0;
  moe_cpu slow = *cpu;
  slow.bf16_speed = MOE_BF16_SLOW;
  return moe_rt_choose_variant_for(variants, cpu) !=
         moe_rt_choose_variant_for(variants, &slow);
}

int32_t moe_rt_choose_variant(const moe_variants *variants, int32_t *choice) {
  int32_t chosen = __atomic_load_n(choice, __ATOMIC_RELAXED);
  if (chosen != MOE_VARIANT_NOT_CHOSEN)
    return chosen;
  moe_cpu cpu = {moe_rt_cpu_features(), moe_rt_cpu_model(),
                 __atomic_load_n(&knownSpeed, __ATOMIC_RELAXED),
                 getenv("MOE_VARIANT")};
  if (wantsCalibration(variants, &cpu)) {
    moe_calibration calibration = {.size = sizeof(calibration)};
    moe_rt_calibrate(&calibration);
    /* Who was first counts, for all artifacts of the process. */
    int32_t speed = getSpeed(&calibration);
    if (__atomic_compare_exchange_n(&knownSpeed, &cpu.bf16_speed, speed, 0,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      cpu.bf16_speed = speed;
  }
  int32_t mine = moe_rt_choose_variant_for(variants, &cpu);
  return __atomic_compare_exchange_n(choice, &chosen, mine, 0, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED)
             ? mine
             : chosen;
}

const char *moe_rt_variant_name(const moe_variants *variants, int32_t *choice) {
  int32_t chosen = moe_rt_choose_variant(variants, choice);
  return chosen < 0 ? NULL : variants->variants[chosen].name;
}

/*===----------------------------------------------------------------------===*\
|* The message
\*===----------------------------------------------------------------------===*/

static int isOfThisVersion(const moe_rt *rt) {
  return rt->abi == MOE_RT_ABI && rt->size >= MOE_RT_LEAST_SIZE;
}

/* A message that ends where its room does. */
typedef struct {
  char text[1024];
  size_t length;
} sentence;

static void append(sentence *s, const char *text) {
  size_t room = sizeof(s->text) - 1 - s->length, length = strlen(text);
  length = length < room ? length : room;
  memcpy(s->text + s->length, text, length);
  s->length += length;
  s->text[s->length] = '\0';
}

int moe_rt_no_variant(const moe_rt *rt, const moe_variants *variants,
                      const char *function) {
  if (!rt)
    rt = moe_rt_default();
  if (!isOfThisVersion(rt))
    return MOE_ERR_BAD_ABI;
  if (!rt->error)
    return MOE_ERR_UNSUPPORTED_CPU;
  const char *wanted = getenv("MOE_VARIANT");
  moe_cpu cpu = {moe_rt_cpu_features(), 0, MOE_BF16_UNKNOWN, NULL};
  sentence message = {.length = 0};
  append(&message, function);
  if (wanted && *wanted) {
    append(&message, ": MOE_VARIANT=");
    append(&message, wanted);
    append(&message,
           " names none that this CPU runs of the compiled targets (");
  } else {
    append(&message, ": this CPU runs none of the compiled targets (");
  }
  for (int64_t i = 0; i < variants->count; ++i) {
    const moe_variant *variant = &variants->variants[i];
    append(&message, i ? ", " : "");
    append(&message, variant->name);
    if (wanted && *wanted && !runs(variant, &cpu))
      append(&message, " for other CPUs");
  }
  append(&message, ")");
  rt->error(rt, MOE_ERR_UNSUPPORTED_CPU, message.text);
  return MOE_ERR_UNSUPPORTED_CPU;
}

/*===----------------------------------------------------------------------===*\
|* Devices
\*===----------------------------------------------------------------------===*/

/* Fields that an older runtime does not have are nulls. */
static int hasLaunch(const moe_rt *rt) {
  return rt->size >= offsetof(moe_rt, launch) + sizeof(rt->launch) &&
         rt->launch;
}

static const char *getDevice(const moe_rt *rt) {
  return rt->size >= offsetof(moe_rt, device) + sizeof(rt->device) ? rt->device
                                                                   : NULL;
}

static uint64_t getModel(const moe_rt *rt) {
  return rt->size >= offsetof(moe_rt, device_model) + sizeof(rt->device_model)
             ? rt->device_model
             : 0;
}

static int runsOnModel(const moe_device_variant *variant, uint64_t model) {
  if (variant->num_models == 0 || model == 0)
    return 1;
  for (int64_t i = 0; i < variant->num_models; ++i)
    if (model >= variant->models[i].first && model <= variant->models[i].last)
      return 1;
  return 0;
}

int32_t moe_rt_choose_device_variant(const moe_rt *rt,
                                     const moe_device_variants *devices) {
  /* One of another version is found by the code itself. */
  if (!rt || !isOfThisVersion(rt))
    return MOE_VARIANT_HOST;
  const char *device = getDevice(rt);
  if (!device && !hasLaunch(rt))
    return MOE_VARIANT_HOST;
  if (!device) {
    for (int64_t i = 1; i < devices->count; ++i)
      if (strcmp(devices->variants[i].device, devices->variants[0].device) != 0)
        return MOE_VARIANT_NONE;
    return (int32_t)(devices->count - 1);
  }
  for (int64_t i = devices->count; i-- > 0;)
    if (strcmp(devices->variants[i].device, device) == 0 &&
        runsOnModel(&devices->variants[i], getModel(rt)))
      return (int32_t)i;
  return MOE_VARIANT_NONE;
}

/* `90` behind the name of a device. */
static void appendModel(sentence *s, uint64_t model) {
  char digits[24];
  size_t at = sizeof(digits);
  digits[--at] = '\0';
  do
    digits[--at] = (char)('0' + model % 10);
  while (model /= 10);
  append(s, &digits[at]);
}

int moe_rt_no_device_variant(const moe_rt *rt, const moe_variants *host,
                             const moe_device_variants *devices,
                             const char *function) {
  if (!rt)
    rt = moe_rt_default();
  if (!isOfThisVersion(rt))
    return MOE_ERR_BAD_ABI;
  if (!rt->error)
    return MOE_ERR_DEVICE;
  const char *device = getDevice(rt);
  sentence message = {.length = 0};
  append(&message, function);
  if (!device && !hasLaunch(rt)) {
    append(&message, ": the runtime is for the CPU");
  } else {
    append(&message, ": the runtime is for a device");
    append(&message, device ? " of " : " that it does not name");
    append(&message, device ? device : "");
    if (getModel(rt)) {
      append(&message, ", model ");
      appendModel(&message, getModel(rt));
    }
  }
  append(&message, ", and there is code for ");
  for (int64_t i = 0; i < host->count; ++i) {
    append(&message, host->variants[i].name);
    append(&message, ", ");
  }
  for (int64_t i = 0; i < devices->count; ++i) {
    append(&message, i ? ", " : "");
    append(&message, devices->variants[i].name);
    append(&message, " (");
    append(&message, devices->variants[i].device);
    append(&message, ")");
  }
  append(&message, " alone");
  rt->error(rt, MOE_ERR_DEVICE, message.text);
  return MOE_ERR_DEVICE;
}
