//===- Passes.td - From moe to fused moek kernels -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The conversion is correct without any of the fusions; each fusion is a pass
// of its own that leaves correct IR and a remark where it does not apply.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CONVERSION_MOETOMOEK_PASSES
#define MOE_MLIR_CONVERSION_MOETOMOEK_PASSES

include "mlir/Pass/PassBase.td"

def CheckRoutings : Pass<"moe-check-routings"> {
  let summary = "Check at run time what routings from outside may break";
  let description = [{
    - Indices of a `moe.routing.make` that are neither constant nor those of
      another routing are verified before anything uses them; the op becomes
      `trusted`.
    - Where a tensor has to have a row for each token of a routing (the input of
      a dispatch, what is added to a combine, weights of appended experts) and
      this does not follow from shapes and named sizes, the two are compared.

    A failed check ends the call with a status. The kernels behind may so rely
    on both.

    Before:
    ```mlir
    %r = moe.routing.make %i, %w
        : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
    ```
    After:
    ```mlir
    %ok = moek.verify_routing %i experts(8) : tensor<?x2xi32>
    moe_rt.check %ok, bad_routing, "argument 'routing.indices' ..."
    %r = moe.routing.make %i, %w trusted
        : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::tensor::TensorDialect",
                           "::moek::MoekDialect", "::moert::MoeRtDialect"];
}

def ConvertMoeToMoek : Pass<"convert-moe-to-moek"> {
  let summary = "Lower moe ops to unfused moek kernels";
  let description = [{
    A `!moe.routing` becomes the seven tensors of the `moek` dialect's
    description. Every op becomes a kernel of its own: routers `moek.route`,
    given routings `moek.index`, dispatch and combine `moek.gather` and
    `moek.combine`.

    A body of experts becomes kernels on the rows of all of them: each product
    of rows and a weight (`moe.ffn`, `linalg.matmul`, contractions as
    `linalg.generic`) a `moek.grouped_matmul`, and what is elementwise or a
    reduction of each row a `moek.row_map`. Several kinds of experts each work on
    their part of the groups and write into one tensor of rows; identity experts
    copy theirs. Groups whose bodies differ in nothing but weights are one range.

    A body with something else in it (control flow, a product of weights) runs as
    a loop over the experts and over blocks of at most 32 rows, with the body
    inlined: a body treats rows independently, so blocks do not change the
    result, and they bound the size of its temporaries. A remark says where this
    happens and why.

    Before:
    ```mlir
    %rows = moe.dispatch %x by %r
          : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
    ```
    After:
    ```mlir
    %rows = moek.gather ins(%x, %tokens, %offsets
              : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>)
            outs(%empty : tensor<?x64xf32>) -> tensor<?x64xf32>
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect", "::mlir::vector::VectorDialect",
    "::moek::MoekDialect", "::moert::MoeRtDialect"
  ];
}

def FuseRouterScores : Pass<"moek-fuse-router-scores"> {
  let summary = "Absorb the computation of scores into the routing kernel";
  let description = [{
    Moves what computes the rows of a `moek.route` into its `scores` region:
    elementwise ops over `[T, E]` (their `[E]` operands become `vectors`),
    softmax over the experts, and the projection `x Wr^T` of f32, whose weight
    is packed. A value with other uses is left outside unless it is elementwise
    and needs no `math` op, when computing it twice is cheaper than storing it.

    Before:
    ```mlir
    %z = linalg.matmul indexing_maps = [...] ins(%x, %wr) outs(%zeros)
    %s = linalg.softmax dimension(1) ins(%z) outs(%e)
    %r:7 = moek.route #moe.top_k<2> experts(8) rows(%s : tensor<?x8xf32>) ...
      scores { ^bb0(%s: vector<8xf32>): moek.yield %s, %s } ...
    ```
    After:
    ```mlir
    %p = moek.pack %wr : tensor<8x2048xf32> -> tensor<1x1x8x2048xf32>
    %r:7 = moek.route #moe.top_k<2> experts(8) logits(%x, %p : ...) ...
      scores { ^bb0(%z: vector<8xf32>): ... max, exp, sum, divide ... } ...
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect", "::moek::MoekDialect"
  ];
}

def FuseGateUpActivation : Pass<"moek-fuse-gate-up-activation"> {
  let summary = "Make the activation the epilogue of the matmul before it";
  let description = [{
    An elementwise `moek.row_map` on the rows of `moek.grouped_matmul` that
    nothing else reads becomes their epilogue, whatever its body is. Two matmuls
    of the same rows (gate and up) become one with weights of two parts, so that
    both values of an element meet in registers. Other rows and parameters of
    the function, such as biases and residuals, become operands of the matmul.

    Before:
    ```mlir
    %g = moek.grouped_matmul n(768) k(2048) lhs(%rows) rhs(%pg) ...
    %u = moek.grouped_matmul n(768) k(2048) lhs(%rows) rhs(%pu) ...
    %h = moek.row_map ... rows(%g, %u) outs(%e) body { silu(gate) * up }
    ```
    After:
    ```mlir
    %p = moek.pack %wg, %wu parts(2) : ...
    %h = moek.grouped_matmul n(768) k(2048) parts(2) lhs(%rows) rhs(%p) ...
         epilogue { ^bb0(%g: f32, %u: f32): silu(gate) * up }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::moek::MoekDialect"];
}

def FuseRowMaps : Pass<"moek-fuse-row-maps"> {
  let summary = "Compute what is done to a row in one pass over the rows";
  let description = [{
    A `moek.row_map` moves into one that reads its rows, if both are of the same
    groups and work on rows of one length: the rows between them are then never
    stored, unless something else reads them.

    Before:
    ```mlir
    %s = moek.row_map ... rows(%x) outs(%e : tensor<?xf32>) body { sum of squares }
    %n = moek.row_map ... rows(%x, %s) outs(%f : tensor<?x64xf32>) body { x * rsqrt(s) }
    ```
    After:
    ```mlir
    %n = moek.row_map ... rows(%x) outs(%f : tensor<?x64xf32>) body { both }
    ```
  }];
  let dependentDialects = ["::moek::MoekDialect"];
}

def FuseGather : Pass<"moek-fuse-gather"> {
  let summary = "Gather rows inside the kernels that read them";
  let description = [{
    Turns a `moek.gather` whose only users are grouped matmuls and row maps over
    the same groups into their `gather` (and `gather_weights`) or `gathered`
    operands, so that the gathered rows are never stored.

    Before:
    ```mlir
    %rows = moek.gather ins(%x, %tokens, %offsets : ...) outs(%e : ...)
    %h = moek.grouped_matmul ... lhs(%rows : ...) ...
    ```
    After:
    ```mlir
    %h = moek.grouped_matmul ... lhs(%x : ...) ... gather(%tokens : ...) ...
    ```
  }];
  let dependentDialects = ["::moek::MoekDialect", "::mlir::vector::VectorDialect"];
}

def FuseCombine : Pass<"moek-fuse-combine"> {
  let summary = "Sum rows per token inside the matmul that makes them";
  let description = [{
    Turns a `moek.combine` of a grouped matmul's result, its only use, into the
    matmul's `combine` operands.

    Before:
    ```mlir
    %o = moek.grouped_matmul ... outs(%e : tensor<?x64xf32>) ...
    %y = moek.combine ins(%o, %positions : ...) slot_weights(%w : ...)
           outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
    ```
    After:
    ```mlir
    %y = moek.grouped_matmul ... combine(%positions : ...) slot_weights(%w : ...)
           outs(%f : tensor<?x64xf32>) ...
    ```
  }];
  let dependentDialects = ["::moek::MoekDialect"];
}

def WindowRows : Pass<"moek-window-rows"> {
  let summary = "Compute a layer on some of its rows at a time";
  let description = [{
    The rows between a routing and the sum of each token's rows need a workspace
    that grows with the number of tokens. A loop over windows of `rows` rows
    (`moek.window`) bounds it, with the same bits: the sum runs in the order of
    the rows. Rows are in the order of the experts, so that every weight is still
    read once, but for those of experts that two windows share. Up to `rows`
    assignments there is one window.

    Without `rows` the schedules say how many, those of a layer the least; a
    layer whose schedules want none stays as it is, and one of which a part is no
    kernel (a loop over experts) is a missed remark.

    Before:
    ```mlir
    %h = moek.grouped_matmul ... groups(%offsets, %active : ...) gather(%tokens : ...) outs(%e : ...) ...
    %y = moek.grouped_matmul ... lhs(%h : ...) combine(%positions : ...) outs(%f : ...) ...
    ```
    After:
    ```mlir
    %y = scf.for %b = %c0 to %n step %c4096 iter_args(%sum = %f) -> (tensor<?x64xf32>) {
      %o, %a, %t = moek.window from(%b) ins(%offsets, %active, %tokens : ...) outs(...)
      %h = moek.grouped_matmul ... groups(%o, %a : ...) gather(%t : ...) outs(%e : ...) ...
      %s = moek.grouped_matmul ... lhs(%h : ...) combine(%positions : ...) from(%b of %n) outs(%sum : ...) ...
      scf.yield %s : tensor<?x64xf32>
    }
    ```
  }];
  let options = [
    Option<"rows", "rows", "int64_t", "0",
           "Rows of a window, whatever the schedules say">
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect", "::moek::MoekDialect"];
}

#endif // MOE_MLIR_CONVERSION_MOETOMOEK_PASSES
