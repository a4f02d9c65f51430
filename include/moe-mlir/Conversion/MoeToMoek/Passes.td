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
    func.func @route(%i: tensor<4x2xi32> {moe.name = "indices"}, %w: tensor<4x2xf32>)
        -> !moe.routing<8 x 2> {
      %r = moe.routing.make %i, %w
          : tensor<4x2xi32>, tensor<4x2xf32> -> !moe.routing<8 x 2>
      return %r : !moe.routing<8 x 2>
    }
    ```
    After:
    ```mlir
    func.func @route(%i: tensor<4x2xi32> {moe.name = "indices"}, %w: tensor<4x2xf32>)
        -> !moe.routing<8 x 2> {
      %ok = moek.verify_routing %i experts(8) : tensor<4x2xi32>
      moe_rt.check %ok, bad_routing, "argument 'indices' sends a token to an expert outside of [-1, 8), or twice to one"
      %r = moe.routing.make %i, %w trusted
          : tensor<4x2xi32>, tensor<4x2xf32> -> !moe.routing<8 x 2>
      return %r : !moe.routing<8 x 2>
    }
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
    func.func @rows(%x: tensor<?x8xf32>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>)
        -> tensor<?x8xf32> {
      %r = moe.routing.make %i, %w trusted
          : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<4 x 2>
      %rows = moe.dispatch %x by %r
          : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      return %rows : tensor<?x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %offsets, %active, %tokens, %positions, %row_weights = moek.index experts(4)
          ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>)
          outs(%e0, %e1, %e2, %e3, %e4 : tensor<5xi32>, tensor<5xi32>, tensor<?xi32>,
               tensor<?x2xi32>, tensor<?xf32>)
          -> tensor<5xi32>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>
      // ...
      %rows = moek.gather
          ins(%x, %tokens, %offsets : tensor<?x8xf32>, tensor<?xi32>, tensor<5xi32>)
          outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
      return %rows : tensor<?x8xf32>
    }
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
    softmax over the experts, and the projection `x Wr^T` (or `x Wr`) of f32, whose weight
    is packed. A value with other uses is left outside unless it is elementwise
    and needs no `math` op, when computing it twice is cheaper than storing it.

    Before:
    ```mlir
    #x = affine_map<(t, e, h) -> (t, h)>
    #w = affine_map<(t, e, h) -> (e, h)>
    #z = affine_map<(t, e, h) -> (t, e)>
    func.func @route(%x: tensor<4x8xf32>, %wr: tensor<2x8xf32>, %a: tensor<4x1xi32>,
        %b: tensor<4x1xf32>, %c: tensor<3xi32>, %d: tensor<4xi32>, %f: tensor<4xf32>)
        -> tensor<4x1xi32> {
      %zero = arith.constant 0.0 : f32
      %e = tensor.empty() : tensor<4x2xf32>
      %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<4x2xf32>) -> tensor<4x2xf32>
      %z = linalg.matmul indexing_maps = [#x, #w, #z]
          ins(%x, %wr : tensor<4x8xf32>, tensor<2x8xf32>)
          outs(%zeros : tensor<4x2xf32>) -> tensor<4x2xf32>
      %s = linalg.tanh ins(%z : tensor<4x2xf32>) outs(%e : tensor<4x2xf32>)
          -> tensor<4x2xf32>
      %r:7 = moek.route #moe.top_k<1> experts(2) rows(%s : tensor<4x2xf32>)
          outs(%a, %b, %c, %c, %d, %a, %f : tensor<4x1xi32>, tensor<4x1xf32>,
               tensor<3xi32>, tensor<3xi32>, tensor<4xi32>, tensor<4x1xi32>, tensor<4xf32>)
      scores {
      ^bb0(%v: vector<2xf32>):
        moek.yield %v, %v : vector<2xf32>, vector<2xf32>
      } weigh {
      ^bb0(%v: vector<1xf32>):
        moek.yield %v : vector<1xf32>
      } -> tensor<4x1xi32>, tensor<4x1xf32>, tensor<3xi32>, tensor<3xi32>, tensor<4xi32>,
           tensor<4x1xi32>, tensor<4xf32>
      return %r#0 : tensor<4x1xi32>
    }
    ```
    After:
    ```mlir
    // ...
      %p = moek.pack %wr : tensor<2x8xf32> -> tensor<1x1x2x8xf32>
      %indices, %weights, %offsets, %active, %tokens, %positions, %row_weights =
          moek.route #moe.top_k<1> experts(2)
          logits(%x, %p : tensor<4x8xf32>, tensor<1x1x2x8xf32>)
          outs(%a, %b, %c, %c, %d, %a, %f : tensor<4x1xi32>, tensor<4x1xf32>,
               tensor<3xi32>, tensor<3xi32>, tensor<4xi32>, tensor<4x1xi32>, tensor<4xf32>)
      scores {
      ^bb0(%z: vector<2xf32>):
        %s = math.tanh %z : vector<2xf32>
        moek.yield %s, %s : vector<2xf32>, vector<2xf32>
      } weigh {
      // ...
      return %indices : tensor<4x1xi32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect", "::moek::MoekDialect"
  ];
}

def ConvertLinear : Pass<"convert-linear-to-moek"> {
  let summary = "Make ordinary products with weights kernels of one expert";
  let description = [{
    A contraction of rows with a weight that can be packed ahead of time (an
    argument or a constant, through views, repeated for each batch or not)
    becomes a `moek.grouped_matmul` with one group, which has all rows: any
    dimensions of the input that the weight has not are rows, so that
    `[B, S, H]` times `[H, heads, D]` is one product. `linalg.matmul` and its
    batched and transposed forms, `linalg.contract` and contractions as
    `linalg.generic` are all taken, of f32, bf16 and f16 and with weights in any
    format. What the result starts from is added, unless it is zero.

    The products of attention, around `linalg.softmax`, are left alone: an argument
    there is a cache. Weights of fewer than 16 rows or columns stay, as panels of
    them would be mostly padding; so do bf16 weights of rows that are not bf16, which kernels
    of some chips round, and products of two arguments with static shapes, either
    of which could be the weight (a missed remark).

    Before:
    ```mlir
    func.func @project(%x: tensor<1x?x64xf32>, %w: tensor<64x32xf32>,
        %e: tensor<1x?x32xf32>) -> tensor<1x?x32xf32> {
      %zero = arith.constant 0.0 : f32
      %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x?x32xf32>)
          -> tensor<1x?x32xf32>
      %y = linalg.contract
          indexing_maps = [affine_map<(b, s, n, k) -> (b, s, k)>,
                           affine_map<(b, s, n, k) -> (k, n)>,
                           affine_map<(b, s, n, k) -> (b, s, n)>]
          ins(%x, %w : tensor<1x?x64xf32>, tensor<64x32xf32>)
          outs(%z : tensor<1x?x32xf32>) -> tensor<1x?x32xf32>
      return %y : tensor<1x?x32xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %transposed = linalg.transpose ins(%w : tensor<64x32xf32>)
          outs(%t : tensor<32x64xf32>) permutation = [1, 0]
      // ...
      %rows = tensor.collapse_shape %x [[0, 1], [2]]
          : tensor<1x?x64xf32> into tensor<?x64xf32>
      // ...
      %p = moek.pack %transposed : tensor<32x64xf32> -> tensor<1x1x32x64xf32>
      // ...
      %y = moek.grouped_matmul n(32) k(64) lhs(%rows : tensor<?x64xf32>)
          rhs(%p : tensor<1x1x32x64xf32>)
          groups(%all, %active : tensor<2xi32>, tensor<2xi32>)
          phase("linear") outs(%f : tensor<?x32xf32>) epilogue {
      ^bb0(%c: f32):
        moek.yield %c : f32
      } -> tensor<?x32xf32>
      // ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect",
                           "::moek::MoekDialect"];
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
    func.func @up(%x: tensor<4x8xf32>, %o: tensor<3xi32>, %a: tensor<3xi32>,
        %wg: tensor<2x16x8xf32>, %wu: tensor<2x16x8xf32>) -> tensor<4x16xf32> {
      %e = tensor.empty() : tensor<4x16xf32>
      %pg = moek.pack %wg : tensor<2x16x8xf32> -> tensor<2x1x16x8xf32>
      %g = moek.grouped_matmul n(16) k(8) lhs(%x : tensor<4x8xf32>)
          rhs(%pg : tensor<2x1x16x8xf32>) groups(%o, %a : tensor<3xi32>, tensor<3xi32>)
          outs(%e : tensor<4x16xf32>) epilogue {
      ^bb0(%c: f32):
        moek.yield %c : f32
      } -> tensor<4x16xf32>
      %pu = moek.pack %wu : tensor<2x16x8xf32> -> tensor<2x1x16x8xf32>
      %u = moek.grouped_matmul n(16) k(8) lhs(%x : tensor<4x8xf32>)
          rhs(%pu : tensor<2x1x16x8xf32>) groups(%o, %a : tensor<3xi32>, tensor<3xi32>)
          outs(%e : tensor<4x16xf32>) epilogue {
      ^bb0(%c: f32):
        moek.yield %c : f32
      } -> tensor<4x16xf32>
      %h = moek.row_map groups(%o : tensor<3xi32>)
          rows(%g, %u : tensor<4x16xf32>, tensor<4x16xf32>)
          outs(%e : tensor<4x16xf32>) body {
      ^bb0(%v: vector<16xf32>, %w: vector<16xf32>):
        %m = arith.mulf %v, %w : vector<16xf32>
        moek.yield %m : vector<16xf32>
      } -> tensor<4x16xf32>
      return %h : tensor<4x16xf32>
    }
    ```
    After:
    ```mlir
    func.func @up(%x: tensor<4x8xf32>, %o: tensor<3xi32>, %a: tensor<3xi32>,
        %wg: tensor<2x16x8xf32>, %wu: tensor<2x16x8xf32>) -> tensor<4x16xf32> {
      %e = tensor.empty() : tensor<4x16xf32>
      %p = moek.pack %wg, %wu parts(2)
          : tensor<2x16x8xf32>, tensor<2x16x8xf32> -> tensor<2x2x16x8xf32>
      %h = moek.grouped_matmul n(16) k(8) parts(2) lhs(%x : tensor<4x8xf32>)
          rhs(%p : tensor<2x2x16x8xf32>) groups(%o, %a : tensor<3xi32>, tensor<3xi32>)
          outs(%e : tensor<4x16xf32>) epilogue {
      ^bb0(%g: f32, %u: f32):
        %m = arith.mulf %g, %u : f32
        moek.yield %m : f32
      } -> tensor<4x16xf32>
      return %h : tensor<4x16xf32>
    }
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
    func.func @divide(%x: tensor<4x8xf32>, %o: tensor<3xi32>) -> tensor<4x8xf32> {
      %e0 = tensor.empty() : tensor<4xf32>
      %sum = moek.row_map groups(%o : tensor<3xi32>) rows(%x : tensor<4x8xf32>)
          outs(%e0 : tensor<4xf32>) body {
      ^bb0(%v: vector<8xf32>):
        %s = vector.reduction <add>, %v : vector<8xf32> into f32
        moek.yield %s : f32
      } -> tensor<4xf32>
      %e1 = tensor.empty() : tensor<4x8xf32>
      %y = moek.row_map groups(%o : tensor<3xi32>)
          rows(%x, %sum : tensor<4x8xf32>, tensor<4xf32>)
          outs(%e1 : tensor<4x8xf32>) body {
      ^bb0(%v: vector<8xf32>, %s: f32):
        %b = vector.broadcast %s : f32 to vector<8xf32>
        %d = arith.divf %v, %b : vector<8xf32>
        moek.yield %d : vector<8xf32>
      } -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @divide(%x: tensor<4x8xf32>, %o: tensor<3xi32>) -> tensor<4x8xf32> {
      %e0 = tensor.empty() : tensor<4xf32>
      %e1 = tensor.empty() : tensor<4x8xf32>
      %y = moek.row_map groups(%o : tensor<3xi32>) rows(%x : tensor<4x8xf32>)
          outs(%e1 : tensor<4x8xf32>) body {
      ^bb0(%v: vector<8xf32>):
        %s = vector.reduction <add>, %v : vector<8xf32> into f32
        %b = vector.broadcast %s : f32 to vector<8xf32>
        %d = arith.divf %v, %b : vector<8xf32>
        moek.yield %d : vector<8xf32>
      } -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
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
    func.func @up(%x: tensor<4x8xf32>, %t: tensor<4xi32>, %o: tensor<3xi32>,
        %a: tensor<3xi32>, %p: tensor<2x1x16x8xf32>, %e: tensor<4x8xf32>,
        %f: tensor<4x16xf32>) -> tensor<4x16xf32> {
      %rows = moek.gather ins(%x, %t, %o : tensor<4x8xf32>, tensor<4xi32>, tensor<3xi32>)
          outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
      %h = moek.grouped_matmul n(16) k(8) lhs(%rows : tensor<4x8xf32>)
          rhs(%p : tensor<2x1x16x8xf32>) groups(%o, %a : tensor<3xi32>, tensor<3xi32>)
          outs(%f : tensor<4x16xf32>) epilogue {
      ^bb0(%c: f32):
        moek.yield %c : f32
      } -> tensor<4x16xf32>
      return %h : tensor<4x16xf32>
    }
    ```
    After:
    ```mlir
    func.func @up(%x: tensor<4x8xf32>, %t: tensor<4xi32>, %o: tensor<3xi32>,
        %a: tensor<3xi32>, %p: tensor<2x1x16x8xf32>, %e: tensor<4x8xf32>,
        %f: tensor<4x16xf32>) -> tensor<4x16xf32> {
      %h = moek.grouped_matmul n(16) k(8) lhs(%x : tensor<4x8xf32>)
          rhs(%p : tensor<2x1x16x8xf32>) groups(%o, %a : tensor<3xi32>, tensor<3xi32>)
          gather(%t : tensor<4xi32>) outs(%f : tensor<4x16xf32>) epilogue {
      ^bb0(%c: f32):
        moek.yield %c : f32
      } -> tensor<4x16xf32>
      return %h : tensor<4x16xf32>
    }
    ```
  }];
  let dependentDialects = ["::moek::MoekDialect", "::mlir::vector::VectorDialect"];
}

def FuseCombine : Pass<"moek-fuse-combine"> {
  let summary = "Sum rows per token inside the matmul that makes them";
  let description = [{
    Turns a `moek.combine` of a grouped matmul's result, its only use, into the
    matmul's `combine` operands, where the matmul's groups and the positions are
    of one routing.

    Before:
    ```mlir
    func.func @down(%h: tensor<?x16xf32>, %p: tensor<4x1x8x16xf32>, %i: tensor<?x2xi32>,
        %w: tensor<?x2xf32>, %a: tensor<5xi32>, %b: tensor<?xi32>, %c: tensor<?x2xi32>,
        %d: tensor<?xf32>, %y: tensor<?x8xf32>, %n: index) -> tensor<?x8xf32> {
      %r:5 = moek.index experts(4) ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>)
          outs(%a, %a, %b, %c, %d : tensor<5xi32>, tensor<5xi32>, tensor<?xi32>,
               tensor<?x2xi32>, tensor<?xf32>)
          -> tensor<5xi32>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>
      %e = tensor.empty(%n) : tensor<?x8xf32>
      %rows = moek.grouped_matmul n(8) k(16) lhs(%h : tensor<?x16xf32>)
          rhs(%p : tensor<4x1x8x16xf32>) groups(%r#0, %r#1 : tensor<5xi32>, tensor<5xi32>)
          outs(%e : tensor<?x8xf32>) epilogue {
      ^bb0(%v: f32):
        moek.yield %v : f32
      } -> tensor<?x8xf32>
      %s = moek.combine ins(%rows, %r#3 : tensor<?x8xf32>, tensor<?x2xi32>)
          slot_weights(%w : tensor<?x2xf32>) outs(%y : tensor<?x8xf32>) -> tensor<?x8xf32>
      return %s : tensor<?x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %s = moek.grouped_matmul n(8) k(16) lhs(%h : tensor<?x16xf32>)
          rhs(%p : tensor<4x1x8x16xf32>) groups(%o, %act : tensor<5xi32>, tensor<5xi32>)
          combine(%pos : tensor<?x2xi32>) slot_weights(%w : tensor<?x2xf32>)
          outs(%y : tensor<?x8xf32>) epilogue {
      ^bb0(%v: f32):
        moek.yield %v : f32
      } -> tensor<?x8xf32>
      return %s : tensor<?x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::moek::MoekDialect"];
}

def FuseInputNorm : Pass<"moek-fuse-input-norm"> {
  let summary = "Compute the norm in front of a layer in one pass over its rows";
  let description = [{
    The input of a layer, rows that a router multiplies or that are gathered for
    its experts, is often made by ordinary IR that treats each row by itself: what
    an RMSNorm or LayerNorm does with the sum of a row, a sum with a residual. The
    elementwise ops that nothing else reads become one `moek.row_map` on all rows
    as one group, and a target may have its rows written as the router's kernel
    reads them: that needs no copy then, and the gather reads the same rows.

    The sums of rows are computed as before, so that results have the same bits.
    With `sums=true` they move, too: a row is then summed and scaled while it is in
    the first-level cache, and the sum is formed in another order. A remark says
    what else makes the input of a layer, and why it stays.

    Before:
    ```mlir
    #rows = affine_map<(t, c) -> (t, c)>
    #token = affine_map<(t, c) -> (t)>
    func.func @layer(%x: tensor<?x8xf32>, %p: tensor<2x1x16x8xf32>, %o: tensor<3xi32>,
        %a: tensor<3xi32>, %i: tensor<?xi32>, %f: tensor<?x16xf32>, %n: index)
        -> tensor<?x16xf32> {
      %zero = arith.constant 0.0 : f32
      %e1 = tensor.empty(%n) : tensor<?xf32>
      %z = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
      %sums = linalg.generic {indexing_maps = [#rows, #token],
                              iterator_types = ["parallel", "reduction"]}
          ins(%x : tensor<?x8xf32>) outs(%z : tensor<?xf32>) {
      ^bb0(%v: f32, %acc: f32):
        %s = arith.mulf %v, %v : f32
        %sum = arith.addf %acc, %s : f32
        linalg.yield %sum : f32
      } -> tensor<?xf32>
      %e2 = tensor.empty(%n) : tensor<?x8xf32>
      %y = linalg.generic {indexing_maps = [#rows, #token, #rows],
                           iterator_types = ["parallel", "parallel"]}
          ins(%x, %sums : tensor<?x8xf32>, tensor<?xf32>) outs(%e2 : tensor<?x8xf32>) {
      ^bb0(%v: f32, %sum: f32, %out: f32):
        %r = math.rsqrt %sum : f32
        %m = arith.mulf %v, %r : f32
        linalg.yield %m : f32
      } -> tensor<?x8xf32>
      %h = moek.grouped_matmul n(16) k(8) lhs(%y : tensor<?x8xf32>)
          rhs(%p : tensor<2x1x16x8xf32>) groups(%o, %a : tensor<3xi32>, tensor<3xi32>)
          gather(%i : tensor<?xi32>) outs(%f : tensor<?x16xf32>) epilogue {
      ^bb0(%c: f32):
        moek.yield %c : f32
      } -> tensor<?x16xf32>
      return %h : tensor<?x16xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %y = moek.row_map groups(%all : tensor<2xi32>)
          rows(%x, %sums : tensor<?x8xf32>, tensor<?xf32>)
          outs(%e : tensor<?x8xf32>) body {
      ^bb0(%v: vector<8xf32>, %sum: f32):
        %r = math.rsqrt %sum : f32
        %b = vector.broadcast %r : f32 to vector<8xf32>
        %m = arith.mulf %v, %b : vector<8xf32>
        moek.yield %m : vector<8xf32>
      } -> tensor<?x8xf32>
    // ...
    ```
    After, with `sums=true`:
    ```mlir
    // ...
      %y = moek.row_map groups(%all : tensor<2xi32>) rows(%x : tensor<?x8xf32>)
          outs(%e : tensor<?x8xf32>) body {
      ^bb0(%v: vector<8xf32>):
        %s = arith.mulf %v, %v : vector<8xf32>
        %r = vector.reduction <add>, %s : vector<8xf32> into f32
        // ...
        %m = arith.mulf %v, %b : vector<8xf32>
        moek.yield %m : vector<8xf32>
      } -> tensor<?x8xf32>
    // ...
    ```
  }];
  let options = [
    Option<"sums", "sums", "bool", "false",
           "Form the sums of rows in the same pass, in another order">
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::tensor::TensorDialect",
                           "::mlir::vector::VectorDialect", "::moek::MoekDialect"];
}

def JoinRouters : Pass<"moek-join-routers"> {
  let summary = "Multiply once for the routers of one input";
  let description = [{
    The routers (`moek.route`) of a block that multiply the same rows by weights of
    their own get their logits from one `moek.grouped_matmul`, whose weight has the
    rows of all of theirs, put together when it is packed. The input is read once,
    and panels of 32 columns hold several small routers.

    Results have the same bits: a sum over k runs in one order, whatever is in the
    other columns of a panel.

    Before:
    ```mlir
    func.func @route(%x: tensor<?x8xf32>, %w1: tensor<2x8xf32>, %w2: tensor<3x8xf32>,
        %a: tensor<?x1xi32>, %b: tensor<?x1xf32>, %o1: tensor<3xi32>, %o2: tensor<4xi32>,
        %d: tensor<?xi32>, %f: tensor<?xf32>) -> (tensor<?x1xi32>, tensor<?x1xi32>) {
      %p1 = moek.pack %w1 : tensor<2x8xf32> -> tensor<1x1x2x8xf32>
      %p2 = moek.pack %w2 : tensor<3x8xf32> -> tensor<1x1x3x8xf32>
      %r1:7 = moek.route #moe.top_k<1> experts(2)
          logits(%x, %p1 : tensor<?x8xf32>, tensor<1x1x2x8xf32>)
          outs(%a, %b, %o1, %o1, %d, %a, %f : tensor<?x1xi32>, tensor<?x1xf32>,
               tensor<3xi32>, tensor<3xi32>, tensor<?xi32>, tensor<?x1xi32>, tensor<?xf32>)
      scores {
      ^bb0(%z: vector<2xf32>):
        moek.yield %z, %z : vector<2xf32>, vector<2xf32>
      } weigh {
      ^bb0(%v: vector<1xf32>):
        moek.yield %v : vector<1xf32>
      } -> tensor<?x1xi32>, tensor<?x1xf32>, tensor<3xi32>, tensor<3xi32>, tensor<?xi32>,
           tensor<?x1xi32>, tensor<?xf32>
      %r2:7 = moek.route #moe.top_k<1> experts(3)
          logits(%x, %p2 : tensor<?x8xf32>, tensor<1x1x3x8xf32>)
          outs(%a, %b, %o2, %o2, %d, %a, %f : tensor<?x1xi32>, tensor<?x1xf32>,
               tensor<4xi32>, tensor<4xi32>, tensor<?xi32>, tensor<?x1xi32>, tensor<?xf32>)
      scores {
      ^bb0(%z: vector<3xf32>):
        moek.yield %z, %z : vector<3xf32>, vector<3xf32>
      } weigh {
      ^bb0(%v: vector<1xf32>):
        moek.yield %v : vector<1xf32>
      } -> tensor<?x1xi32>, tensor<?x1xf32>, tensor<4xi32>, tensor<4xi32>, tensor<?xi32>,
           tensor<?x1xi32>, tensor<?xf32>
      return %r1#0, %r2#0 : tensor<?x1xi32>, tensor<?x1xi32>
    }
    ```
    After:
    ```mlir
    // ...
      %w = tensor.concat dim(0) %w1, %w2
          : (tensor<2x8xf32>, tensor<3x8xf32>) -> tensor<5x8xf32>
      %p = moek.pack %w : tensor<5x8xf32> -> tensor<1x1x5x8xf32>
      // ...
      %z = moek.grouped_matmul n(5) k(8) lhs(%x : tensor<?x8xf32>)
          rhs(%p : tensor<1x1x5x8xf32>) groups(%rows, %any : tensor<2xi32>, tensor<2xi32>)
          phase("routers") outs(%e : tensor<?x5xf32>) epilogue {
      // ...
      %z1 = tensor.extract_slice %z[0, 0] [%n, 2] [1, 1] : tensor<?x5xf32> to tensor<?x2xf32>
      // ...
      %z2 = tensor.extract_slice %z[0, 2] [%n, 3] [1, 1] : tensor<?x5xf32> to tensor<?x3xf32>
    // ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::tensor::TensorDialect", "::moek::MoekDialect"];
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
    func.func @layer(%x: tensor<?x8xf32>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>,
        %p: tensor<4x1x8x8xf32>, %a: tensor<5xi32>, %b: tensor<?xi32>, %c: tensor<?x2xi32>,
        %d: tensor<?xf32>, %n: index, %m: index) -> tensor<?x8xf32> {
      %r:5 = moek.index experts(4) ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>)
          outs(%a, %a, %b, %c, %d : tensor<5xi32>, tensor<5xi32>, tensor<?xi32>,
               tensor<?x2xi32>, tensor<?xf32>)
          -> tensor<5xi32>, tensor<5xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>
      %e = tensor.empty(%m) : tensor<?x8xf32>
      %h = moek.grouped_matmul n(8) k(8) lhs(%x : tensor<?x8xf32>)
          rhs(%p : tensor<4x1x8x8xf32>) groups(%r#0, %r#1 : tensor<5xi32>, tensor<5xi32>)
          gather(%r#2 : tensor<?xi32>) outs(%e : tensor<?x8xf32>) epilogue {
      ^bb0(%v: f32):
        moek.yield %v : f32
      } -> tensor<?x8xf32>
      %f = tensor.empty(%n) : tensor<?x8xf32>
      %y = moek.grouped_matmul n(8) k(8) lhs(%h : tensor<?x8xf32>)
          rhs(%p : tensor<4x1x8x8xf32>) groups(%r#0, %r#1 : tensor<5xi32>, tensor<5xi32>)
          combine(%r#3 : tensor<?x2xi32>) slot_weights(%w : tensor<?x2xf32>)
          outs(%f : tensor<?x8xf32>) epilogue {
      ^bb0(%v: f32):
        moek.yield %v : f32
      } -> tensor<?x8xf32>
      return %y : tensor<?x8xf32>
    }
    ```
    After, with `rows=64`:
    ```mlir
    // ...
      %y = scf.for %b = %c0 to %n step %c64 iter_args(%sum = %f) -> (tensor<?x8xf32>) {
        // ...
        %o, %a, %t = moek.window from(%b)
            ins(%offsets, %active, %tokens : tensor<5xi32>, tensor<5xi32>, tensor<?xi32>)
            outs(%e0, %e1, %e2 : tensor<5xi32>, tensor<5xi32>, tensor<?xi32>)
            -> tensor<5xi32>, tensor<5xi32>, tensor<?xi32>
        %e = tensor.empty(%rows) : tensor<?x8xf32>
        %h = moek.grouped_matmul n(8) k(8) lhs(%x : tensor<?x8xf32>)
            rhs(%p : tensor<4x1x8x8xf32>) groups(%o, %a : tensor<5xi32>, tensor<5xi32>)
            gather(%t : tensor<?xi32>) outs(%e : tensor<?x8xf32>) epilogue {
        // ...
        } -> tensor<?x8xf32>
        %s = moek.grouped_matmul n(8) k(8) lhs(%h : tensor<?x8xf32>)
            rhs(%p : tensor<4x1x8x8xf32>) groups(%o, %a : tensor<5xi32>, tensor<5xi32>)
            combine(%positions : tensor<?x2xi32>) from(%b of %all)
            slot_weights(%w : tensor<?x2xf32>) outs(%sum : tensor<?x8xf32>) epilogue {
        // ...
        } -> tensor<?x8xf32>
        scf.yield %s : tensor<?x8xf32>
      }
      return %y : tensor<?x8xf32>
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
