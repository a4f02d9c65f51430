//===- MoekRows.td - Kernels on the rows of a routing -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_ROWS_TD
#define MOEK_ROWS_TD

include "moek/MoekOpBase.td"

def Moek_GatherOp : Moek_DstOp<"gather", [AttrSizedOperandSegments]> {
  let summary = "Rows of a matrix in routing order";
  let description = [{
    `out[r] = x[tokens[r]] * (row_weights ? row_weights[r] : 1)` for every row
    `r < offsets[E]`; the other rows are undefined. The unfused form of
    the `gather` operand of `moek.grouped_matmul`.
  }];
  let arguments = (ins Moek_Shaped:$x, Moek_Shaped:$tokens, Moek_Shaped:$offsets,
                       Optional<Moek_Shaped>:$row_weights,
                       Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $x `,` $tokens `,` $offsets `:` type($x) `,` type($tokens) `,` type($offsets) `)`
    (`row_weights` `(` $row_weights^ `:` type($row_weights) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_CombineOp : Moek_DstOp<"combine", [AttrSizedOperandSegments]> {
  let summary = "Weighted sum of a token's rows in slot order";
  let description = [{
    `out[t] = init[t] + sum over s of slot_weights[t, s] * rows[positions[t, s]]`
    in ascending `s`, in f32; the unfused form of the `combine` operand of
    `moek.grouped_matmul`. Without `slot_weights` the weights are 1.
  }];
  let arguments = (ins Moek_Shaped:$rows, Moek_Shaped:$positions,
                       Optional<Moek_Shaped>:$slot_weights,
                       Optional<Moek_Shaped>:$init,
                       Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $rows `,` $positions `:` type($rows) `,` type($positions) `)`
    (`slot_weights` `(` $slot_weights^ `:` type($slot_weights) `)`)?
    (`init` `(` $init^ `:` type($init) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

#endif // MOEK_ROWS_TD
