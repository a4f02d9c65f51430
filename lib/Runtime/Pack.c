/*===- Pack.c - Weights in the layout of the kernels ---------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* A panel is mostly a transposition of some 32 rows. It is done in strips of a
|* few cache lines along K: each line of a source is read once, converted in a
|* buffer that stays in registers or L1, and scattered into a strip of the panel
|* that stays in L1, too.
|*
\*===----------------------------------------------------------------------===*/

#include "PackBoxes.h"
#include "moe-mlir/Runtime/moe_rt_layout.h"
#include "moe-mlir/Support/float_bits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*===----------------------------------------------------------------------===*/
/* Elements                                                                   */
/*===----------------------------------------------------------------------===*/

/* K elements per strip: 4 cache lines of f32. */
enum { strip = 64 };

/* Whether elements can be rounded from and to this type. */
static int is_convertible(int64_t dtype) {
  return dtype == MOE_F32 || dtype == MOE_BF16 || dtype == MOE_F16;
}

/* 0 for types that nobody knows. */
static size_t size_of(int64_t dtype) {
  switch (dtype) {
  case MOE_F32:
  case MOE_I32:
    return 4;
  case MOE_BF16:
  case MOE_F16:
    return 2;
  case MOE_I8:
  case MOE_F8E4M3:
  case MOE_F8E8M0:
    return 1;
  default:
    return 0;
  }
}

static int is_integer(int64_t dtype) {
  return dtype == MOE_I8 || dtype == MOE_I32;
}

/* Whether tensors of `given` can be packed where the model has `wanted`. */
static int fits_type(const moe_pack_plan *plan, int64_t given, int64_t wanted) {
  if (!moe_pack_is_blocks(plan))
    return is_convertible(given);
  /* Bytes are copied: an integer of the model may stand for what it likes. */
  return given == wanted ||
         (is_integer(wanted) && size_of(given) == size_of(wanted));
}

/* Rounds `count` elements, at most a strip, to nearest even. Widening is exact,
   so that going through f32 rounds once. */
static void convert(int64_t from, const void *source, int64_t to, void *out,
                    int64_t count) {
  float wide[strip];
  float *widened = to == MOE_F32 ? (float *)out : wide;
  const float *rounding = (const float *)source;
  const uint16_t *half = (const uint16_t *)source;
  uint16_t *narrow = (uint16_t *)out;
  if (from == to) {
    memcpy(out, source, (size_t)count * size_of(from));
    return;
  }
  if (from == MOE_BF16)
    for (int64_t i = 0; i < count; ++i)
      widened[i] = moe_bf16_to_f32(half[i]);
  else if (from == MOE_F16)
    for (int64_t i = 0; i < count; ++i)
      widened[i] = moe_f16_to_f32(half[i]);
  if (from != MOE_F32)
    rounding = widened;
  if (to == MOE_BF16)
    for (int64_t i = 0; i < count; ++i)
      narrow[i] = moe_f32_to_bf16(rounding[i]);
  else if (to == MOE_F16)
    for (int64_t i = 0; i < count; ++i)
      narrow[i] = moe_f32_to_f16(rounding[i]);
}

/* Copies `count` units of `unit` bytes, a constant, between places that are
   `from_step` and `to_step` bytes apart. */
static inline void copy_units(char *to, size_t to_step, const char *from,
                              size_t from_step, size_t unit, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    memcpy(to + (size_t)i * to_step, from + (size_t)i * from_step, unit);
}

static void copy(char *to, size_t to_step, const char *from, size_t from_step,
                 size_t unit, int64_t count) {
  if (unit == 2)
    copy_units(to, to_step, from, from_step, 2, count);
  else if (unit == 4)
    copy_units(to, to_step, from, from_step, 4, count);
  else
    copy_units(to, to_step, from, from_step, 8, count);
}

/* `count` elements, at most a strip, that are `stride` elements apart, rounded
   to `to` and side by side. */
static void load(int64_t from, const char *source, int64_t stride, int64_t to,
                 void *out, int64_t count) {
  char gathered[strip * sizeof(float)];
  size_t size = size_of(from);
  if (stride != 1) {
    copy(gathered, size, source, (size_t)stride * size, size, count);
    source = gathered;
  }
  convert(from, source, to, out, count);
}

