//===- Passes.td - Kernels for NVIDIA's GPUs -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_GPU_NVIDIA_PASSES_TD
#define MOE_TARGET_GPU_NVIDIA_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectNVIDIASchedule : Pass<"moe-nvidia-select-schedule", "::mlir::ModuleOp"> {
  let summary = "Give kernels the schedules of one of NVIDIA's GPUs";
  let description = [{
    Takes the combine out of grouped matmuls, makes the rows between them bf16,
    and writes `#moe_nvidia.schedule` on the matmuls. Rows of f32 that they read are
    rounded to bf16. Matmuls read no
    list of active experts: the offsets say which have rows. Weights in a format get the layout `#moe_gpu.blocks`;
    anything but matmuls that reads them is an error. Where `moek.activations` is "e4m3",
    rows become E4M3 beyond few (`rows = e4m3`) if chip, format and sizes allow for it, and a
    remark says why where they do not. An op that has a schedule keeps it. What no kernel can take is
    an error of the schedule's verifier.

    Before:
    ```mlir
    module attributes {moek.target =
        #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
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
        %h = moek.grouped_matmul n(64) k(128) lhs(%narrow : tensor<?x128xbf16>) rhs(%w : tensor<8x1x64x128xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>) schedule(#moe_nvidia.schedule<few = 48>) outs(%own : tensor<?x64xbf16>) epilogue {
        // ...
        } -> tensor<?x64xbf16>
        %wide = arith.extf %h : tensor<?x64xbf16> to tensor<?x64xf32>
        return %wide : tensor<?x64xf32>
      }
    }
    ```
  }];
  let dependentDialects = ["::moegpu::MoeGpuDialect", "::mlir::tensor::TensorDialect",
                           "::moenvidia::MoeNvidiaDialect"];
}

def ConvertMoekToNVVM : Pass<"convert-moek-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "Kernels for NVIDIA's GPUs, and their launches";
  let description = [{
    Each op of `moek` becomes one or more kernels in the module `@kernels`, in the
    form of the `moe_gpu` dialect and, of matmuls, `nvvm`, and `moe_rt.launch`. An op
    without a kernel is an error, as is ordinary IR on memrefs: nothing runs on
    the host but the choice of kernels and sizes.

    Before:
    ```mlir
    module attributes {moek.target =
        #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
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
        moe_rt.launch @kernels "sum_combine" blocks(%blocks) each(8) threads(256) shared(0) overlaps(512) args(%rows, %positions, %weights, %y, %dim : memref<?x64xbf16>, memref<?x2xi32>, memref<?x2xf32>, memref<?x64xf32>, index) boxes = [0, 0, 0, 0, 0]
        return
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::NVVM::NVVMDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::moegpu::MoeGpuDialect",
                           "::moert::MoeRtDialect"];
}

def ConvertGpuToNVVM : Pass<"convert-moe-gpu-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "Kernels for any GPU become kernels of NVIDIA's";
  let description = [{
    What `moe_gpu` says of kernels becomes attributes that NVPTX reads, and its
    operations those of `nvvm`: a team is a warp. For Hopper each kernel waits for those
    before it by itself, and lets the next one be set up at once.

    Before:
    ```mlir
    module attributes {moek.target =
        #moe_nvidia.target<"sm_80", cpu = "sm_80", wgmma = false>} {
      module @kernels {
        llvm.func @lanes(%out: !llvm.ptr<1>, %n: i32) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 0, resident = 1>} {
          %thread = moe_gpu.thread : i32
          %below = arith.cmpi slt, %thread, %n : i32
          %lanes = moe_gpu.ballot %below : i32
          llvm.store %lanes, %out : i32, !llvm.ptr<1>
          llvm.return
        }
      }
    }
    ```
    After:
    ```mlir
    // ...
        llvm.func @lanes(%out: !llvm.ptr<1>, %n: i32) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>, nvvm.minctasm = 1 : i32} {
          %thread = nvvm.read.ptx.sreg.tid.x : i32
          %below = arith.cmpi slt, %thread, %n : i32
          // ...
          %lanes = nvvm.vote.sync ballot %all, %below -> i32
          llvm.store %lanes, %out : i32, !llvm.ptr<1>
          llvm.return
        }
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::NVVM::NVVMDialect"];
}

def SerializeKernels : Pass<"moe-nvidia-serialize-kernels", "::mlir::ModuleOp"> {
  let summary = "Modules of kernels become PTX";
  let description = [{
    Lowers each module of kernels, compiles it with LLVM, and makes the text the
    value of a global, `<name>_code`, which launches refer to.

    Before:
    ```mlir
    module attributes {moek.target =
        #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
      module @kernels {
        llvm.func @fill(%out: !llvm.ptr<1>, %value: i32) attributes {nvvm.kernel} {
          llvm.store %value, %out : i32, !llvm.ptr<1>
          llvm.return
        }
      }
    }
    ```
    After:
    ```mlir
    module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
      // ...
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // MOE_TARGET_GPU_NVIDIA_PASSES_TD
