/*===- PackBoxes.h - What sources fill of a panel -------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* What all layouts of panels share.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_RUNTIME_PACKBOXES_H
#define MOE_RUNTIME_PACKBOXES_H

#include "moe-mlir/Runtime/moe_pack_panel.h"

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Rows and columns of one expert's `[N, K]` matrices. */
typedef struct {
  int64_t n_begin, n_end, k_begin, k_end;
} box;

static inline int64_t area(box b) {
  return larger(b.n_end - b.n_begin, 0) * larger(b.k_end - b.k_begin, 0);
}

/* What `source` fills of `limits`. */
static inline box intersect(const moe_pack_source *source, box limits) {
  box b = {larger(limits.n_begin, source->first_n),
           smaller(limits.n_end, source->first_n + source->sizes[1]),
           larger(limits.k_begin, source->first_k),
           smaller(limits.k_end, source->first_k + source->sizes[2])};
  return b;
}

/* Whether panels of `part` of `expert` have something of `source`. Panels of
   parts that interleave are of all parts. */
static inline int belongs(const moe_pack_plan *plan,
                          const moe_pack_source *source, int64_t expert,
                          int64_t part) {
  return expert >= source->first_expert &&
         expert < source->first_expert + source->sizes[0] &&
         (plan->interleave || source->part == part);
}

/* A panel: its part, and what it has of it. */
typedef struct {
  int64_t part;
  box limits;
  /* The sources from `begin` to `end` have something of it, not all of them. */
  int64_t begin, end;
} panel_place;

static inline panel_place find_panel(const moe_pack_plan *plan, int64_t expert,
                                     int64_t panel) {
  int64_t per_part = plan->interleave ? plan->interleave : plan->columns;
  int64_t of_one_part = plan->n_padded / plan->columns /
                        (plan->interleave ? 1 : plan->parts);
  int64_t n = panel % of_one_part * per_part;
  panel_place place = {panel / of_one_part,
                       {n, n + per_part, 0, plan->k_padded},
                       plan->num_sources,
                       0};
  /* One weight may be thousands of matrices: ask each of them once. */
  for (int64_t s = 0; s < plan->num_sources; ++s)
    if (belongs(plan, &plan->sources[s], expert, place.part) &&
        area(intersect(&plan->sources[s], place.limits))) {
      place.begin = smaller(place.begin, s);
      place.end = s + 1;
    }
  return place;
}

#endif /* MOE_RUNTIME_PACKBOXES_H */