/*===----------------------------------------------------------------------===*/
/* Panels                                                                     */
/*===----------------------------------------------------------------------===*/

/* Packs `b` of `source`, which is within the strip of a panel that begins at
   row `n` and column `k`, and at `out`. The tensor's data begins with its
   element `first_element`. */
static void pack_box(const moe_pack_plan *plan, const moe_pack_source *source,
                     const moe_tensor *tensor, int64_t first_element,
                     int64_t expert, box b, int64_t n, int64_t k, char *out) {
  char line[strip * sizeof(float)];
  size_t from_size = size_of(tensor->dtype), size = size_of(plan->dtype);
  int64_t n_stride = source->strides[1], k_stride = source->strides[2];
  size_t unit = (size_t)plan->k_block * size;
  size_t row_of_units = (size_t)plan->columns * unit;
  const char *from =
      (const char *)tensor->data +
      (source->offset - first_element +
       (expert - source->first_expert) * source->strides[0] +
       (b.n_begin - source->first_n) * n_stride +
       (b.k_begin - source->first_k) * k_stride) *
          (int64_t)from_size;
  int64_t rows = b.n_end - b.n_begin, count = b.k_end - b.k_begin;
  out += (size_t)(b.n_begin - n) * unit;
  out += (size_t)(source->part * plan->interleave) * unit;

  if (n_stride < k_stride) {
    /* Lines of the source are along N, and so are the panel's. */
    for (int64_t j = 0; j < count; ++j) {
      int64_t at = b.k_begin - k + j;
      char *to = out + (size_t)(at / plan->k_block) * row_of_units +
                 (size_t)(at % plan->k_block) * size;
      const char *row = from + j * k_stride * (int64_t)from_size;
      for (int64_t i = 0; i < rows; i += strip) {
        int64_t some = smaller(strip, rows - i);
        load(tensor->dtype, row + i * n_stride * (int64_t)from_size, n_stride,
             plan->dtype, line, some);
        copy(to + (size_t)i * unit, unit, line, size, size, some);
      }
    }
    return;
  }
  /* Units that this source fills as a whole, and elements around them. */
  int64_t first = b.k_begin - k, last = first + count;
  int64_t block = plan->k_block;
  int64_t first_unit = (first + block - 1) / block, last_unit = last / block;
  for (int64_t i = 0; i < rows; ++i) {
    const char *row = from + i * n_stride * (int64_t)from_size;
    char *to = out + (size_t)i * unit;
    /* The hardware does not foresee 32 streams: ask for the next strip. Rows
       are often a power of two apart, which the first cache cannot hold. */
    int64_t next = smaller(
        strip, source->first_k + source->sizes[2] - b.k_end);
    if (k_stride == 1)
      for (int64_t byte = 0; byte < next * (int64_t)from_size; byte += 64)
        __builtin_prefetch(row + count * (int64_t)from_size + byte, 0, 2);
    load(tensor->dtype, row, k_stride, plan->dtype, line, count);
    if (first_unit < last_unit)
      copy(to + (size_t)first_unit * row_of_units, row_of_units,
           line + (size_t)(first_unit * block - first) * size, unit, unit,
           last_unit - first_unit);
    for (int64_t at = first; at < last; ++at) {
      if (at == first_unit * block && first_unit < last_unit)
        at = last_unit * block;
      if (at < last)
        copy(to + (size_t)(at / block) * row_of_units +
                 (size_t)(at % block) * size,
             size, line + (size_t)(at - first) * size, size, size, 1);
    }
  }
}

