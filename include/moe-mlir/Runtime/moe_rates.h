/*===- moe_rates.h - How fast this CPU multiplies ------------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Loops that do nothing else, for who takes their time: moe_rt_calibrate() and
|* benchmarks. Programs need nothing of this.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_RATES_H
#define MOE_RATES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Does `rounds` times a few dozen instructions and returns the operations
 *  done. `sink` gets what keeps compilers from leaving them out. */
typedef double moe_rate_loop(int64_t rounds, float *sink);

/** f32 multiply-adds in the widest vectors of this CPU. */
moe_rate_loop *moe_rt_fma_loop(void);

/** Dot or matrix products of bf16; null if there are no instructions. */
moe_rate_loop *moe_rt_bf16_loop(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MOE_RATES_H */
