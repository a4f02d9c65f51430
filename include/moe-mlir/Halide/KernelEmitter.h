/*===- KernelEmitter.h - Kernels by Halide, as plain data ---------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM
Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* What libmoe_halide does for whoever loads it. It is C and text, because what
is
|* behind it is built with exceptions and brings an LLVM of its own.
|*
|* A program is lines of words. The first one says what the kernel is, and the
|* functions that are made take `halide_buffer_t *`, of which only `host` is
read.
|*
|*   tile INNER rows M columns N lanes L pitch P [next]
|*
|* adds the products of M rows of P bytes and a panel of 32 columns to M x 32
|* sums, N columns at a time: (panel, lhs, sums, i32 steps, sums again). INNER
|* is `fma`, a step one k: an f32 of each row, 32 of the panel; or `widen`, a
|* step two k: two f32 of each row, 32 pairs of bf16; or `dot_bf16`, the same
|* with two bf16 of each row, by one instruction; such kernels are emitted alone.
|* With `next` there are two more parameters before the last, an address and a
|* stride of 64 bits, not used here.
|*
|*   lanes L
|*
|* computes L values at a time from and to vectors of them, a buffer for each
|* `argument`, in order, then one for each `yield`. Each line after the first is
|* one value, and refers to others by the numbers of their lines from 0:
|*
|*   argument TYPE           f32, f16, bf16, i1, i8, i16, i32 or i64
|*   constant TYPE BITS      in decimal, as unsigned bits
|*   OPCODE TYPE A [B [C]]   the operation of MLIR without its dialect, such as
|*                           `addf`, `exp`, `cmpf.olt`, `select`; TYPE of the
result
|*   yield A
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_MLIR_HALIDE_KERNELEMITTER_H
#define MOE_MLIR_HALIDE_KERNELEMITTER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOE_HALIDE_EXPORT __attribute__((visibility("default")))

/* What is in the file that is written. */
enum moe_halide_kind {
  /* LLVM bitcode of Halide's own LLVM, to be compiled by another. */
  MOE_HALIDE_BITCODE = 0,
  /* Assembly by Halide's own LLVM. */
  MOE_HALIDE_ASSEMBLY = 1
};

typedef struct {
  const char *name;    /* Of the function. */
  const char *program; /* Lines. */
} moe_halide_kernel;

/* Writes the code of all kernels, for a target as Halide names them, to a file.
 * Returns 0, or 1 and a line in `error`, which has room for `room` bytes. */
typedef int (*moe_halide_emit_function)(const moe_halide_kernel *kernels,
                                        size_t count, const char *target,
                                        int kind, const char *file, char *error,
                                        size_t room);
MOE_HALIDE_EXPORT int moe_halide_emit(const moe_halide_kernel *kernels,
                                      size_t count, const char *target,
                                      int kind, const char *file, char *error,
                                      size_t room);

/* Why no kernel can be made of a program for a target, in a few words; empty if
 * one can. The text lives until the next call of the thread. */
typedef const char *(*moe_halide_obstacle_function)(const char *program);
MOE_HALIDE_EXPORT const char *moe_halide_obstacle(const char *program);

/* The version of Halide, such as "21.0.0". */
typedef const char *(*moe_halide_version_function)(void);
MOE_HALIDE_EXPORT const char *moe_halide_version(void);

#ifdef __cplusplus
}
#endif

#endif /* MOE_MLIR_HALIDE_KERNELEMITTER_H */
