//===- Passes.td - Passes on the moe dialect -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Target-independent passes from moe to moe.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TRANSFORMS_PASSES
#define MOE_MLIR_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def ExpandActivations : Pass<"moe-expand-activations"> {
  let summary = "Write named activations and weighings out as regions";
  let description = [{
    The named activation of a `moe.ffn` becomes its `body`, and the `weighing`
    list of a `moe.router` its `weights` region. The two forms mean the same and
    fuse the same; the region can be changed by hand.

    Before:
    ```mlir
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu2) : ...
    ```
    After:
    ```mlir
    %f = moe.ffn %t up(%u) down(%d) : ... body {
    ^bb0(%v: f32):
      %zero = arith.constant 0.000000e+00 : f32
      %m = arith.maximumf %v, %zero : f32
      %s = arith.mulf %m, %m : f32
      moe.yield %s : f32
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def ExpandBalance : Pass<"moe-expand-balance"> {
  let summary = "Write the metrics of moe.balance out as ordinary IR";
  let description = [{
    Each metric of a `moe.balance` becomes the IR that its attribute builds, of
    views of the routing and ops of `arith`, `linalg`, `math`, `scf` and
    `tensor`. What several metrics share is built for each: CSE merges it. A
    metric whose result has no user is left out.

    Before:
    ```mlir
    %n = moe.balance %r [#moe.dead_experts] : !moe.routing<64 x 8> -> tensor<i32>
    ```
    After:
    ```mlir
    %o = moe.routing.offsets %r : !moe.routing<64 x 8> -> tensor<65xi32>
    %last = tensor.extract_slice %o[1] [64] [1] : tensor<65xi32> to tensor<64xi32>
    %first = tensor.extract_slice %o[0] [64] [1] : ...
    %counts = linalg.generic ... ins(%last, %first) outs(%e) { subi }
    %dead = linalg.generic {iterator_types = ["reduction"]}
              ins(%counts) outs(%zero) { addi (extui (cmpi eq, 0)) }
    %s = tensor.extract %dead[] : tensor<i32>
    %n = tensor.from_elements %s : tensor<i32>
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def ExpandSimilarity : Pass<"moe-expand-similarity"> {
  let summary = "Write moe.similarity out as linalg";
  let description = [{
    The product of rows and centroids becomes a `linalg.matmul`, which fuses with
    a router as its logits do; cosines scale it by one over the length of each
    row and of each centroid. `l2` is one `linalg.generic`.

    Before:
    ```mlir
    %s = moe.similarity %x, %c metric(cosine)
        : tensor<?x64xf32>, tensor<8x64xf32> -> tensor<?x8xf32>
    ```
    After:
    ```mlir
    %z = linalg.matmul ... ins(%x, %c) outs(%zeros)
    %rx = ... // 1 / max(|x|, 1e-12), tensor<?xf32>
    %rc = ... // 1 / max(|c|, 1e-12), tensor<8xf32>
    %s = linalg.generic ... ins(%z, %rx, %rc) { mulf, mulf }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"
  ];
}

def NormalizeRouterScores : Pass<"moe-normalize-router-scores"> {
  let summary = "Bring the score chains of routers to their cheapest form";
  let description = [{
    Selecting K of E experts needs only the order of the scores, and only K of
    them become weights. With `z` the logits:

    - softmax of `z`, selected and weighed by, then normalised by its sum with
      eps 0, is the softmax of the K chosen logits: K exponentials, not E;
    - what is strictly increasing in each row (softmax, sigmoid, tanh, scaling by
      a positive constant, adding a constant) does not change which experts are
      selected, so `select` takes the tensor before it;
    - a sigmoid of `z` that is selected by `z` is computed of the K chosen.

    A correction bias per expert stops the second rule: the order of biased
    scores is another one. Elementwise functions are recognised by their bodies.
    A row of a softmax is NaN as a whole if a logit is NaN or +infinity: where
    logits take its place, such a row becomes NaN by `y = z + p`, in which `p` is
    the sum over the row of 0, and of NaN for such a logit.
    Equal scores keep their order where the function is exact; where rounding
    makes two different logits one score, the logit decides.

    Before:
    ```mlir
    %s = linalg.softmax dimension(1) ins(%z) outs(%e) -> tensor<?x128xf32>
    %r = moe.router #moe.top_k<8> select(%s) weigh(%s)
           weighing [#moe.normalize<sum, eps = 0.0>]
         : tensor<?x128xf32> -> !moe.routing<128 x 8>
    ```
    After:
    ```mlir
    %y = ... // z, or NaN
    %r = moe.router #moe.top_k<8> select(%y) weigh(%y) weighing [#moe.softmax]
         : tensor<?x128xf32> -> !moe.routing<128 x 8>
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def FoldSharedExpert : Pass<"moe-fold-shared-expert"> {
  let summary = "Make a shared expert one that every token chooses";
  let description = [{
    A dense `moe.ffn` on the input of a layer, added to what the layer gives,
    becomes one more expert (or several of the routed size) that every token is
    routed to: the layer then is one set of kernels. A gate, the shared result
    times a value per token, becomes the weight of the assignment.

    The sum is found as the `init` of the combine, or an elementwise addition.
    A remark says why a sum that looks like a shared expert was left.

    Before:
    ```mlir
    %rows = moe.dispatch %x by %r : ...
    %out = moe.expert %rows by %r ... experts 0 to 256 weights(...) {...}
    %s = moe.ffn %x gate(%sg) up(%su) down(%sd) activation(#moe.silu) : ...
    %y = moe.combine %out by %r init(%s : tensor<?x64xf32>) : ...
    ```
    After:
    ```mlir
    %r2 = moe.routing.append %r : !moe.routing<256 x 8> -> !moe.routing<257 x 9>
    %rows = moe.dispatch %x by %r2 : ...
    %out = moe.expert %rows by %r2 ... experts 0 to 256 weights(...) {...}
             experts 256 to 257 weights(%sg1, %su1, %sd1 : ...) {...}
    %y = moe.combine %out by %r2 : ...
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def HoistWeightViews : Pass<"moe-hoist-weight-views"> {
  let summary = "Take weights of experts apart outside of their bodies";
  let description = [{
    Where the body of experts takes a weight apart - gate and up of one tensor,
    halves of it or every other row, or a transposition - the
    same view of the weights of all experts becomes a weight of the group. Such
    weights are packed ahead of time, and the body is one that becomes kernels.

    A remark names what is left: what is no view of one weight, or cannot be
    packed ahead of time.

    Before:
    ```mlir
    %out = moe.expert %rows by %r ... experts 0 to 8 weights(%gu, %d : tensor<8x64x32xf32>, ...) {
    ^bb0(%t: tensor<?x32xf32>, %w: tensor<64x32xf32>, %c: ...):
      %g = tensor.extract_slice %w[0, 0] [32, 32] [2, 1] : ...
      %u = tensor.extract_slice %w[1, 0] [32, 32] [2, 1] : ...
      %f = moe.ffn %t gate(%g) up(%u) down(%c) activation(#moe.silu) : ...
      moe.yield %f : ...
    }
    ```
    After:
    ```mlir
    %g = tensor.extract_slice %gu[0, 0, 0] [8, 32, 32] [1, 2, 1] : ...
    %u = tensor.extract_slice %gu[0, 1, 0] [8, 32, 32] [1, 2, 1] : ...
    %out = moe.expert %rows by %r ... experts 0 to 8 weights(%d, %g, %u : ...) {
    ^bb0(%t: tensor<?x32xf32>, %c: ..., %g1: tensor<32x32xf32>, %u1: ...):
      %f = moe.ffn %t gate(%g1) up(%u1) down(%c) activation(#moe.silu) : ...
      moe.yield %f : ...
    }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def SplitProducts : Pass<"moe-split-products"> {
  let summary = "Multiply for parts of a product's columns one by one";
  let description = [{
    Where nothing in the body of experts reads a product of rows and a weight but
    slices of its columns, each becomes a product with those rows of the weight:
    gate and up that a model multiplies at once are then two products of the same
    rows, which one kernel computes with both values of an element in registers.

    Before:
    ```mlir
    %gu = linalg.matmul indexing_maps = [...] ins(%t, %w : tensor<?x32xf32>, tensor<48x32xf32>) outs(%f : ...)
    %g = tensor.extract_slice %gu[0, 0] [%n, 24] [1, 1] : tensor<?x48xf32> to tensor<?x24xf32>
    %u = tensor.extract_slice %gu[0, 24] [%n, 24] [1, 1] : tensor<?x48xf32> to tensor<?x24xf32>
    ```
    After:
    ```mlir
    %wg = tensor.extract_slice %w[0, 0] [24, 32] [1, 1] : tensor<48x32xf32> to tensor<24x32xf32>
    %g = linalg.matmul indexing_maps = [...] ins(%t, %wg : tensor<?x32xf32>, tensor<24x32xf32>) outs(...)
    %wu = tensor.extract_slice %w[24, 0] [24, 32] [1, 1] : tensor<48x32xf32> to tensor<24x32xf32>
    %u = linalg.matmul indexing_maps = [...] ins(%t, %wu : tensor<?x32xf32>, tensor<24x32xf32>) outs(...)
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def RecordRouting : Pass<"moe-record-routing", "::mlir::ModuleOp"> {
  let summary = "Return the routings of entry functions";
  let description = [{
    A function with a router gets three more results:

    | result | type | |
    |---|---|---|
    | `routing.indices` | `tensor<TxKxi32>` | the experts of each token, -1 in unused slots |
    | `routing.weights` | `tensor<TxKxF>` | their weights, 0 in unused slots; F as the scores |
    | `routing.counts` | `tensor<Exi32>` | how many tokens each expert gets |

    Several routers number theirs in order: `routing.indices.0`, ... Where
    nothing but a `moe.routing.limit` uses a router's routing, the limited one is
    recorded: what it dropped is -1. Experts that are appended later are not
    recorded.

    Nothing else changes, and `moe-replay-routing` takes what this returns.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ReplayRouting : Pass<"moe-replay-routing", "::mlir::ModuleOp"> {
  let summary = "Take the routings of entry functions as arguments";
  let description = [{
    The routing that `moe-record-routing` records is replaced by a
    `moe.routing.make` of two more arguments, `routing.indices` and
    `routing.weights` of the types above, and what only made it is removed. The
    routing is taken as it is: no capacity is applied to it, and an expert out
    of range or named twice for a token ends the call with a status.

    Arguments that only the router used (its weight) stay, so that the inputs of
    a recorded run fit as they are; `drop-arguments` removes them.
  }];
  let options = [
    Option<"dropArguments", "drop-arguments", "bool", /*default=*/"false",
           "Remove arguments that only the routers used">,
  ];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

#endif // MOE_MLIR_TRANSFORMS_PASSES
