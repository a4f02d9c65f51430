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

#pragma GCC visibility pop

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MOE_PACK_PANEL_H */
