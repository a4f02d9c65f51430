//===- Passes.td - Decisions for a CPU -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_CPU_PASSES_TD
#define MOE_TARGET_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectSchedule : Pass<"moek-select-schedule", "::mlir::ModuleOp"> {
  let summary = "Give kernels the schedules of a CPU";
  let description = [{
    Chooses register tiles, cache blocks and prefetch distances from the
    vector width, the registers and the cache sizes of the CPU, and writes them
    as `#moe_cpu.schedule` on products and as `#moe_cpu.route_schedule` on
    `moek.route`, where they can be read, tested and overridden: an op that has a
    schedule keeps it. The CPU is the module's `moek.target`, which
    `moe-set-target` writes from a name.

    Rows that one grouped matmul hands to another are padded to the pitch the
    kernels want, and become bf16 where the second multiplies with `dot_bf16` or
    `mmla_bf16`. A `moek.pack` that such kernels alone read gets a
    `#moe_cpu.panels` layout; one that has a layout keeps it. Weights for
    `mmla_bf16` are packed by four k instead of two, unless `keep-layout` says
    that other targets read the same packed weights.

    Before:
    ```mlir
    module attributes {moek.target = #moe_cpu.target<"x86-64-v3", arch = x86_64,
        cpu = "x86-64-v3", features = "", needs = ["x86_v3"], instructions = [],
        lanes = 8, registers = 16, l1 = 32768, l2 = 524288>} {
      func.func @up(%x: tensor<4x8xf32>, %o: tensor<3xi32>, %a: tensor<3xi32>,
          %w: tensor<2x32x8xf32>, %e: tensor<4x32xf32>) -> tensor<4x32xf32> {
        %p = moek.pack %w : tensor<2x32x8xf32> -> tensor<2x1x32x8xf32>
        %h = moek.grouped_matmul n(32) k(8) lhs(%x : tensor<4x8xf32>)
            rhs(%p : tensor<2x1x32x8xf32>) groups(%o, %a : tensor<3xi32>, tensor<3xi32>)
            outs(%e : tensor<4x32xf32>) epilogue {
        ^bb0(%c: f32):
          moek.yield %c : f32
        } -> tensor<4x32xf32>
        return %h : tensor<4x32xf32>
      }
    }
    ```
    After:
    ```mlir
    // ...
        %p = moek.pack %w layout(#moe_cpu.panels<k_block = 1>)
            : tensor<2x32x8xf32> -> tensor<2x1x8x32x1xf32>
        %h = moek.grouped_matmul n(32) k(8) lhs(%x : tensor<4x8xf32>)
            rhs(%p : tensor<2x1x8x32x1xf32>) groups(%o, %a : tensor<3xi32>, tensor<3xi32>)
            schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 6, ...>)
            outs(%e : tensor<4x32xf32>) epilogue {
        // ...
        } -> tensor<4x32xf32>
        return %h : tensor<4x32xf32>
      }
    }
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

    Ops need memref operands (`one-shot-bufferize`), products and `moek.route` a
    schedule (`moek-select-schedule`); an op without is an error at its location.

    Before:
    ```mlir
    func.func @up(%x: memref<4x8xf32>, %o: memref<3xi32>, %a: memref<3xi32>,
        %p: memref<2x1x8x32x1xf32>, %y: memref<4x32xf32>) {
      moek.grouped_matmul n(32) k(8) lhs(%x : memref<4x8xf32>)
          rhs(%p : memref<2x1x8x32x1xf32>)
          groups(%o, %a : memref<3xi32>, memref<3xi32>)
          schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 1, block_rows = 1,
                   chunk = 16384, run = 2097152, prefetch = [<rows = 6>,
                   <rows = 16, ahead = [8192], levels = [2]>]>)
          outs(%y : memref<4x32xf32>) epilogue {
      ^bb0(%c: f32):
        moek.yield %c : f32
      }
      return
    }
    ```
    After:
    ```mlir
    func.func @up(%x: memref<4x8xf32>, %o: memref<3xi32>, %a: memref<3xi32>,
        %p: memref<2x1x8x32x1xf32>, %y: memref<4x32xf32>) {
      // ...
      scf.parallel (%item) = (%c0) to (%items) step (%c1) {
        // ...
            func.call @moek_fma_x8_pitch32_rows1(%rows, %blocks, %panel, %lhs, %sums)
                : (i64, i64, !llvm.ptr, !llvm.ptr, !llvm.ptr) -> ()
        // ...
      }
      moe_rt.trace "end" "matmul"
      return
    }
    // ...
    func.func private @moek_fma_x8_pitch32_rows1(%rows: i64, %blocks: i64,
        %panel: !llvm.ptr, %lhs: !llvm.ptr, %sums: !llvm.ptr) attributes
        {moe_cpu.kernels = #moe_cpu.schedule<fma, lanes = 8, rows = 1,
            block_rows = 1, chunk = 1024, run = 1, prefetch = [<rows = 6>,
            <rows = 16, ahead = [8192], levels = [2]>]>} {
    // ...
    ```
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
