/*===- moe_pack_panel.h - One panel of packed weights --------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* What moe_pack() and the tools share: the bytes. Both sides are of one build;
|* nothing here is an interface for others.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_PACK_PANEL_H
#define MOE_PACK_PANEL_H

#include "moe-mlir/Runtime/moe_pack.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* It stays within what it is linked into: no program is to call it. */
#pragma GCC visibility push(hidden)

/** Packs panel `panel` of `expert` to `out`. There is a tensor for each of the
 *  plan's, in its order; only what the expert needs of it has to be there, and
 *  its data begins with its element `first_elements[i]` (of 0, if that is
 *  null). Nothing is checked. */
void moe_pack_panel(const moe_pack_plan *plan, const moe_tensor *tensors,
                    const int64_t *first_elements, int64_t expert,
                    int64_t panel, void *out);

/** Whether weights stay as they are stored. */
static inline int moe_pack_is_blocks(const moe_pack_plan *plan) {
  return !strcmp(plan->layout, "blocks");
}

/** Storage tensors that a format of blocks has at most. */
enum { moe_pack_max_storage = 8 };

/** The same for layout "blocks". */
void moe_pack_blocks_panel(const moe_pack_plan *plan, const moe_tensor *tensors,
                           const int64_t *first_elements, int64_t expert,
                           int64_t panel, void *out);

/** Whether a panel of blocks would have a float that is not finite. Then says
 *  which in `text_bytes` bytes at `text`, unless that is null. */
int moe_pack_check_panel(const moe_pack_plan *plan, const moe_tensor *tensors,
                         const int64_t *first_elements, int64_t expert,
                         int64_t panel, char *text, size_t text_bytes);

#pragma GCC visibility pop

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MOE_PACK_PANEL_H */
