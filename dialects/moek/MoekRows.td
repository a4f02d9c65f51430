//===- MoekRows.td - Kernels on the rows of a routing -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_ROWS_TD
#define MOEK_ROWS_TD

include "moe/MoeExternal.td"
include "moek/MoekOpBase.td"

def Moek_GatherOp : Moek_DstOp<"gather", [AttrSizedOperandSegments]> {
  let summary = "Rows of a matrix in routing order";
  let description = [{
    `out[r] = x[tokens[r]] * (row_weights ? row_weights[r] : 1)` for every row
    `r < offsets[E]`; the other rows are undefined. The unfused form of
    the `gather` operand of `moek.grouped_matmul`.

    ```mlir
    func.func @rows(%x: tensor<?x64xf32>, %tokens: tensor<?xi32>,
        %offsets: tensor<9xi32>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %rows = moek.gather ins(%x, %tokens, %offsets
          : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>)
          outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
      return %rows : tensor<?x64xf32>
    }
    ```
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
  let summary = "Weighted sum of the rows of each token";
  let description = [{
    `out[t] = sum over s of slot_weights[t, s] * rows[positions[t, s]] + init[t]`
    in the order of the rows, whatever that of the slots is, in f32; the unfused
    form of the `combine` operand of `moek.grouped_matmul`. Without
    `slot_weights` the weights are 1; slots with a negative position are left
    out. `rows` are f32, or bf16 where the target says so (those of GPUs are).

    With `from(%b of %n)`, `rows` holds R of n rows, those from row b on
    (`moek.window`): slots of others are left out, unless b is 0 the sums go on
    from what `outs` has, and `init` is added with the last of the n rows. Window
    after window, in order, makes the same bits as all rows at once.

    ```mlir
    func.func @sum(%rows: tensor<?x64xf32>, %positions: tensor<?x2xi32>,
        %w: tensor<?x2xf32>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %y = moek.combine ins(%rows, %positions : tensor<?x64xf32>, tensor<?x2xi32>)
          slot_weights(%w : tensor<?x2xf32>)
          outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Moek_Shaped:$rows, Moek_Shaped:$positions,
                       Optional<Index>:$first_row, Optional<Index>:$num_rows,
                       Optional<Moek_Shaped>:$slot_weights,
                       Optional<Moek_Shaped>:$init,
                       Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $rows `,` $positions `:` type($rows) `,` type($positions) `)`
    (`from` `(` $first_row^ `of` $num_rows `)`)?
    (`slot_weights` `(` $slot_weights^ `:` type($slot_weights) `)`)?
    (`init` `(` $init^ `:` type($init) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_RowMapOp : Moek_DstOp<"row_map", [AttrSizedOperandSegments, IsolatedFromAbove,
    SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "A function of each row of the groups";
  let description = [{
    For each expert `e` and each of its rows `r` in `[offsets[e], offsets[e+1])`
    the region `body` computes the outputs of the row from

    - row `tokens[r]` of each of `gathered` (`[T, N]` or `[T]`),
    - row `r` of each of `rows` (`[R, N]` or `[R]`),
    - row `e` of each of `parameters` (`[E, N]` or `[E]`), those of the expert:
      scales of a norm, biases.

    All that are vectors have one length N; rows of tensors may be longer
    (padding). The region takes a `vector<N x T>`, or a `T` for tensors of rank 1,
    for each in this order, and yields the outputs likewise: `[R, N]` or `[R]`;
    an f32 is rounded where an output is narrower. It may hold constants,
    elementwise ops (`arith`, `math`), `vector.reduction` and `vector.broadcast`:
    norms, gates, residuals and whatever else of an expert is no matmul. Rows
    that belong to no group are left as `outs` has them; padding behind N is
    filled with zeros as far as a vector reaches.

    A reduction has one order whatever the number of rows, so results do not
    depend on how many tokens share an expert, or on threads.

    ```mlir
    func.func @scale(%offsets: tensor<9xi32>, %tokens: tensor<?xi32>,
        %x: tensor<?x64xf32>, %scales: tensor<8x64xf32>, %init: tensor<?x64xf32>)
        -> tensor<?x64xf32> {
      %h = moek.row_map groups(%offsets : tensor<9xi32>) tokens(%tokens : tensor<?xi32>)
          gathered(%x : tensor<?x64xf32>) parameters(%scales : tensor<8x64xf32>)
          outs(%init : tensor<?x64xf32>) body {
      ^bb0(%row: vector<64xf32>, %scale: vector<64xf32>):
        %v = arith.mulf %row, %scale : vector<64xf32>
        moek.yield %v : vector<64xf32>
      } -> tensor<?x64xf32>
      return %h : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Moek_Shaped:$offsets, Optional<Moek_Shaped>:$tokens,
    Variadic<Moek_Shaped>:$gathered, Variadic<Moek_Shaped>:$rows,
    Variadic<Moek_Shaped>:$parameters, Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `groups` `(` $offsets `:` type($offsets) `)`
    (`tokens` `(` $tokens^ `:` type($tokens) `)`)?
    (`gathered` `(` $gathered^ `:` type($gathered) `)`)?
    (`rows` `(` $rows^ `:` type($rows) `)`)?
    (`parameters` `(` $parameters^ `:` type($parameters) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict-with-keyword
    `body` $body (`->` type($results)^)?
  }];
  let extraClassDeclaration = dpsDeclarations # [{
    /// N; 0 if nothing is a vector.
    int64_t getRowLength();
  }];
  let hasVerifier = 1;
}

def Moek_ExternalCallOp : Moek_DstOp<"external_call", [AttrSizedOperandSegments]> {
  let summary = "Calls a C function on the rows of each group";
  let description = [{
    For each expert `e` with rows in `[offsets[e], offsets[e+1])` the function
    named `callee`, see `#moe.external`, is called on them, at most `batch` rows
    at a time, with

    - the number `first_expert + e`,
    - these rows of each of `rows` (`[R, N]`), and
    - row `e` of each of `parameters` (`[E, ...]`), the expert's weights.

    It writes the same rows of the output `[R, M]` f32. Calls run side by side.
    The second output, an i32 of rank 0, is how many failed; the rows of those are
    zeros if `external` says so. Nothing is called for an expert without rows, and
    calls are neither left out nor joined with others.

    ```mlir
    func.func @experts(%offsets: tensor<9xi32>, %x: tensor<?x64xf32>,
        %y: tensor<?x32xf32>, %n: tensor<i32>) -> (tensor<?x32xf32>, tensor<i32>) {
      %r:2 = moek.external_call "search" #moe.external<batch = 16>
          groups(%offsets : tensor<9xi32>) rows(%x : tensor<?x64xf32>)
          outs(%y, %n : tensor<?x32xf32>, tensor<i32>)
          -> tensor<?x32xf32>, tensor<i32>
      return %r#0, %r#1 : tensor<?x32xf32>, tensor<i32>
    }
    ```
  }];
  let arguments = (ins
    StrAttr:$callee, Moe_ExternalAttr:$external,
    DefaultValuedAttr<I64Attr, "0">:$first_expert,
    Moek_Shaped:$offsets, Variadic<Moek_Shaped>:$rows,
    Variadic<Moek_Shaped>:$parameters, Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $callee $external
    `groups` `(` $offsets `:` type($offsets) `)`
    `rows` `(` $rows `:` type($rows) `)`
    (`parameters` `(` $parameters^ `:` type($parameters) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return getOutputsMutable();
    }
    /// Those of a destination, and whatever the function does.
    void getEffects(::llvm::SmallVectorImpl<::mlir::SideEffects::EffectInstance<
                        ::mlir::MemoryEffects::Effect>> &effects);
  }];
  let hasVerifier = 1;
}

#endif // MOEK_ROWS_TD
