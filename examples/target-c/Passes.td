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
    become the same of `T`; those of more elements become loops over small
    buffers. What else there is of vectors is an error.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect"];
}

def ExpandProducts : Pass<"acme-c-expand-products", "::mlir::ModuleOp"> {
  let summary = "Writes out products whose upper word is asked for";
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

#endif // ACMEC_PASSES_TD
