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
    compute it again for every column.

    Before:
    ```mlir
    %sq = linalg.generic {...} ins(%x) outs(%e) { x * x }
    %ss = linalg.reduce ins(%sq) outs(%zeros) dimensions = [1] { add }
    ```
    After:
    ```mlir
    %ss = linalg.generic {iterator_types = ["parallel", "reduction"]}
            ins(%x) outs(%zeros) { acc + x * x }
    ```
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def UnshareFills : Pass<"moe-unshare-fills", "::mlir::func::FuncOp"> {
  let summary = "Give every user of a filled tensor a fill of its own";
  let description = [{
    CSE makes one fill of all that are equal; bufferization would then copy the
    filled buffer for each of its users. The pass undoes that just before.

    Before:
    ```mlir
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x64xf32>)
    %a = linalg.matmul ins(%x, %w : ...) outs(%z : tensor<?x64xf32>)
    %b = linalg.matmul ins(%x, %v : ...) outs(%z : tensor<?x64xf32>)
    ```
    After:
    ```mlir
    %z0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x64xf32>)
    %a = linalg.matmul ins(%x, %w : ...) outs(%z0 : tensor<?x64xf32>)
    %z1 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x64xf32>)
    %b = linalg.matmul ins(%x, %v : ...) outs(%z1 : tensor<?x64xf32>)
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
    linalg.generic {indexing_maps = [(t, n, k) -> (t, k), (t, n, k) -> (n, k),
                                     (t, n, k) -> (t, n)]}
      ins(%x, %w : memref<?x256xf32>, memref<512x256xf32>)
      outs(%y : memref<?x512xf32>) { acc + x * w }
    ```
    After:
    ```mlir
    scf.parallel (%t, %n) = (%c0, %c0) to (%T, %c512) step (%c32, %c128) {
      scf.for ... {                      // blocks of 4 tokens
        scf.for ... {                    // blocks of 4 columns
          %acc:16 = scf.for %k = ... step %c16 iter_args(...) {
            %a = vector.load %x[%t0, %k] : memref<?x256xf32>, vector<16xf32>
            ...
            %s = vector.fma %a, %b, %acc0 : vector<16xf32>
          }
          %sum = vector.reduction <add>, %acc#0 fastmath<reassoc>
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