void moe_pack_panel(const moe_pack_plan *plan, const moe_tensor *tensors,
                    const int64_t *first_elements, int64_t expert,
                    int64_t panel, void *out) {
  if (moe_pack_is_blocks(plan)) {
    moe_pack_blocks_panel(plan, tensors, first_elements, expert, panel, out);
    return;
  }
  panel_place place = find_panel(plan, expert, panel);
  int64_t n = place.limits.n_begin;
  size_t column_bytes = (size_t)plan->columns * size_of(plan->dtype);
  for (int64_t k = 0; k < plan->k_padded; k += strip) {
    box limits = {n, place.limits.n_end, k, smaller(k + strip, plan->k_padded)};
    char *to = (char *)out + (size_t)k * column_bytes;
    int64_t width = limits.k_end - k, filled = 0;
    for (int64_t s = place.begin; s < place.end; ++s)
      if (belongs(plan, &plan->sources[s], expert, place.part))
        filled += area(intersect(&plan->sources[s], limits));
    if (filled != width * plan->columns)
      memset(to, 0, (size_t)width * column_bytes);
    for (int64_t s = place.begin; s < place.end; ++s) {
      const moe_pack_source *source = &plan->sources[s];
      box b = intersect(source, limits);
      if (belongs(plan, source, expert, place.part) && area(b))
        pack_box(plan, source, &tensors[source->tensor],
                 first_elements ? first_elements[source->tensor] : 0, expert, b,
                 n, k, to);
    }
  }
}

/*===----------------------------------------------------------------------===*/
/* Whole arguments                                                            */
/*===----------------------------------------------------------------------===*/

static int fail(const moe_rt *rt, int status, const char *format, ...) {
  char text[320];
  va_list arguments;
  if (!rt->error)
    return status;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  rt->error(rt, status, text);
  return status;
}

typedef struct {
  char text[96];
} shape_text;

/* "[4x32]" */
static shape_text describe_shape(const moe_tensor *tensor) {
  shape_text shape = {"["};
  size_t used = 1;
  for (int32_t d = 0; d < tensor->rank && used < sizeof(shape.text) - 1; ++d) {
    int length = snprintf(shape.text + used, sizeof(shape.text) - used,
                          "%s%" PRId64, d ? "x" : "", tensor->shape[d]);
    used += length > 0 ? (size_t)length : 0;
  }
  if (used < sizeof(shape.text) - 1)
    shape.text[used] = ']';
  return shape;
}

/* Whether shapes differ in nothing but dimensions of 1 in front. */
static int have_same_shape(const moe_tensor *a, const moe_tensor *b) {
  int32_t i = 0, j = 0;
  while (i < a->rank && a->shape[i] == 1)
    ++i;
  while (j < b->rank && b->shape[j] == 1)
    ++j;
  if (a->rank - i != b->rank - j)
    return 0;
  for (; i < a->rank; ++i, ++j)
    if (a->shape[i] != b->shape[j])
      return 0;
  return 1;
}

/* What is wrong with tensor number `i` for `plan`, if anything is. */
static int check_tensor(const moe_rt *rt, const moe_pack_plan *plan, int64_t i,
                        const moe_tensor *given) {
  const moe_tensor *wanted = &plan->tensors[i];
  if (given->name && strcmp(given->name, wanted->name))
    return fail(rt, MOE_ERR_BAD_VALUE,
                "packing '%s': tensor %" PRId64 " is '%s', and the plan wants "
                "'%s' there",
                plan->name, i, given->name, wanted->name);
  if (!given->data || (given->rank && !given->shape))
    return fail(rt, MOE_ERR_NULL_ARGUMENT,
                "packing '%s': tensor '%s' has no data or no shape", plan->name,
                wanted->name);
  if (!size_of(given->dtype))
    return fail(rt, MOE_ERR_BAD_VALUE,
                "packing '%s': tensor '%s' has dtype %d, which is no moe_dtype",
                plan->name, wanted->name, (int)given->dtype);
  if (!fits_type(plan, given->dtype, wanted->dtype))
    return fail(rt, MOE_ERR_BAD_VALUE,
                "packing '%s': tensor '%s' has dtype %d, and the model has %d, "
                "which it cannot be converted to",
                plan->name, wanted->name, (int)given->dtype,
                (int)wanted->dtype);
  if (!have_same_shape(given, wanted))
    return fail(rt, MOE_ERR_BAD_SIZE,
                "packing '%s': tensor '%s' is %s, and the model has %s",
                plan->name, wanted->name, describe_shape(given).text,
                describe_shape(wanted).text);
  if ((uintptr_t)given->data % size_of(given->dtype))
    return fail(rt, MOE_ERR_ALIGNMENT,
                "packing '%s': tensor '%s' is not aligned to its elements",
                plan->name, wanted->name);
  return MOE_OK;
}

