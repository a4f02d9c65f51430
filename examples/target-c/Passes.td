//===- Passes.td - From kernels to scalar loops ------------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef ACMEC_PASSES_TD
#define ACMEC_PASSES_TD

include "mlir/Pass/PassBase.td"

def LowerKernels : Pass<"acme-c-lower-kernels", "::mlir::ModuleOp"> {
  let summary = "Turns kernels on memrefs into scalar loops";
  let description = [{
    The simplest loops that are right: a product is three of them, a sort counts
    who comes before. Policies select for a vector of one token.

    Before:
    ```mlir
    func.func @rows(%x: memref<4x8xf32>, %tokens: memref<4xi32>, %offsets: memref<3xi32>,
                    %y: memref<4x8xf32>) {
      moek.gather ins(%x, %tokens, %offsets : memref<4x8xf32>, memref<4xi32>, memref<3xi32>)
          outs(%y : memref<4x8xf32>)
      return
    }
    ```
    After:
    ```mlir
    // ...
      scf.parallel (%row) = (%c0) to (%rows) step (%c1) {
        // ...
        scf.for %column = %d0 to %c8 step %d1 {
          %token = memref.load %tokens[%row] : memref<4xi32>
          %i = arith.index_cast %token : i32 to index
          %v = memref.load %x[%i, %column] : memref<4x8xf32>
          memref.store %v, %y[%row, %column] : memref<4x8xf32>
        }
        scf.reduce
      }
      moe_rt.trace "end" "gather"
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect",
                           "::moert::MoeRtDialect"];
}

def ScalarizeVectors : Pass<"acme-c-scalarize-vectors", "::mlir::ModuleOp"> {
  let summary = "Makes scalars of vectors of one element, buffers of others";
  let description = [{
    Elementwise ops, reductions, broadcasts, loads and stores of `vector<1xT>`
    become the same of `T`, a store a loop of one; those of more elements become
    loops over small buffers. What else there is of vectors is an error.

    Before:
    ```mlir
    func.func @square(%x: memref<8xf32>, %i: index) -> f32 {
      %v = vector.load %x[%i] : memref<8xf32>, vector<1xf32>
      %p = arith.mulf %v, %v : vector<1xf32>
      %s = vector.reduction <add>, %p : vector<1xf32> into f32
      return %s : f32
    }
    ```
    After:
    ```mlir
    func.func @square(%x: memref<8xf32>, %i: index) -> f32 {
      // ...
      %v = memref.load %x[%j] : memref<8xf32>
      // ...
      %p = arith.mulf %v, %v : f32
      // ...
      return %p : f32
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect"];
}

def ExpandProducts : Pass<"acme-c-expand-products", "::mlir::ModuleOp"> {
  let summary = "Writes out products whose upper word is asked for";
  let description = [{
    The upper word of a product of 64 bits is made of four products of halves:
    no integer of C99 holds the whole.

    Before:
    ```mlir
    func.func @multiply(%x: i64, %y: i64) -> (i64, i64) {
      %low, %high = arith.mului_extended %x, %y : i64
      return %low, %high : i64, i64
    }
    ```
    After:
    ```mlir
    func.func @multiply(%x: i64, %y: i64) -> (i64, i64) {
      %low = arith.muli %x, %y : i64
      %mask = arith.constant 4294967295 : i64
      // ...
      return %low, %high : i64, i64
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

#endif // ACMEC_PASSES_TD
