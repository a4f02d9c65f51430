/*===- PackBlocks.c - Weights that stay as they are stored ---------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* A panel is a transposition of bytes: what some 32 rows have of a field comes
|* to lie side by side. It is done in strips of a few blocks, so that each line of
|* a source is read once and a strip of the panel stays in L1.
|*
\*===----------------------------------------------------------------------===*/

#include "PackBoxes.h"
#include "moe-mlir/Support/float_bits.h"

#include <inttypes.h>
#include <stdio.h>

/* Bytes of a row in a strip, about: two cache lines. */
enum { strip_bytes = 128 };

static int64_t bytes_per_element(int64_t dtype) {
  switch (dtype) {
  case MOE_F32:
  case MOE_I32:
    return 4;
  case MOE_BF16:
  case MOE_F16:
    return 2;
  default:
    return 1;
  }
}

/*===----------------------------------------------------------------------===*/
/* Where blocks are stored                                                    */
/*===----------------------------------------------------------------------===*/

/* What a panel has of one source, and where that is stored. */
typedef struct {
  const moe_pack_plan *plan;
  const moe_pack_source *source;
  moe_pack_matrix matrix;
  const moe_tensor *tensors;     /* Those of the source. */
  const int64_t *first_elements; /* Of them, or null. */
  int64_t expert;
  box b;
  int64_t first_block; /* Of a row of the tensor, for the first column of `b`. */
  int64_t num_blocks;
} stored_box;

static stored_box get_stored_box(const moe_pack_plan *plan, int64_t s,
                                 const moe_tensor *tensors,
                                 const int64_t *first_elements, int64_t expert,
                                 box limits) {
  const moe_pack_source *source = &plan->sources[s];
  stored_box stored = {plan,
                       source,
                       plan->matrices[s],
                       tensors + source->tensor,
                       first_elements ? first_elements + source->tensor : NULL,
                       expert,
                       intersect(source, limits),
                       0,
                       0};
  stored.first_block = (source->offset % stored.matrix.k + stored.b.k_begin -
                        source->first_k) /
                       plan->k_block;
  stored.num_blocks = (stored.b.k_end - stored.b.k_begin) / plan->k_block;
  return stored;
}

/* The row of the tensor's matrices, all of them counted, that is row `n`. */
static int64_t get_row(const stored_box *stored, int64_t n) {
  const moe_pack_source *source = stored->source;
  return (source->offset +
          (stored->expert - source->first_expert) * source->strides[0] +
          (n - source->first_n) * source->strides[1]) /
         stored->matrix.k;
}

/* What a storage tensor has for a row: its bytes from `from` on. With an order,
   its numbers are that many behind number `first` of the matrix there. */
typedef struct {
  const char *from;
  const moe_pack_order *order; /* Or null. */
  int64_t first;
} stored_line;

static int64_t sum_digits(const moe_pack_digit *digits, int64_t value) {
  int64_t sum = 0;
  for (int i = 0; i < 3; ++i) {
    int64_t digit = value;
    if (digits[i].size == 1)
      continue;
    if (digits[i].weight != 1)
      digit /= digits[i].weight;
    if (digit >= digits[i].size)
      digit %= digits[i].size;
    sum += digit * digits[i].stride;
  }
  return sum;
}

static const moe_pack_order *get_order(const stored_box *stored, int64_t t) {
  const moe_pack_order *orders = stored->plan->orders;
  if (!orders || !orders[stored->source->tensor + t].width)
    return NULL;
  return &orders[stored->source->tensor + t];
}

/* What storage tensor `t` has for row `n`. */
static stored_line get_line(const stored_box *stored, int64_t t, int64_t n) {
  const moe_pack_storage *storage = &stored->plan->storage[t];
  const moe_pack_order *order = get_order(stored, t);
  int64_t row = get_row(stored, n), size = stored->matrix.n;
  int64_t blocks = stored->matrix.k / stored->plan->k_block;
  int64_t lines = (size + storage->rows - 1) / storage->rows;
  int64_t groups =
      storage->blocks ? (blocks + storage->blocks - 1) / storage->blocks : 1;
  int64_t line = row / size * lines + row % size / storage->rows;
  int64_t from = line * groups * storage->bytes, first = 0;
  if (order) {
    first = order->first + sum_digits(order->rows, row % size);
    from = row / size * lines * groups * storage->bytes * order->bits /
           order->width;
  }
  if (stored->first_elements)
    from -= stored->first_elements[t] *
            bytes_per_element(stored->tensors[t].dtype);
  stored_line result = {(const char *)stored->tensors[t].data + from, order,
                        first};
  return result;
}

