//===- MoekDialect.td - The kernel-level dialect -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_DIALECT_TD
#define MOEK_DIALECT_TD

include "mlir/IR/OpBase.td"

def Moek_Dialect : Dialect {
  let name = "moek";
  let cppNamespace = "::moek";
  let summary = "Fused kernels of a Mixture-of-Experts layer";
  let description = [{
    `moe` says what a layer computes, `moek` how: one op is one fused kernel,
    with explicit operands for every buffer it reads or writes and a schedule
    attribute for every decision about registers, caches and threads. The ops
    exist on tensors (destination style, so that one-shot bufferization places
    them among any other IR) and on memrefs.

    The routing of `T` tokens over `E` experts with `K` slots is held as

    | tensor | shape | content |
    |---|---|---|
    | indices | `[T, K]` i32 | expert of each slot, best first, -1 = unused |
    | weights | `[T, K]` f32 | weight of each slot, 0 where unused |
    | offsets | `[E + 1]` i32 | rows of expert `e`: `offsets[e]` to `offsets[e + 1]` |
    | active | `[E + 1]` i32 | ids of the experts with rows, ascending; their number in `[E]` |
    | tokens | `[T * K]` i32 | token of each row, in order of expert, then token |
    | positions | `[T, K]` i32 | row of each slot (the inverse of `tokens`), -1 = unused |
    | row_weights | `[T * K]` f32 | weight of each row |
  }];
  let dependentDialects = ["::moe::MoeDialect", "::mlir::arith::ArithDialect"];
}

#endif // MOEK_DIALECT_TD
