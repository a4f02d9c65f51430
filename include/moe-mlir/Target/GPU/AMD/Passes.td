//===- Passes.td - Kernels for AMD's GPUs -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_GPU_AMD_PASSES_TD
#define MOE_TARGET_GPU_AMD_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectAMDSchedule : Pass<"moe-amd-select-schedule", "::mlir::ModuleOp"> {
  let summary = "Give kernels the schedules of one of AMD's GPUs";
  let description = [{
    Takes the combine out of grouped matmuls and writes `#moe_amd.schedule` on them.
    Matrix instructions multiply weights of bf16 if k is a multiple of 8 and rows are
    not scaled before; rows of f32 that they read are rounded to bf16, and the rows
    that they write are bf16. All other matmuls get `units = vector`, and rows keep
    their types; weights in a format that kernels alone read are packed as
    `#moe_gpu.blocks`. Matmuls read no list of active experts: the offsets say which
    have rows. An op that has a schedule keeps it. What no kernel can take is an error
    of the schedule's verifier.

    Before:
    ```mlir
    module attributes {moek.target =
        #moe_amd.target<"gfx942", cpu = "gfx942", depth = 8>} {
      func.func @ffn(%x: tensor<?x128xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>,
          %w: tensor<8x1x64x128xbf16>, %n: index) -> tensor<?x64xf32> {
        %e = tensor.empty(%n) : tensor<?x64xf32>
        %h = moek.grouped_matmul n(64) k(128) lhs(%x : tensor<?x128xf32>)
            rhs(%w : tensor<8x1x64x128xbf16>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>)
            outs(%e : tensor<?x64xf32>) epilogue {
        ^bb0(%c: f32):
          moek.yield %c : f32
        } -> tensor<?x64xf32>
        return %h : tensor<?x64xf32>
      }
    }
    ```
    After:
    ```mlir
    // ...
        %own = tensor.empty(%n) : tensor<?x64xbf16>
        %narrow = arith.truncf %x : tensor<?x128xf32> to tensor<?x128xbf16>
        %h = moek.grouped_matmul n(64) k(128) lhs(%narrow : tensor<?x128xbf16>) rhs(%w : tensor<8x1x64x128xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>) schedule(#moe_amd.schedule<units = matrix, few = 256>) outs(%own : tensor<?x64xbf16>) epilogue {
        // ...
        } -> tensor<?x64xbf16>
        %wide = arith.extf %h : tensor<?x64xbf16> to tensor<?x64xf32>
        return %wide : tensor<?x64xf32>
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect",
                           "::moeamd::MoeAmdDialect",
                           "::moegpu::MoeGpuDialect"];
}

def ConvertMoekToROCDL : Pass<"convert-moek-to-rocdl", "::mlir::ModuleOp"> {
  let summary = "Kernels for AMD's GPUs, and their launches";
  let description = [{
    Each op of `moek` becomes one or more kernels in the module `@kernels`, in the
    form of the `moe_gpu` dialect and, of matmuls, `rocdl`, and `moe_rt.launch`. An op
    without a kernel is an error, as is ordinary IR on memrefs: nothing runs on
    the host but the choice of kernels and sizes.

    Before:
    ```mlir
    module attributes {moek.target =
        #moe_amd.target<"gfx942", cpu = "gfx942", depth = 8>} {
      func.func @sum(%rows: memref<?x64xbf16>, %positions: memref<?x2xi32>,
          %weights: memref<?x2xf32>, %y: memref<?x64xf32>) {
        moek.combine ins(%rows, %positions : memref<?x64xbf16>, memref<?x2xi32>)
            slot_weights(%weights : memref<?x2xf32>) outs(%y : memref<?x64xf32>)
        return
      }
    }
    ```
    After:
    ```mlir
    // ...
      module @kernels {
        llvm.func @sum_combine(%r: !llvm.ptr<1>, %p: !llvm.ptr<1>, %w: !llvm.ptr<1>, %o: !llvm.ptr<1>, %t: i32) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 256, shared = 0, resident = 1>} {
        // ...
        moe_rt.launch @kernels "sum_combine" blocks(%blocks) each(8) threads(256) shared(0) args(%rows, %positions, %weights, %y, %dim : memref<?x64xbf16>, memref<?x2xi32>, memref<?x2xf32>, memref<?x64xf32>, index) boxes = [0, 0, 0, 0, 0]
        return
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::ROCDL::ROCDLDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::moegpu::MoeGpuDialect",
                           "::moert::MoeRtDialect"];
}

def ConvertGpuToROCDL : Pass<"convert-moe-gpu-to-rocdl", "::mlir::ModuleOp"> {
  let summary = "Kernels for any GPU become kernels of AMD's";
  let description = [{
    What `moe_gpu` says of kernels becomes attributes that the code generator reads,
    and its operations those of `rocdl`: a team is a half of a wavefront. A store with
    a condition is a store in the lanes of a mask, without a branch.

    Before:
    ```mlir
    module @kernels {
      llvm.func @lanes(%out: !llvm.ptr<1>, %n: i32) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 64, shared = 0, resident = 1>} {
        %thread = moe_gpu.thread : i32
        %below = arith.cmpi slt, %thread, %n : i32
        %lanes = moe_gpu.ballot %below : i32
        llvm.store %lanes, %out : i32, !llvm.ptr<1>
        llvm.return
      }
    }
    ```
    After:
    ```mlir
    // ...
      llvm.func @lanes(%out: !llvm.ptr<1>, %n: i32) attributes {rocdl.flat_work_group_size = "64,64", rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
        %thread = rocdl.workitem.id.x : i32
        %below = arith.cmpi slt, %thread, %n : i32
        %mask = rocdl.ballot %below : i64
        %again = rocdl.workitem.id.x : i32
        %bit = arith.constant 32 : i32
        %half = arith.andi %again, %bit : i32
        %wide = arith.extui %half : i32 to i64
        %own = arith.shrui %mask, %wide : i64
        %lanes = arith.trunci %own : i64 to i32
        llvm.store %lanes, %out : i32, !llvm.ptr<1>
        llvm.return
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::ROCDL::ROCDLDialect"];
}

def SerializeAMDKernels : Pass<"moe-amd-serialize-kernels", "::mlir::ModuleOp"> {
  let summary = "Modules of kernels become assembly";
  let description = [{
    Lowers each module of kernels, compiles it with LLVM, and makes the assembly the
    value of a global, `<name>_code`, which launches refer to. A code object is made
    of it when an object or an artifact is.

    Before:
    ```mlir
    module attributes {moek.target =
        #moe_amd.target<"gfx942", cpu = "gfx942", depth = 8>} {
      module @kernels {
        llvm.func @fill(%out: !llvm.ptr<1>, %value: i32) attributes {rocdl.kernel} {
          llvm.store %value, %out : i32, !llvm.ptr<1>
          llvm.return
        }
      }
    }
    ```
    After:
    ```mlir
    module attributes {moek.target = #moe_amd.target<"gfx942", cpu = "gfx942", depth = 8>} {
      // ...
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // MOE_TARGET_GPU_AMD_PASSES_TD