/* Byte `byte` of a line that has an order, as it would be without. */
static char get_byte(const stored_line *line, int64_t byte) {
  const moe_pack_order *order = line->order;
  if (order->bits >= 8) {
    int64_t size = order->bits / 8;
    int64_t at = line->first + sum_digits(order->places, byte / size);
    return line->from[at * size + byte % size];
  }
  uint32_t result = 0;
  int64_t count = 8 / order->width;
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = line->first + sum_digits(order->places, byte * count + i);
    uint32_t number = (uint8_t)line->from[at * order->bits / 8];
    number = number >> (at * order->bits % 8) & ((1u << order->bits) - 1);
    result |= number << (i * order->width);
  }
  return (char)result;
}

/* How far into its line block `block` is. */
static int64_t get_place(const moe_pack_storage *storage, int64_t block) {
  return storage->blocks ? block / storage->blocks * storage->bytes : 0;
}

/*===----------------------------------------------------------------------===*/
/* Packing                                                                    */
/*===----------------------------------------------------------------------===*/

static int64_t get_block_bytes(const moe_pack_plan *plan) {
  int64_t bytes = 0;
  for (int64_t f = 0; f < plan->num_fields; ++f)
    bytes += plan->fields[f].bytes;
  return bytes * plan->columns;
}

/* Copies `units` units of `unit` bytes, a constant, of each of `blocks`. */
static inline void copy_units(char *to, int64_t to_block, int64_t to_unit,
                              const char *from, int64_t from_block, size_t unit,
                              int64_t units, int64_t blocks) {
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t i = 0; i < units; ++i)
      memcpy(to + i * to_unit, from + (size_t)i * unit, unit);
    to += to_block;
    from += from_block;
  }
}

static void copy_field(char *to, int64_t to_block, int64_t to_unit,
                       const char *from, int64_t from_block,
                       const moe_pack_field *field, int64_t blocks) {
  size_t unit = (size_t)field->unit;
  int64_t units = field->bytes / field->unit;
  if (unit == 4)
    copy_units(to, to_block, to_unit, from, from_block, 4, units, blocks);
  else if (unit == 2)
    copy_units(to, to_block, to_unit, from, from_block, 2, units, blocks);
  else if (unit == 1)
    copy_units(to, to_block, to_unit, from, from_block, 1, units, blocks);
  else
    copy_units(to, to_block, to_unit, from, from_block, unit, units, blocks);
}

/* The same for one block, whose bytes begin with byte `from` of a line that has
   an order. */
static void gather_field(char *to, int64_t to_unit, const stored_line *line,
                         int64_t from, const moe_pack_field *field) {
  for (int64_t i = 0; i < field->bytes; ++i)
    to[i / field->unit * to_unit + i % field->unit] = get_byte(line, from + i);
}

/* Packs blocks [begin, end) of row `n`, whose storage is at `lines`, to the
   column at `out` of their strip. */
static void pack_blocks(const stored_box *stored, const stored_line *lines,
                        int64_t begin, int64_t end, int64_t column,
                        int64_t block_bytes, char *out) {
  const moe_pack_plan *plan = stored->plan;
  for (int64_t f = 0; f < plan->num_fields; ++f) {
    const moe_pack_field *field = &plan->fields[f];
    const moe_pack_storage *storage = &plan->storage[field->storage];
    const stored_line *line = &lines[field->storage];
    const char *from = line->from + field->offset;
    char *to = out + column * field->unit;
    int64_t to_unit = plan->columns * field->unit;
    if (line->order)
      for (int64_t block = begin; block < end; ++block)
        gather_field(to + (block - begin) * block_bytes, to_unit, line,
                     get_place(storage, stored->first_block + block) +
                         field->offset,
                     field);
    else if (storage->blocks == 1)
      copy_field(to, block_bytes, to_unit,
                 from + get_place(storage, stored->first_block + begin),
                 storage->bytes, field, end - begin);
    else
      for (int64_t block = begin; block < end; ++block)
        copy_field(to + (block - begin) * block_bytes, block_bytes, to_unit,
                   from + get_place(storage, stored->first_block + block), 0,
                   field, 1);
    out += field->bytes * plan->columns;
  }
}

/* Rows are often a power of two apart, in more streams than the hardware
   foresees: ask for the next strip. */
static void prefetch_blocks(const stored_box *stored, const stored_line *lines,
                            int64_t begin, int64_t end) {
  const moe_pack_plan *plan = stored->plan;
  for (int64_t t = 0; t < plan->num_storage; ++t) {
    const moe_pack_storage *storage = &plan->storage[t];
    const char *from =
        lines[t].from + get_place(storage, stored->first_block + begin);
    const char *last =
        lines[t].from + get_place(storage, stored->first_block + end);
    for (; from < last && !lines[t].order; from += 64)
      __builtin_prefetch(from, 0, 2);
  }
}

