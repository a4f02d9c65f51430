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
    func.func @body(%x: tensor<4x8xf32>, %up: tensor<16x8xf32>,
                    %down: tensor<8x16xf32>) -> tensor<4x8xf32> {
      %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2)
          : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
      return %f : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @body(%x: tensor<4x8xf32>, %up: tensor<16x8xf32>,
                    %down: tensor<8x16xf32>) -> tensor<4x8xf32> {
      %f = moe.ffn %x up(%up) down(%down)
          : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
      body {
      ^bb0(%v: f32):
        %zero = arith.constant 0.0 : f32
        %m = arith.maximumf %v, %zero : f32
        %s = arith.mulf %m, %m : f32
        moe.yield %s : f32
      }
      return %f : tensor<4x8xf32>
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
    func.func @dead(%r: !moe.routing<4 x 2>) -> tensor<i32> {
      %n = moe.balance %r [#moe.dead_experts] : !moe.routing<4 x 2> -> tensor<i32>
      return %n : tensor<i32>
    }
    ```
    After:
    ```mlir
    // ...
    func.func @dead(%r: !moe.routing<4 x 2>) -> tensor<i32> {
      %o = moe.routing.offsets %r : !moe.routing<4 x 2> -> tensor<5xi32>
      %last = tensor.extract_slice %o[1] [4] [1] : tensor<5xi32> to tensor<4xi32>
      %first = tensor.extract_slice %o[0] [4] [1] : tensor<5xi32> to tensor<4xi32>
      // ...
      ^bb0(%x: i32, %y: i32, %out: i32):
        %count = arith.subi %x, %y : i32
        linalg.yield %count : i32
      } -> tensor<4xi32>
      // ...
        %c0 = arith.constant 0 : i32
        %isDead = arith.cmpi eq, %in, %c0 : i32
        %one = arith.extui %isDead : i1 to i32
        %sum = arith.addi %acc, %one : i32
        linalg.yield %sum : i32
      } -> tensor<i32>
      %s = tensor.extract %dead[] : tensor<i32>
      %n = tensor.from_elements %s : tensor<i32>
      return %n : tensor<i32>
    }
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
    func.func @scores(%x: tensor<4x8xf32>, %c: tensor<2x8xf32>) -> tensor<4x2xf32> {
      %s = moe.similarity %x, %c metric(dot)
          : tensor<4x8xf32>, tensor<2x8xf32> -> tensor<4x2xf32>
      return %s : tensor<4x2xf32>
    }
    ```
    After:
    ```mlir
    #x = affine_map<(t, e, h) -> (t, h)>
    #c = affine_map<(t, e, h) -> (e, h)>
    #s = affine_map<(t, e, h) -> (t, e)>
    func.func @scores(%x: tensor<4x8xf32>, %c: tensor<2x8xf32>) -> tensor<4x2xf32> {
      %zero = arith.constant 0.0 : f32
      %e = tensor.empty() : tensor<4x2xf32>
      %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x2xf32>) -> tensor<4x2xf32>
      %s = linalg.matmul indexing_maps = [#x, #c, #s]
          ins(%x, %c : tensor<4x8xf32>, tensor<2x8xf32>)
          outs(%f : tensor<4x2xf32>) -> tensor<4x2xf32>
      return %s : tensor<4x2xf32>
    }
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
    func.func @route(%z: tensor<4x8xf32>, %e: tensor<4x8xf32>) -> !moe.routing<8 x 2> {
      %s = linalg.softmax dimension(1) ins(%z : tensor<4x8xf32>)
          outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
      %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
          weighing [#moe.normalize<sum, eps = 0.0>]
          : tensor<4x8xf32> -> !moe.routing<8 x 2>
      return %r : !moe.routing<8 x 2>
    }
    ```
    After:
    ```mlir
    // ...
      ^bb0(%in: f32, %out: f32):
        %isNumber = arith.cmpf olt, %in, %infinity : f32
        %p = arith.select %isNumber, %zero, %nan : f32
        %sum = arith.addf %out, %p : f32
        linalg.yield %sum : f32
      } -> tensor<4xf32>
      // ...
      %y = linalg.generic {indexing_maps = [#map, #map1, #map],
                           iterator_types = ["parallel", "parallel"]}
          ins(%z, %rows : tensor<4x8xf32>, tensor<4xf32>) outs(%e : tensor<4x8xf32>) {
      ^bb0(%in: f32, %p: f32, %out: f32):
        %sum = arith.addf %in, %p : f32
        linalg.yield %sum : f32
      } -> tensor<4x8xf32>
      // ...
      %r = moe.router #moe.top_k<2> select(%y) weigh(%y) weighing [#moe.softmax]
          : tensor<4x8xf32> -> !moe.routing<8 x 2>
      return %r : !moe.routing<8 x 2>
    }
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
    func.func @layer(%x: tensor<4x8xf32>, %r: !moe.routing<2 x 1>,
        %up: tensor<2x16x8xf32>, %down: tensor<2x8x16xf32>,
        %su: tensor<16x8xf32>, %sd: tensor<8x16xf32>) -> tensor<4x8xf32> {
      %rows = moe.dispatch %x by %r
          : tensor<4x8xf32>, !moe.routing<2 x 1> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
      experts 0 to 2 weights(%up, %down : tensor<2x16x8xf32>, tensor<2x8x16xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>):
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      %s = moe.ffn %x up(%su) down(%sd) activation(#moe.relu)
          : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<4x8xf32>
      %y = moe.combine %out by %r init(%s : tensor<4x8xf32>)
          : tensor<?x8xf32>, !moe.routing<2 x 1> -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %r2 = moe.routing.append %r : !moe.routing<2 x 1> -> !moe.routing<3 x 2>
      %rows = moe.dispatch %x by %r2
          : tensor<4x8xf32>, !moe.routing<3 x 2> -> tensor<?x8xf32>
      %su1 = tensor.expand_shape %su [[0, 1], [2]] output_shape [1, 16, 8]
          : tensor<16x8xf32> into tensor<1x16x8xf32>
      %sd1 = tensor.expand_shape %sd [[0, 1], [2]] output_shape [1, 8, 16]
          : tensor<8x16xf32> into tensor<1x8x16xf32>
      %out = moe.expert %rows by %r2
          : (tensor<?x8xf32>, !moe.routing<3 x 2>) -> tensor<?x8xf32>
      experts 0 to 2 weights(%up, %down : tensor<2x16x8xf32>, tensor<2x8x16xf32>) {
        // ...
      } experts 2 to 3 weights(%su1, %sd1 : tensor<1x16x8xf32>, tensor<1x8x16xf32>) {
        // ...
      }
      %y = moe.combine %out by %r2
          : tensor<?x8xf32>, !moe.routing<3 x 2> -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def FuseResidual : Pass<"moe-fuse-residual"> {
  let summary = "Let a layer add the residual behind it";
  let description = [{
    A sum of the result of a `moe.combine`, which nothing else reads, and a tensor
    of its type becomes the `init` of the combine: the layer's result is then not
    written and read again. `arith.addf` on tensors, `linalg.add` and the same as
    `linalg.generic` are such sums.

    The bits are the same: `init` is added after the sum over the experts, in f32.
    Results of other types stay as they are, as those are rounded twice, and so
    does a combine that has an `init` (a shared expert that
    `moe-fold-shared-expert` could not make an expert of the layer). A remark says
    which.

    Before:
    ```mlir
    func.func @sum(%out: tensor<?x64xf32>, %r: !moe.routing<8 x 2>,
                   %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %c = moe.combine %out by %r
          : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
      %y = arith.addf %x, %c : tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
    After:
    ```mlir
    func.func @sum(%out: tensor<?x64xf32>, %r: !moe.routing<8 x 2>,
                   %x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %y = moe.combine %out by %r init(%x : tensor<?x64xf32>)
          : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
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
    func.func @experts(%rows: tensor<?x8xf32>, %r: !moe.routing<2 x 1>,
        %gu: tensor<2x32x8xf32>, %down: tensor<2x8x16xf32>) -> tensor<?x8xf32> {
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
      experts 0 to 2 weights(%gu, %down : tensor<2x32x8xf32>, tensor<2x8x16xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %w: tensor<32x8xf32>, %d: tensor<8x16xf32>):
        %g = tensor.extract_slice %w[0, 0] [16, 8] [2, 1]
            : tensor<32x8xf32> to tensor<16x8xf32>
        %u = tensor.extract_slice %w[1, 0] [16, 8] [2, 1]
            : tensor<32x8xf32> to tensor<16x8xf32>
        %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>)
            -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      return %out : tensor<?x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @experts(%rows: tensor<?x8xf32>, %r: !moe.routing<2 x 1>,
        %gu: tensor<2x32x8xf32>, %down: tensor<2x8x16xf32>) -> tensor<?x8xf32> {
      %gate = tensor.extract_slice %gu[0, 0, 0] [2, 16, 8] [1, 2, 1]
          : tensor<2x32x8xf32> to tensor<2x16x8xf32>
      %up = tensor.extract_slice %gu[0, 1, 0] [2, 16, 8] [1, 2, 1]
          : tensor<2x32x8xf32> to tensor<2x16x8xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
      experts 0 to 2 weights(%down, %gate, %up
          : tensor<2x8x16xf32>, tensor<2x16x8xf32>, tensor<2x16x8xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %d: tensor<8x16xf32>, %g: tensor<16x8xf32>,
           %u: tensor<16x8xf32>):
        %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>)
            -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      return %out : tensor<?x8xf32>
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
    func.func @experts(%rows: tensor<?x8xf32>, %r: !moe.routing<2 x 1>,
                       %gu: tensor<2x8x32xf32>) -> tensor<?x16xf32> {
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x16xf32>
      experts 0 to 2 weights(%gu : tensor<2x8x32xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %w: tensor<8x32xf32>):
        %c0 = arith.constant 0 : index
        %zero = arith.constant 0.0 : f32
        %n = tensor.dim %t, %c0 : tensor<?x8xf32>
        %e = tensor.empty(%n) : tensor<?x32xf32>
        %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
        %p = linalg.matmul ins(%t, %w : tensor<?x8xf32>, tensor<8x32xf32>)
            outs(%z : tensor<?x32xf32>) -> tensor<?x32xf32>
        %g = tensor.extract_slice %p[0, 0] [%n, 16] [1, 1]
            : tensor<?x32xf32> to tensor<?x16xf32>
        %u = tensor.extract_slice %p[0, 16] [%n, 16] [1, 1]
            : tensor<?x32xf32> to tensor<?x16xf32>
        %h = arith.mulf %g, %u : tensor<?x16xf32>
        moe.yield %h : tensor<?x16xf32>
      }
      return %out : tensor<?x16xf32>
    }
    ```
    After:
    ```mlir
    // ...
        %wg = tensor.extract_slice %w[0, 0] [8, 16] [1, 1]
            : tensor<8x32xf32> to tensor<8x16xf32>
        // ...
        %g = linalg.matmul ins(%t, %wg : tensor<?x8xf32>, tensor<8x16xf32>)
            outs(%zg : tensor<?x16xf32>) -> tensor<?x16xf32>
        %wu = tensor.extract_slice %w[0, 16] [8, 16] [1, 1]
            : tensor<8x32xf32> to tensor<8x16xf32>
        // ...
        %u = linalg.matmul ins(%t, %wu : tensor<?x8xf32>, tensor<8x16xf32>)
            outs(%zu : tensor<?x16xf32>) -> tensor<?x16xf32>
        %h = arith.mulf %g, %u : tensor<?x16xf32>
    // ...
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def StoreWeights : Pass<"moe-store-weights", "::mlir::ModuleOp"> {
  let summary = "Store weights as their moe.format says";
  let description = [{
    An argument that is a matrix of experts, or of an ordinary product with rows
    that is no router's, may say in `moe.format` what it is to
    be stored in: a format of weights, or, of experts, a type of floats. It becomes the tensors
    of that format, with names as `moe-import --weights-type` gives them, and a
    `moe.dequantize` of them; with floats only its type changes. A weight in a
    format says it on the first of the arguments that it is stored in, and is
    then stored otherwise. A list of formats, each with its first expert, is for
    ranges of experts: `[[0, #moe.q6_k], [16, #moe.q4_k]]`. Each range is a weight
    of its own then, called `experts.up_proj.0-15`, and experts of different ranges
    are groups of their own. `moe-quantize` converts checkpoints in the same way.

    Before:
    ```mlir
    func.func @ffn(%x: tensor<4x32xf32>, %up: tensor<64x32xf32> {moe.format = #moe.q4_0, moe.name = "up"},
                   %down: tensor<32x64xf32> {moe.format = bf16, moe.name = "down"}) -> tensor<4x32xf32> {
      %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2)
          : (tensor<4x32xf32>, tensor<64x32xf32>, tensor<32x64xf32>) -> tensor<4x32xf32>
      return %f : tensor<4x32xf32>
    }
    ```
    After:
    ```mlir
    func.func @ffn(%x: tensor<4x32xf32> {moe.name = "arg0"}, %blocks: tensor<64x1x18xi8> {moe.name = "up"},
                   %down: tensor<32x64xbf16> {moe.name = "down"}) -> tensor<4x32xf32> {
      %up = moe.dequantize #moe.q4_0 (%blocks : tensor<64x1x18xi8>) : tensor<64x32xf32>
      %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2)
          : (tensor<4x32xf32>, tensor<64x32xf32>, tensor<32x64xbf16>) -> tensor<4x32xf32>
      return %f : tensor<4x32xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
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

    Before:
    ```mlir
    func.func @route(%s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]})
        -> (!moe.routing<8 x 2> {moe.name = "r"}) {
      %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
          : tensor<?x8xf32> -> !moe.routing<8 x 2>
      return %r : !moe.routing<8 x 2>
    }
    ```
    After:
    ```mlir
    func.func @route(%s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]})
        -> (!moe.routing<8 x 2> {moe.name = "r"},
            tensor<?x2xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
            tensor<?x2xf32> {moe.name = "routing.weights", moe.dims = ["T"]},
            tensor<8xi32> {moe.name = "routing.counts"}) {
      %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
          : tensor<?x8xf32> -> !moe.routing<8 x 2>
      %o = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<9xi32>
      %last = tensor.extract_slice %o[1] [8] [1] : tensor<9xi32> to tensor<8xi32>
      %first = tensor.extract_slice %o[0] [8] [1] : tensor<9xi32> to tensor<8xi32>
      %e = tensor.empty() : tensor<8xi32>
      %n = linalg.sub ins(%last, %first : tensor<8xi32>, tensor<8xi32>)
          outs(%e : tensor<8xi32>) -> tensor<8xi32>
      %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
      %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
      return %r, %i, %w, %n
          : !moe.routing<8 x 2>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<8xi32>
    }
    ```
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

    Before:
    ```mlir
    func.func @route(%s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]})
        -> (!moe.routing<8 x 2> {moe.name = "r"}) {
      %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
          : tensor<?x8xf32> -> !moe.routing<8 x 2>
      return %r : !moe.routing<8 x 2>
    }
    ```
    After:
    ```mlir
    func.func @route(%s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]},
        %i: tensor<?x2xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
        %w: tensor<?x2xf32> {moe.name = "routing.weights", moe.dims = ["T"]})
        -> (!moe.routing<8 x 2> {moe.name = "r"}) {
      %r = moe.routing.make %i, %w
          : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
      return %r : !moe.routing<8 x 2>
    }
    ```
  }];
  let options = [
    Option<"dropArguments", "drop-arguments", "bool", /*default=*/"false",
           "Remove arguments that only the routers used">,
  ];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def IsolateExperts : Pass<"moe-isolate-experts", "::mlir::ModuleOp"> {
  let summary = "Leave the experts of a layer, with the routing from outside";
  let description = [{
    An entry function with one layer becomes one of its experts alone, for who
    has a router of their own:

    | argument | type | |
    |---|---|---|
    | `x` | `tensor<TxH>` | what the experts get: the rows that were dispatched |
    | `routing.indices` | `tensor<TxKxi32>` | the experts of each token; -1, or the number of experts, in unused slots |
    | `routing.weights` | `tensor<TxKxf32>` | their weights |

    and the weights of the experts; the result `y` is the weighted sum of what the
    experts give. Router, shared experts and whatever else is around them go, and
    so do their arguments. The routing is trusted: nothing of it is checked.

    Before:
    ```mlir
    func.func @layer(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]},
        %s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]},
        %up: tensor<8x6x4xf32> {moe.name = "up"},
        %down: tensor<8x4x6xf32> {moe.name = "down"})
        -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]}) {
      %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
          : tensor<?x8xf32> -> !moe.routing<8 x 2>
      %d = moe.dispatch %x by %r
          : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
      %o = moe.expert %d by %r : (tensor<?x4xf32>, !moe.routing<8 x 2>) -> tensor<?x4xf32>
        experts 0 to 8 weights(%up, %down : tensor<8x6x4xf32>, tensor<8x4x6xf32>) {
        ^bb0(%own: tensor<?x4xf32>, %u: tensor<6x4xf32>, %w: tensor<4x6xf32>):
          %f = moe.ffn %own up(%u) down(%w) activation(#moe.relu)
              : (tensor<?x4xf32>, tensor<6x4xf32>, tensor<4x6xf32>) -> tensor<?x4xf32>
          moe.yield %f : tensor<?x4xf32>
        }
      %y = moe.combine %o by %r init(%x : tensor<?x4xf32>)
          : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
      return %y : tensor<?x4xf32>
    }
    ```
    After:
    ```mlir
    func.func @layer(%x: tensor<?x4xf32> {moe.name = "x", moe.dims = ["T"]},
        %i: tensor<?x2xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
        %w: tensor<?x2xf32> {moe.name = "routing.weights", moe.dims = ["T"]},
        %up: tensor<8x6x4xf32> {moe.name = "up"},
        %down: tensor<8x4x6xf32> {moe.name = "down"})
        -> (tensor<?x4xf32> {moe.name = "y", moe.dims = ["T"]}) {
      %r = moe.routing.make %i, %w trusted
          : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
      %d = moe.dispatch %x by %r
          : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
      %o = moe.expert %d by %r : (tensor<?x4xf32>, !moe.routing<8 x 2>) -> tensor<?x4xf32>
        experts 0 to 8 weights(%up, %down : tensor<8x6x4xf32>, tensor<8x4x6xf32>) {
        ^bb0(%own: tensor<?x4xf32>, %u: tensor<6x4xf32>, %v: tensor<4x6xf32>):
          %f = moe.ffn %own up(%u) down(%v) activation(#moe.relu)
              : (tensor<?x4xf32>, tensor<6x4xf32>, tensor<4x6xf32>) -> tensor<?x4xf32>
          moe.yield %f : tensor<?x4xf32>
        }
      %y = moe.combine %o by %r
          : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
      return %y : tensor<?x4xf32>
    }
    ```
  }];
}

#endif // MOE_MLIR_TRANSFORMS_PASSES
