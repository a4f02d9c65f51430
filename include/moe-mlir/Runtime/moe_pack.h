/*===- moe_pack.h - Packing weights that are in memory -------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Kernels read weights in the order in which they need them. An artifact has a
|* plan for each packed argument, made by moe-compile: which elements of which
|* tensors of the model go where. docs/abi.md has an example.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_PACK_H
#define MOE_PACK_H

#include "moe-mlir/Runtime/moe_rt.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Types of elements of weights. New ones may come. */
enum moe_dtype { MOE_F32 = 0, MOE_BF16 = 1, MOE_F16 = 2 };

/** A tensor of the model: contiguous and row-major. */
typedef struct moe_tensor {
  const char *name;
  int32_t dtype; /**< A moe_dtype. */
  int32_t rank;
  const int64_t *shape;
  const void *data; /**< Null in a plan, which only says what it wants. */
} moe_tensor;

/** A box of a packed argument, and what fills it: its element [e][n][k] is
 *  element `offset + e * strides[0] + n * strides[1] + k * strides[2]` of the
 *  tensor, for e, n and k below `sizes`. */
typedef struct moe_pack_source {
  int64_t tensor; /**< Which of the plan's tensors. */
  int64_t part;   /**< 0; of two parts 0 (gate) or 1 (up). */
  /** Where the box begins: its expert, and its row and column of the `[N, K]`
   *  matrices that are packed. */
  int64_t first_expert, first_n, first_k;
  int64_t offset, sizes[3], strides[3];
} moe_pack_source;

/** How an argument is packed:
 *
 *    [experts][n_padded / columns][k_padded / k_block][columns][k_block]
 *
 *  A column is a row of the `[N, K]` matrices. With `interleave` i, a panel
 *  holds i columns of part 0, then the same i of part 1. Without it, with two
 *  `parts`, all panels of part 0 come before those of part 1. What no source
 *  fills is zeros. */
typedef struct moe_pack_plan {
  /** In bytes: fields come at the end, as in moe_rt. */
  size_t size;
  const char *name;   /**< The argument. */
  const char *id;     /**< Of all that decides which bytes there are. */
  const char *layout; /**< "panels". */
  size_t bytes;       /**< What the packed argument takes. */
  int64_t columns, interleave, parts, k_block, k_padded, n_padded, experts;
  int64_t dtype; /**< The moe_dtype of the packed elements. */
  int64_t num_tensors;
  const moe_tensor *tensors;
  int64_t num_sources;
  const moe_pack_source *sources;
} moe_pack_plan;

/** Packs `tensors`, those of `plan->tensors` in that order, into the
 *  `plan->bytes` first of `out_bytes` bytes at `out`, which has MOE_ALIGNMENT.
 *  A tensor has the shape that the plan says (dimensions of 1 in front do not
 *  matter) and any moe_dtype: elements are rounded to nearest even to what the
 *  plan packs. Its name may be null. `rt` may be null, too; its parallel_for
 *  does the work, and its error hook is told what is wrong:
 *
 *    MOE_ERR_NULL_ARGUMENT  the plan, a tensor's data, or `out` is null
 *    MOE_ERR_BAD_SIZE       a tensor has another shape, or `out_bytes` is less
 *    MOE_ERR_BAD_VALUE      a tensor has another name or an unknown dtype
 *    MOE_ERR_ALIGNMENT      `out` or a tensor is not aligned
 *    MOE_ERR_BAD_ABI        the plan is newer than this library, or `rt` is of
 *                           another version
 *
 *  Nothing is written then. The bytes are those that moe-pack writes. */
int moe_pack(const moe_rt *rt, const moe_pack_plan *plan,
             const moe_tensor *tensors, void *out, size_t out_bytes);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MOE_PACK_H */