/* Rows of which a strip is packed together. */
enum { rows_at_once = 32 };

static void pack_rows(const stored_box *stored, int64_t begin, int64_t end,
                      int64_t column, char *out) {
  const moe_pack_plan *plan = stored->plan;
  stored_line lines[rows_at_once][moe_pack_max_storage];
  int64_t block_bytes = get_block_bytes(plan), row_bytes = 0;
  for (int64_t n = begin; n < end; ++n)
    for (int64_t t = 0; t < plan->num_storage; ++t)
      lines[n - begin][t] = get_line(stored, t, n);
  for (int64_t f = 0; f < plan->num_fields; ++f)
    row_bytes += plan->fields[f].bytes;
  int64_t strip = larger(strip_bytes / row_bytes, 1);
  out += (stored->b.k_begin / plan->k_block) * block_bytes;
  for (int64_t block = 0; block < stored->num_blocks; block += strip) {
    int64_t next = smaller(block + strip, stored->num_blocks);
    for (int64_t n = begin; n < end; ++n) {
      prefetch_blocks(stored, lines[n - begin], next,
                      smaller(next + strip, stored->num_blocks));
      pack_blocks(stored, lines[n - begin], block, next, column + n - begin,
                  block_bytes, out + block * block_bytes);
    }
  }
}

void moe_pack_blocks_panel(const moe_pack_plan *plan,
                           const moe_tensor *tensors,
                           const int64_t *first_elements, int64_t expert,
                           int64_t panel, void *out) {
  panel_place place = find_panel(plan, expert, panel);
  int64_t filled = 0;
  for (int64_t s = place.begin; s < place.end; ++s)
    if (belongs(plan, &plan->sources[s], expert, place.part))
      filled += area(intersect(&plan->sources[s], place.limits));
  if (filled != plan->k_padded * plan->columns)
    memset(out, 0,
           (size_t)(plan->k_padded / plan->k_block * get_block_bytes(plan)));
  for (int64_t s = place.begin; s < place.end; ++s) {
    const moe_pack_source *source = &plan->sources[s];
    if (!belongs(plan, source, expert, place.part))
      continue;
    stored_box stored = get_stored_box(plan, s, tensors, first_elements, expert,
                                       place.limits);
    if (area(stored.b) == 0)
      continue;
    int64_t column = source->part * plan->interleave - place.limits.n_begin;
    for (int64_t n = stored.b.n_begin; n < stored.b.n_end; n += rows_at_once)
      pack_rows(&stored, n, smaller(n + rows_at_once, stored.b.n_end),
                column + n, (char *)out);
  }
}

/*===----------------------------------------------------------------------===*/
/* Checking                                                                   */
/*===----------------------------------------------------------------------===*/

/* Whether in each four bits the upper two are more than the lower two. */
static int has_order(uint8_t places) {
  return (places & 3) < (places >> 2 & 3) && (places >> 4 & 3) < places >> 6;
}

/* Null for one that is finite, or no float. */
static const char *get_trouble(int64_t dtype, const char *at) {
  uint32_t bits = 0, infinity, magnitude;
  size_t size = (size_t)bytes_per_element(dtype);
  if (dtype == MOE_I8 || dtype == MOE_I32)
    return NULL;
  /* The bits on top, the sign first: below infinity all is finite. */
  memcpy(&bits, at, size);
  bits <<= 8 * (sizeof(bits) - size);
  magnitude = bits & 0x7fffffffu;
  if (dtype == MOE_F8E4M3)
    return magnitude == 0x7f000000u ? "nan" : NULL;
  if (dtype == MOE_F8E8M0)
    return bits == 0xff000000u ? "nan" : NULL;
  if (dtype == MOE_PLACES)
    return has_order((uint8_t)*at) ? NULL : "two places out of order";
  infinity = dtype == MOE_F16 ? 0x7c000000u : 0x7f800000u;
  if (magnitude < infinity)
    return NULL;
  return magnitude > infinity ? "nan" : magnitude == bits ? "inf" : "-inf";
}

/* Whether one of `count` floats of 16 or 8 bits has all bits of `mask`: without
   branches, since there may be as many as weights. */
static int has_halves(const char *from, int64_t count, uint16_t mask) {
  int found = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    memcpy(&bits, from + 2 * i, 2);
    found |= (bits & mask) == mask;
  }
  return found;
}

static int has_bytes(const char *from, int64_t count, uint8_t mask) {
  int found = 0;
  for (int64_t i = 0; i < count; ++i)
    found |= ((uint8_t)from[i] & mask) == mask;
  return found;
}

