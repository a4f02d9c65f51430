//===- MoekMatmul.td - Packed weights and the products with them -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_MATMUL_TD
#define MOEK_MATMUL_TD

include "moek/MoekOpBase.td"
include "moe/MoeFormatInterfaces.td"

def Moek_PackOp : Moek_Op<"pack", [Pure]> {
  let summary = "Weights of all experts, as kernels read them";
  let description = [{
    `weights[i]` is one of the `[E, N, K]` (or `[N, K]`, one expert) weights.
    With two `parts` they come in pairs (gate, up) of one group of experts; the
    groups follow one another along the expert dimension. The result is
    `[E, parts, N, K]`, or, with a layout, what that makes of it: the target
    chooses one when it chooses the schedules of the kernels that read it.

    A pack of function arguments moves into the packed weights file
    (`moek-hoist-packing`); nothing is packed at run time.

    ```mlir
    func.func @gate_and_up(%wg: tensor<128x768x2048xbf16>,
        %wu: tensor<128x768x2048xbf16>)
        -> (tensor<128x2x768x2048xbf16>, tensor<128x48x1024x32x2xbf16>) {
      %p = moek.pack %wg, %wu parts(2)
          : tensor<128x768x2048xbf16>, tensor<128x768x2048xbf16>
            -> tensor<128x2x768x2048xbf16>
      // The same for a CPU.
      %q = moek.pack %wg, %wu parts(2) layout(#moe_cpu.panels<k_block = 2>)
          : tensor<128x768x2048xbf16>, tensor<128x768x2048xbf16>
            -> tensor<128x48x1024x32x2xbf16>
      return %p, %q : tensor<128x2x768x2048xbf16>, tensor<128x48x1024x32x2xbf16>
    }
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$weights,
                       DefaultValuedAttr<I64Attr, "1">:$parts,
                       OptionalAttr<Moek_LayoutAttrInterface>:$layout);
  let results = (outs AnyRankedTensor:$packed);
  let assemblyFormat = [{
    $weights (`parts` `(` $parts^ `)`)? (`layout` `(` $layout^ `)`)? attr-dict
    `:` type($weights) `->` type($packed)
  }];
  let builders = [
    // In logical order.
    OpBuilder<(ins "::mlir::ValueRange":$weights, CArg<"int64_t", "1">:$parts)>
  ];
  let extraClassDeclaration = [{
    /// `[E, parts, N, K]`, whatever the layout.
    ::mlir::RankedTensorType getLogicalType();
  }];
  let hasVerifier = 1;
}

def Moek_GroupedMatmulOp : Moek_DstOp<"grouped_matmul", [AttrSizedOperandSegments, IsolatedFromAbove,
    SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "Every expert's rows times its own packed weights, with what comes before and after";
  let description = [{
    For each expert `e` and each of its rows `r` in `[offsets[e], offsets[e+1])`:

        a   = lhs[gather ? gather[r] : r][0 : k] * (gather_weights ? gather_weights[r] : 1)
        c_i = a . packed part i of expert e,           i = 0 (, 1)
        v   = epilogue(c_0 (, c_1), g[tokens[r]]..., x[r]..., p[e]...)   elementwise, n columns
        out[r] = v                                             without `positions`
        out[t] = sum of slot_weights[t, s] * v[positions[t, s]] + init[t]   with `positions`

    `parts` is 1 or 2 (gate and up). `n` and `k` are the logical sizes; `lhs` and
    `out` may have longer rows (padding). `rhs` is `[E, parts, n, k]` until the
    target gives the op a schedule and the weights the layout that it reads. With a
    `format` the weights are stored in it, and are f32 before they are laid out.
    The sum over k has one fixed order, whatever the number of rows, so results
    do not depend on how many tokens share an expert, or on threads. With
    `positions` the weighted combine, `moek.combine`, is part of the kernel.

    The epilogue region takes one f32 per part, and then one element of each of
    `gathered` (`[T, n]` or `[T]`, by `tokens`), `rows` (`[R, n]` or `[R]`) and
    `parameters` (`[E, n]` or `[E]`, those of the expert), as `moek.row_map` takes
    whole rows of them: biases, residuals, scales. It yields one f32: any
    elementwise body (arith and math ops); it is vectorized by the lowering.
    Rows that belong to no group are left as `outs` has them.

    With `skip_zeros` all weights are known to be finite, so that a term whose `a`
    is 0 adds nothing and need not be computed: a kernel may leave weights unread
    that meet zeros alone. It does so where at most this share of the values of
    its rows is not 0; a target may choose a lower one.

    `phase` names the matmul in traces: `gate_up`, `down`.

    ```mlir
    func.func @gate_and_up(%x: tensor<?x64xf32>, %w: tensor<8x2x32x64xf32>,
        %offsets: tensor<9xi32>, %active: tensor<9xi32>, %tokens: tensor<?xi32>,
        %init: tensor<?x32xf32>) -> tensor<?x32xf32> {
      %h = moek.grouped_matmul n(32) k(64) parts(2) lhs(%x : tensor<?x64xf32>)
          rhs(%w : tensor<8x2x32x64xf32>)
          groups(%offsets, %active : tensor<9xi32>, tensor<9xi32>)
          gather(%tokens : tensor<?xi32>) outs(%init : tensor<?x32xf32>) epilogue {
      ^bb0(%g: f32, %u: f32):
        %v = arith.mulf %g, %u : f32
        moek.yield %v : f32
      } -> tensor<?x32xf32>
      return %h : tensor<?x32xf32>
    }
    ```
  }];
  let arguments = (ins
    Moek_Shaped:$lhs, Moek_Shaped:$rhs,
    Moek_Shaped:$offsets, Moek_Shaped:$active,
    Optional<Moek_Shaped>:$gather, Optional<Moek_Shaped>:$gather_weights,
    Optional<Moek_Shaped>:$tokens,
    Variadic<Moek_Shaped>:$gathered, Variadic<Moek_Shaped>:$rows,
    Variadic<Moek_Shaped>:$parameters,
    Optional<Moek_Shaped>:$positions, Optional<Index>:$first_row,
    Optional<Index>:$num_rows,
    Optional<Moek_Shaped>:$slot_weights, Optional<Moek_Shaped>:$init,
    Variadic<Moek_Shaped>:$outputs,
    I64Attr:$n, I64Attr:$k, DefaultValuedAttr<I64Attr, "1">:$parts,
    OptionalAttr<StrAttr>:$phase,
    OptionalAttr<Moe_WeightFormatAttrInterface>:$format,
    OptionalAttr<F64Attr>:$skip_zeros,
    OptionalAttr<Moek_ScheduleAttrInterface>:$schedule);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    `n` `(` $n `)` `k` `(` $k `)` (`parts` `(` $parts^ `)`)?
    `lhs` `(` $lhs `:` type($lhs) `)` `rhs` `(` $rhs `:` type($rhs) `)`
    `groups` `(` $offsets `,` $active `:` type($offsets) `,` type($active) `)`
    (`gather` `(` $gather^ `:` type($gather) `)`)?
    (`gather_weights` `(` $gather_weights^ `:` type($gather_weights) `)`)?
    (`tokens` `(` $tokens^ `:` type($tokens) `)`)?
    (`gathered` `(` $gathered^ `:` type($gathered) `)`)?
    (`rows` `(` $rows^ `:` type($rows) `)`)?
    (`parameters` `(` $parameters^ `:` type($parameters) `)`)?
    (`combine` `(` $positions^ `:` type($positions) `)`)?
    (`from` `(` $first_row^ `of` $num_rows `)`)?
    (`slot_weights` `(` $slot_weights^ `:` type($slot_weights) `)`)?
    (`init` `(` $init^ `:` type($init) `)`)?
    (`phase` `(` $phase^ `)`)? (`format` `(` $format^ `)`)?
    (`skip_zeros` `(` $skip_zeros^ `)`)? (`schedule` `(` $schedule^ `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict-with-keyword
    `epilogue` $epilogue (`->` type($results)^)?
  }];
  let extraClassDeclaration = dpsDeclarations # [{
    int64_t getNumExperts();
    /// What `rhs` is in logical order.
    ::mlir::RankedTensorType getLogicalRhsType();
  }];
  let hasVerifier = 1;
}

#endif // MOEK_MATMUL_TD
