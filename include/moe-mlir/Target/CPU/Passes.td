//===- Passes.td - Decisions for a CPU -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_CPU_PASSES_TD
#define MOE_TARGET_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectSchedule : Pass<"moek-select-schedule", "::mlir::ModuleOp"> {
  let summary = "Give every moek op the schedule of a CPU";
  let description = [{
    Chooses register tiles, cache blocks and prefetch distances from the
    vector width, the registers and the cache sizes of the CPU, and writes them
    as `#moe_cpu.schedule` on the ops, where they can be read, tested and
    overridden: an op that has a schedule keeps it. The CPU is the module's
    `moek.target`, which `moe-set-target` writes from a name.

    Rows that one grouped matmul hands to another are padded to the pitch the
    kernels want, and become bf16 where the second multiplies with `dot_bf16` or
    `mmla_bf16`. Every `moek.pack` gets a `#moe_cpu.panels` layout. Weights for
    `mmla_bf16` are packed by four k instead of two, unless `keep-layout` says
    that other targets read the same packed weights.

    ```mlir
    %w = moek.pack %m : tensor<8x768x2048xbf16> -> tensor<8x1x768x2048xbf16>
    %h = moek.grouped_matmul n(768) k(2048) ... outs(%0 : tensor<?x768xf32>) ...
    // for x86-64-v4-bf16 becomes
    %w = moek.pack %m layout(#moe_cpu.panels<k_block = 2>)
           : tensor<8x768x2048xbf16> -> tensor<8x24x1024x32x2xbf16>
    %h = moek.grouped_matmul n(768) k(2048) ...
         schedule(#moe_cpu.schedule<dot_bf16, lanes = 16, rows = 14, ...>)
         outs(%0 : tensor<?x800xbf16>) ...
    ```
  }];
  let options = [
    Option<"keepLayout", "keep-layout", "bool", "false",
           "Pack weights as every CPU reads them">
  ];
  let dependentDialects = ["::mlir::tensor::TensorDialect",
                           "::moecpu::MoeCpuDialect"];
}

def ConvertMoekToVector : Pass<"convert-moek-to-vector", "::mlir::ModuleOp"> {
  let summary = "Lower moek ops on memrefs to scf, vector and micro-kernels";
  let description = [{
    Every op becomes loops over what its schedule says: micro-kernels (private
    functions, one for each number of rows in a register tile), chunks of k,
    runs of panels, and `scf.parallel` over independent work items. Scratch
    buffers become `memref.alloc` in the function.

    ```mlir
    moek.grouped_matmul n(768) k(2048) ... schedule(#moe_cpu.schedule<fma, lanes = 16, ...>) ...
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

#endif // MOE_TARGET_CPU_PASSES_TD