/* What is wrong with numbers that are to ascend, or null; `line` has them from
   byte `at` on. */
static const char *get_disorder(const moe_pack_field *field,
                                const stored_line *line, int64_t at) {
  int64_t last = -1, limit = field->dtype >> 8;
  for (int64_t i = 0; i < field->bytes; i += 4) {
    int32_t number;
    memcpy(&number, line->from + at + i, sizeof(number));
    if (number < 0 || number >= limit)
      return "a block beyond the row";
    if (number <= last)
      return "blocks that do not ascend";
    last = number;
  }
  return NULL;
}

/* Whether `bytes` bytes of floats may have one that is not finite. */
static int may_have_trouble(int64_t dtype, const char *from, int64_t bytes) {
  switch (dtype) {
  case MOE_F16:
    return has_halves(from, bytes / 2, 0x7c00u);
  case MOE_BF16:
    return has_halves(from, bytes / 2, 0x7f80u);
  case MOE_F8E4M3:
    return has_bytes(from, bytes, 0x7fu);
  case MOE_F8E8M0:
    return has_bytes(from, bytes, 0xffu);
  default:
    return 1;
  }
}

/* Whether all floats of `field` of blocks [begin, end), which are `step` bytes
   apart from byte `at` of `line` on, are finite; otherwise the first of these
   blocks. */
static int64_t find_trouble(const moe_pack_field *field,
                            const stored_line *line, int64_t at, int64_t step,
                            int64_t begin, int64_t end, const char **trouble) {
  int64_t size = bytes_per_element(field->dtype);
  for (int64_t block = begin; block < end; ++block, at += step) {
    if ((field->dtype & 255) == MOE_ASCENDING) {
      *trouble = get_disorder(field, line, at);
      if (*trouble)
        return block;
      continue;
    }
    if (!line->order &&
        !may_have_trouble(field->dtype, line->from + at, field->bytes))
      continue;
    for (int64_t i = 0; i < field->bytes; i += size) {
      char number[8];
      for (int64_t byte = 0; byte < size; ++byte)
        number[byte] = line->order ? get_byte(line, at + i + byte)
                                   : line->from[at + i + byte];
      *trouble = get_trouble(field->dtype, number);
      if (*trouble)
        return block;
    }
  }
  return end;
}

static int check_row(const stored_box *stored, const moe_pack_field *field,
                     const stored_line *line, int64_t n, char *text,
                     size_t text_bytes) {
  const moe_pack_storage *storage = &stored->plan->storage[field->storage];
  const moe_tensor *tensor =
      &stored->plan->tensors[stored->source->tensor + field->storage];
  int64_t begin = stored->first_block, end = begin + stored->num_blocks;
  /* Blocks that share are looked at once. */
  int64_t share = storage->blocks ? storage->blocks : end;
  const char *trouble = NULL;
  int64_t first = begin / share, last = (end - 1) / share + 1;
  int64_t found =
      find_trouble(field, line, field->offset + first * storage->bytes,
                   storage->bytes, first, last, &trouble);
  if (!trouble)
    return 0;
  if (text)
    snprintf(text, text_bytes,
             "tensor '%s' has %s for expert %" PRId64 ", row %" PRId64
             ", block %" PRId64 ", which stands for no weights",
             tensor->name, trouble, stored->expert,
             get_row(stored, n) % stored->matrix.n,
             larger(found * share, begin));
  return 1;
}

int moe_pack_check_panel(const moe_pack_plan *plan, const moe_tensor *tensors,
                         const int64_t *first_elements, int64_t expert,
                         int64_t panel, char *text, size_t text_bytes) {
  panel_place place = find_panel(plan, expert, panel);
  for (int64_t s = place.begin; s < place.end; ++s) {
    if (!belongs(plan, &plan->sources[s], expert, place.part))
      continue;
    stored_box stored = get_stored_box(plan, s, tensors, first_elements, expert,
                                       place.limits);
    if (area(stored.b) == 0)
      continue;
    for (int64_t f = 0; f < plan->num_fields; ++f) {
      const moe_pack_field *field = &plan->fields[f];
      stored_line line = {NULL, NULL, 0};
      if (field->dtype == MOE_I8)
        continue;
      for (int64_t n = stored.b.n_begin; n < stored.b.n_end; ++n) {
        /* Rows that share are looked at once, too. */
        stored_line own = get_line(&stored, field->storage, n);
        if ((own.from != line.from || own.order) &&
            check_row(&stored, field, &own, n, text, text_bytes))
          return 1;
        line = own;
      }
    }
  }
  return 0;
}