/* The fields that plans have had from the beginning, and with blocks. */
enum {
  least_size = offsetof(moe_pack_plan, sources) + sizeof(void *),
  least_size_of_blocks = offsetof(moe_pack_plan, orders) + sizeof(void *)
};

/* Whether this library knows all that `plan` asks for. */
static int knows(const moe_pack_plan *plan) {
  if (plan->size < (size_t)least_size)
    return 0;
  if (!moe_pack_is_blocks(plan))
    return !strcmp(plan->layout, "panels") && is_convertible(plan->dtype);
  return plan->size >= (size_t)least_size_of_blocks && plan->dtype == MOE_I8 &&
         plan->num_storage <= moe_pack_max_storage;
}

typedef struct {
  const moe_pack_plan *plan;
  const moe_tensor *tensors;
  int64_t panels;
  size_t panel_bytes;
  char *out;
  int64_t bad_item; /* The first that has what cannot be packed. */
} pack_job;

static void check_item(void *arg, int64_t item) {
  pack_job *job = (pack_job *)arg;
  int64_t first = __atomic_load_n(&job->bad_item, __ATOMIC_RELAXED);
  if (item > first ||
      !moe_pack_check_panel(job->plan, job->tensors, NULL, item / job->panels,
                            item % job->panels, NULL, 0))
    return;
  while (item < first &&
         !__atomic_compare_exchange_n(&job->bad_item, &first, item, 0,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    ;
}

static void pack_item(void *arg, int64_t item) {
  const pack_job *job = (const pack_job *)arg;
  moe_pack_panel(job->plan, job->tensors, NULL, item / job->panels,
                 item % job->panels, job->out + (size_t)item * job->panel_bytes);
}

int moe_pack(const moe_rt *rt, const moe_pack_plan *plan,
             const moe_tensor *tensors, void *out, size_t out_bytes) {
  if (!rt)
    rt = moe_rt_default();
  if (rt->abi != MOE_RT_ABI || rt->size < MOE_RT_LEAST_SIZE)
    return MOE_ERR_BAD_ABI;
  if (!plan)
    return fail(rt, MOE_ERR_NULL_ARGUMENT, "packing: the plan is null");
  if (!knows(plan))
    return fail(rt, MOE_ERR_BAD_ABI,
                "packing: this libmoe_rt does not know such a plan; it is "
                "older than the artifact");
  if (!rt->parallel_for || !tensors || !out)
    return fail(rt, MOE_ERR_NULL_ARGUMENT, "packing '%s': %s null", plan->name,
                !tensors ? "the list of tensors is"
                : !out   ? "'out' is"
                         : "the parallel_for hook is");
  if (out_bytes < plan->bytes)
    return fail(rt, MOE_ERR_BAD_SIZE,
                "packing '%s': 'out' has %zu bytes, and it takes %zu",
                plan->name, out_bytes, plan->bytes);
  if ((uintptr_t)out % MOE_ALIGNMENT)
    return fail(rt, MOE_ERR_ALIGNMENT,
                "packing '%s': 'out' is not aligned to %d bytes", plan->name,
                MOE_ALIGNMENT);
  for (int64_t i = 0; i < plan->num_tensors; ++i) {
    int status = check_tensor(rt, plan, i, &tensors[i]);
    if (status != MOE_OK)
      return status;
  }
  pack_job job = {plan, tensors, plan->n_padded / plan->columns, 0, out, 0};
  int64_t items = plan->experts * job.panels;
  job.panel_bytes = plan->bytes / (size_t)items;
  job.bad_item = items;
  if (moe_pack_is_blocks(plan))
    rt->parallel_for(rt, items, check_item, &job);
  if (job.bad_item != items) {
    char text[200];
    moe_pack_check_panel(plan, tensors, NULL, job.bad_item / job.panels,
                         job.bad_item % job.panels, text, sizeof(text));
    return fail(rt, MOE_ERR_BAD_VALUE, "packing '%s': %s", plan->name, text);
  }
  rt->parallel_for(rt, items, pack_item, &job);
  return MOE_OK;
}
