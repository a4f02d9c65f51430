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

/** Types of elements of weights. New ones may come. Integers have a sign or none
 *  and are what weights are stored in, as are floats of 8 bits: not what panels
 *  are packed from. */
enum moe_dtype {
  MOE_F32 = 0,
  MOE_BF16 = 1,
  MOE_F16 = 2,
  MOE_I8 = 3,
  MOE_I32 = 4,
  MOE_F8E4M3 = 5, /**< Without infinities. */
  MOE_F8E8M0 = 6, /**< A power of two; 0xff is NaN. */
  /** Of fields alone: each four bits of a byte are two places of four, the first
   *  in the lower two bits, the second behind it. */
  MOE_PLACES = 7,
  /** Of fields alone, with `limit << 8` added: i32, each more than the one before
   *  and below `limit`. */
  MOE_ASCENDING = 8
};

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
  /** Which of the plan's tensors; of blocks the first of `num_storage`, whose
   *  elements are counted as if they were those of the matrices they store. */
  int64_t tensor;
  int64_t part;   /**< 0; of two parts 0 (gate) or 1 (up). */
  /** Where the box begins: its expert, and its row and column of the `[N, K]`
   *  matrices that are packed. */
  int64_t first_expert, first_n, first_k;
  int64_t offset, sizes[3], strides[3];
} moe_pack_source;

/** Numbers of a block, as blocks are packed. */
typedef struct moe_pack_field {
  int64_t storage; /**< In which of the `num_storage` tensors they are. */
  int64_t offset;  /**< From which byte of the block's in that on. */
  int64_t bytes;   /**< How many they are. */
  int64_t unit;    /**< How many of them stay together; a divisor of `bytes`. */
  int64_t dtype;   /**< A moe_dtype: floats have to be finite, and so on. */
} moe_pack_field;

/** A tensor that blocks are stored in. */
typedef struct moe_pack_storage {
  int64_t bytes; /**< Of one block. */
  /** Rows and blocks that share them; 0 blocks for all of a row. The tensor is
   *  `[..., N / rows, K / k_block / blocks, bytes]`, rounded up. */
  int64_t rows, blocks;
} moe_pack_storage;

/** The size of the matrices that the tensors of a source store. */
typedef struct moe_pack_matrix {
  int64_t n, k;
} moe_pack_matrix;

/** A digit of an index i: i / weight % size; the next one is `stride` numbers
 *  away. */
typedef struct moe_pack_digit {
  int64_t weight, size, stride;
} moe_pack_digit;

/** Where a storage tensor has the numbers of a matrix, if not row after row:
 *  number p of row n is number `first` + the sum of the digits of n and of p
 *  times their strides. Digits that are not needed have size 1. */
typedef struct moe_pack_order {
  int64_t bits;  /**< Of a number, from the lowest of its byte on. */
  int64_t width; /**< Of it in a block: at least as many; 0 if there is no order. */
  int64_t first;
  moe_pack_digit rows[3], places[3];
} moe_pack_order;

/** How an argument is packed. As "panels":
 *
 *    [experts][n_padded / columns][k_padded / k_block][columns][k_block]
 *
 *  As "blocks", which are of `k_block` weights, copied as they are stored:
 *
 *    [experts][n_padded / columns][k_padded / k_block] of, for each field,
 *        [bytes / unit][columns][unit]
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
  const char *layout; /**< "panels" or "blocks". */
  size_t bytes;       /**< What the packed argument takes. */
  int64_t columns, interleave, parts, k_block, k_padded, n_padded, experts;
  int64_t dtype; /**< The moe_dtype of the packed elements. */
  int64_t num_tensors;
  const moe_tensor *tensors;
  int64_t num_sources;
  const moe_pack_source *sources;
  /** Of blocks only, from here on. */
  int64_t num_fields;
  const moe_pack_field *fields;
  int64_t num_storage;
  const moe_pack_storage *storage;
  const moe_pack_matrix *matrices; /**< One for each source. */
  const moe_pack_order *orders;    /**< One for each tensor, or null. */
} moe_pack_plan;

/** Packs `tensors`, those of `plan->tensors` in that order, into the
 *  `plan->bytes` first of `out_bytes` bytes at `out`, which has MOE_ALIGNMENT.
 *  A tensor has the shape that the plan says (dimensions of 1 in front do not
 *  matter). For panels it is of f32, bf16 or f16, whatever the plan says:
 *  elements are rounded to nearest even to what the plan packs. For blocks it
 *  has the plan's dtype; where that is an integer, any of as many bits. Its name
 *  may be null. `rt` may be null, too; its parallel_for
 *  does the work, and its error hook is told what is wrong:
 *
 *    MOE_ERR_NULL_ARGUMENT  the plan, a tensor's data, or `out` is null
 *    MOE_ERR_BAD_SIZE       a tensor has another shape, or `out_bytes` is less
 *    MOE_ERR_BAD_VALUE      a tensor has another name or a dtype that does not
 *                           fit, or a field of blocks a float that is not finite
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
