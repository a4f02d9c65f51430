//===- Passes.td - moek to vector -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_CONVERSION_MOEKTOVECTOR_PASSES_TD
#define MOE_CONVERSION_MOEKTOVECTOR_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertMoekToVector : Pass<"convert-moek-to-vector", "::mlir::ModuleOp"> {
  let summary = "Lower moek ops on memrefs to scf, vector and micro-kernels";
  let description = [{
    Every op becomes loops over what its schedule says: micro-kernels (private
    functions, one for each number of rows in a register tile), chunks of k,
    runs of panels, and `scf.parallel` over independent work items. Scratch
    buffers become `memref.alloc` in the function.

    ```mlir
    moek.grouped_matmul n(768) k(2048) ... schedule(<fma, lanes = 16, ...>) ...
    // becomes
    scf.parallel (%item) = (%c0) to (%items) step (%c1) {
      ...
      func.call @moek_fma_x16_pitch8256_rows14(%rows, ...)
      ...
    }
    ```

    Ops need a schedule (`moek-select-schedule`) and memref operands
    (`one-shot-bufferize`); an op without is an error at its location.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect",
                           "::moert::MoeRtDialect"];
}

#endif // MOE_CONVERSION_MOEKTOVECTOR_PASSES_TD
