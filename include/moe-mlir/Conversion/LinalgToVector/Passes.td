//===- Passes.td - Ordinary IR to parallel vector loops -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CONVERSION_LINALGTOVECTOR_PASSES
#define MOE_MLIR_CONVERSION_LINALGTOVECTOR_PASSES

include "mlir/Pass/PassBase.td"

def FuseElementwise : Pass<"moe-fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "Fuse elementwise linalg ops where nothing is computed twice";
  let description = [{
    Upstream's elementwise fusion with a cost rule: a producer moves into its
    only user when each of its elements is read once, so into elementwise ops
    and into reductions over what it makes, but not into a matmul, which would
    compute it again for every column. For this, named ops become
    `linalg.generic`, except for fills, copies and contractions, and what
    `tensor.concat` joins is inserted where it belongs.

    Before:
    ```mlir
    func.func @sum_exp(%x: tensor<4x8xf32>, %e: tensor<4x8xf32>, %z: tensor<4xf32>)
        -> tensor<4xf32> {
      %y = linalg.exp ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>)
          -> tensor<4x8xf32>
      %s = linalg.reduce { arith.addf } ins(%y : tensor<4x8xf32>)
          outs(%z : tensor<4xf32>) dimensions = [1]
      return %s : tensor<4xf32>
    }
    ```
    After:
    ```mlir
    #x = affine_map<(i, j) -> (i, j)>
    #s = affine_map<(i, j) -> (i)>
    func.func @sum_exp(%x: tensor<4x8xf32>, %e: tensor<4x8xf32>, %z: tensor<4xf32>)
        -> tensor<4xf32> {
      %s = linalg.generic {indexing_maps = [#x, #s],
                           iterator_types = ["parallel", "reduction"]}
          ins(%x : tensor<4x8xf32>) outs(%z : tensor<4xf32>) {
      ^bb0(%in: f32, %out: f32):
        %y = math.exp %in : f32
        %sum = arith.addf %out, %y : f32
        linalg.yield %sum : f32
      } -> tensor<4xf32>
      return %s : tensor<4xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def StreamAttention : Pass<"moe-stream-attention", "::mlir::func::FuncOp"> {
  let summary = "Go over the keys of attention once, and keep no scores";
  let description = [{
    A product of queries and keys, ops on each of its elements (a scale, a mask),
    `linalg.softmax` over the keys and a product with values become one
    `scf.forall` over heads and blocks of 32 queries, with a loop over blocks of 64
    keys inside. It carries the largest score of each query so far, the sum of
    exponentials relative to that, and the values that these weigh; both are
    scaled down when a larger score comes. What was a `[heads, T, L]` tensor of
    scores is a tile.

    What only moves elements is read through: heads that are put in front, keys
    that are transposed or repeated for several queries' heads. A row whose scores
    are all -infinity gives NaN, as softmax does. Sums are formed in another order,
    which depends on nothing but the number of keys.

    All numbers have to be f32, the lengths of keys and of values static, and
    nothing else may read the scores; a missed remark says what is not.

    Before:
    ```mlir
    #q = affine_map<(h, t, l, d) -> (h, t, d)>
    #k = affine_map<(h, t, l, d) -> (h, l, d)>
    #s = affine_map<(h, t, l, d) -> (h, t, l)>
    #p = affine_map<(h, t, d, l) -> (h, t, l)>
    #v = affine_map<(h, t, d, l) -> (h, l, d)>
    #o = affine_map<(h, t, d, l) -> (h, t, d)>
    func.func @attend(%q: tensor<8x?x32xf32>, %k: tensor<8x?x32xf32>,
        %v: tensor<8x?x32xf32>, %es: tensor<8x?x?xf32>, %eo: tensor<8x?x32xf32>)
        -> tensor<8x?x32xf32> {
      %zero = arith.constant 0.0 : f32
      %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<8x?x?xf32>) -> tensor<8x?x?xf32>
      %s = linalg.contract indexing_maps = [#q, #k, #s]
          ins(%q, %k : tensor<8x?x32xf32>, tensor<8x?x32xf32>)
          outs(%zs : tensor<8x?x?xf32>) -> tensor<8x?x?xf32>
      %p = linalg.softmax dimension(2) ins(%s : tensor<8x?x?xf32>)
          outs(%es : tensor<8x?x?xf32>) -> tensor<8x?x?xf32>
      %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<8x?x32xf32>) -> tensor<8x?x32xf32>
      %o = linalg.contract indexing_maps = [#p, #v, #o]
          ins(%p, %v : tensor<8x?x?xf32>, tensor<8x?x32xf32>)
          outs(%zo : tensor<8x?x32xf32>) -> tensor<8x?x32xf32>
      return %o : tensor<8x?x32xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %o = scf.forall (%h, %t) = (0, 0) to (8, %T) step (1, 32) shared_outs(%out = %e) -> (tensor<8x?x32xf32>) {
        // ...
        %r:3 = scf.for %l = %c0 to %L step %c64 iter_args(%m = %low, %n = %none, %w = %zeros) -> (tensor<?xf32>, tensor<?xf32>, tensor<?x32xf32>) {
        // ...
        }
        // ...
        scf.forall.in_parallel {
          tensor.parallel_insert_slice %part into %out[%h, %t, 0] [1, %size, 32] [1, 1, 1] : tensor<?x32xf32> into tensor<8x?x32xf32>
        }
      }
      return %o : tensor<8x?x32xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def UnshareFills : Pass<"moe-unshare-fills", "::mlir::func::FuncOp"> {
  let summary = "Give every user of a filled tensor a fill of its own";
  let description = [{
    CSE makes one fill of all that are equal; bufferization would then copy the
    filled buffer for each op that writes into it. The pass undoes that just
    before, for fills of a `tensor.empty`.

    Before:
    ```mlir
    func.func @two(%x: tensor<4x8xf32>, %w: tensor<8x2xf32>, %v: tensor<8x2xf32>)
        -> (tensor<4x2xf32>, tensor<4x2xf32>) {
      %zero = arith.constant 0.0 : f32
      %e = tensor.empty() : tensor<4x2xf32>
      %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4x2xf32>) -> tensor<4x2xf32>
      %a = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x2xf32>)
          outs(%z : tensor<4x2xf32>) -> tensor<4x2xf32>
      %b = linalg.matmul ins(%x, %v : tensor<4x8xf32>, tensor<8x2xf32>)
          outs(%z : tensor<4x2xf32>) -> tensor<4x2xf32>
      return %a, %b : tensor<4x2xf32>, tensor<4x2xf32>
    }
    ```
    After:
    ```mlir
    func.func @two(%x: tensor<4x8xf32>, %w: tensor<8x2xf32>, %v: tensor<8x2xf32>)
        -> (tensor<4x2xf32>, tensor<4x2xf32>) {
      %zero = arith.constant 0.0 : f32
      %e = tensor.empty() : tensor<4x2xf32>
      %za = linalg.fill ins(%zero : f32) outs(%e : tensor<4x2xf32>) -> tensor<4x2xf32>
      %a = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x2xf32>)
          outs(%za : tensor<4x2xf32>) -> tensor<4x2xf32>
      %zb = linalg.fill ins(%zero : f32) outs(%e : tensor<4x2xf32>) -> tensor<4x2xf32>
      %b = linalg.matmul ins(%x, %v : tensor<4x8xf32>, tensor<8x2xf32>)
          outs(%zb : tensor<4x2xf32>) -> tensor<4x2xf32>
      return %a, %b : tensor<4x2xf32>, tensor<4x2xf32>
    }
    ```
  }];
}

def ConvertLinalgToVector : Pass<"convert-linalg-to-vector",
                                 "::mlir::func::FuncOp"> {
  let summary = "Lower linalg on memrefs to parallel, blocked vector loops";
  let description = [{
    Takes linalg ops (and copies) between memrefs to `scf.parallel` over tiles,
    with loops over vectors inside.

    - Neighbours whose iterations depend on each other tile by tile share one
      parallel loop: scores, mask, softmax and the sum over values of an
      attention head become one loop over heads and blocks of tokens, whose
      intermediate rows stay in the cache.
    - Each op is vectorised along a dimension in which every operand is
      contiguous or constant, preferably a parallel one; along a reduction,
      lanes are partial sums. Tails are masked. What has no such dimension (a
      transposed read) becomes scalar loops, still parallel.
    - Reductions of several inputs keep a block of accumulators in registers;
      its size follows the option `wide`.

    Only parallel dimensions are split among threads and a reduction always
    runs in one order, so results depend neither on the number of threads nor on
    how many tokens share a call.

    Before:
    ```mlir
    func.func @exp(%x: memref<?x16xf32>, %y: memref<?x16xf32>) {
      linalg.exp ins(%x : memref<?x16xf32>) outs(%y : memref<?x16xf32>)
      return
    }
    ```
    After:
    ```mlir
    // ...
      scf.parallel (%tile) = (%c0) to (%rows) step (%c512) {
        %left = arith.subi %rows, %tile : index
        %size = arith.minui %left, %c512 : index
        %c1 = arith.constant 1 : index
        %end = arith.addi %tile, %size : index
        scf.for %i = %tile to %end step %c1 {
          %v = vector.load %x[%i, %c0] : memref<?x16xf32>, vector<16xf32>
          %e = math.exp %v : vector<16xf32>
          vector.store %e, %y[%i, %c0] : memref<?x16xf32>, vector<16xf32>
        }
        scf.reduce
      }
      return
    }
    ```
  }];
  let options = [
    Option<"parallel", "parallel", "bool", /*default=*/"true",
           "Make parallel loops; without, all loops are sequential">,
    Option<"fuse", "fuse", "bool", /*default=*/"true",
           "Let dependent neighbours share a parallel loop">,
    Option<"wide", "wide", "bool", /*default=*/"true",
           "Blocks of accumulators for 32 registers of 16 f32, not for fewer">,
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

#endif // MOE_MLIR_CONVERSION_LINALGTOVECTOR_PASSES
