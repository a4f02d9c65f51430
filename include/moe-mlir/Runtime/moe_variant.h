/*===- moe_variant.h - Which code of an artifact runs --------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM
Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* An artifact has code for several targets, its variants, and a table of those
|* for CPUs. Its functions ask here once and remember the answer. Those for
devices
|* are in a table of their own, in which each call looks for its runtime's. For
|* compiled code, and for tools that have to know what it will do; programs need
|* nothing of this.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_VARIANT_H
#define MOE_VARIANT_H

#include "moe-mlir/Runtime/moe_rt.h"

#ifdef __cplusplus
extern "C" {
#endif

/** CPUs as moe_rt_cpu_model() numbers them, from the first to the last. */
typedef struct moe_cpu_models {
  uint64_t first, last;
} moe_cpu_models;

/** Bits of what a variant does. New ones may come. */
enum moe_variant_trait {
  /** Rounds rows to bf16 where it multiplies with bf16, by instructions for
   *  that. Others widen the weights to f32. */
  MOE_VARIANT_NARROWS_ROWS = 1 << 0
};

typedef struct moe_variant {
  const char *name; /**< Of its target. */
  uint64_t needs;   /**< Bits of moe_rt_cpu_features(). */
  uint64_t traits;  /**< Bits of moe_variant_trait. */
  /** The CPUs that it is made for; none if it is for all that can run it. */
  int64_t num_models;
  const moe_cpu_models *models;
} moe_variant;

/** Better ones last. */
typedef struct moe_variants {
  /** In bytes: fields come at the end, as in moe_rt. */
  size_t size;
  int64_t count;
  const moe_variant *variants;
} moe_variants;

typedef struct moe_device_variant {
  const char *name;   /**< Of its target. */
  const char *device; /**< As in moe_rt. */
  /** The chips that run it, as `device_model` numbers them; none if all do. */
  int64_t num_models;
  const moe_cpu_models *models;
} moe_device_variant;

/** Better ones last. */
typedef struct moe_device_variants {
  /** In bytes: fields come at the end. */
  size_t size;
  int64_t count;
  const moe_device_variant *variants;
} moe_device_variants;

/** Choices that are no index of a variant. */
enum moe_variant_choice {
  MOE_VARIANT_NONE = -1,
  MOE_VARIANT_NOT_CHOSEN = -2,
  MOE_VARIANT_HOST = -3
};

/** What a calibration says of instructions that multiply bf16. */
enum moe_bf16_speed {
  MOE_BF16_UNKNOWN = 0,
  MOE_BF16_SLOW = 1, /**< Slower than to widen and to multiply f32. */
  MOE_BF16_FAST = 2
};

/** What a choice depends on. */
typedef struct moe_cpu {
  uint64_t features, model; /**< As moe_rt.h has them. */
  int32_t bf16_speed;       /**< A moe_bf16_speed. */
  const char *wanted;       /**< As MOE_VARIANT has it; null or empty if not. */
} moe_cpu;

/** The variant for a CPU, or MOE_VARIANT_NONE. Of those whose needs are there:
 *
 *   1. where names are wanted, the first of these, and no other. `*` among the
 *      names stands for what follows here;
 *   2. the one that is made for the CPU's model;
 *   3. one that is made for no model, or if there is none, one that is made for
 *      others: the last, but where instructions for bf16 are known to be slow,
 *      the last that does without. */
int32_t moe_rt_choose_variant_for(const moe_variants *variants,
                                  const moe_cpu *cpu);

/** The same for this CPU, the environment and the calibration. Remembered in
 *  `choice`, which begins as MOE_VARIANT_NOT_CHOSEN and never changes once it
 *  is something else: all threads get the same. */
int32_t moe_rt_choose_variant(const moe_variants *variants, int32_t *choice);

/** The name of that variant; null if there is none. */
const char *moe_rt_variant_name(const moe_variants *variants, int32_t *choice);

/** For a call of `function` that has no variant: tells the error hook why, and
 *  returns the status. */
int moe_rt_no_variant(const moe_rt *rt, const moe_variants *variants,
                      const char *function);

/** The variant for the device of a runtime: the last of that kind which its
 * chip runs. MOE_VARIANT_HOST if it is for the CPU, which a null one is, too;
 *  MOE_VARIANT_NONE if there is no code for it. */
int32_t moe_rt_choose_device_variant(const moe_rt *rt,
                                     const moe_device_variants *devices);

/** The same as moe_rt_no_variant() for a call by a runtime that there is no
 * code for. `host` are the variants for CPUs, none if its count is 0. */
int moe_rt_no_device_variant(const moe_rt *rt, const moe_variants *host,
                             const moe_device_variants *devices,
                             const char *function);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MOE_VARIANT_H */
