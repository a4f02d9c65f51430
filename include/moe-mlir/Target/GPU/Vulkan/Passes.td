//===- Passes.td - Kernels for Vulkan's devices -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_GPU_VULKAN_PASSES_TD
#define MOE_TARGET_GPU_VULKAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectVulkanSchedule : Pass<"moe-vulkan-select-schedule", "::mlir::ModuleOp"> {
  let summary = "Give kernels the schedules of a device of Vulkan";
  let description = [{
    Takes the combine out of grouped matmuls and writes `#moe_vulkan.schedule` on
    them. Rows keep their types, and those between a matmul and its combine are as the
    result. Matmuls read no
    list of active experts: the offsets say which have rows. An op that has a schedule keeps it. Weights in a format that kernels
    alone read are packed as `#moe_gpu.blocks`. What no kernel can take is an error of
    the schedule's verifier; rows stay as they are, whatever `moek.activations` says, and
    `--remarks-filter-missed=moek-select-schedule` says so.

    Before:
    ```mlir
    module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
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
        %h = moek.grouped_matmul n(64) k(128) lhs(%x : tensor<?x128xf32>) rhs(%w : tensor<8x1x64x128xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>) schedule(#moe_vulkan.schedule<few = 64>) outs(%e : tensor<?x64xf32>) epilogue {
        // ...
        } -> tensor<?x64xf32>
        return %h : tensor<?x64xf32>
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect",
                           "::moegpu::MoeGpuDialect",
                           "::moevulkan::MoeVulkanDialect"];
}

def ConvertMoekToGPU : Pass<"convert-moek-to-gpu", "::mlir::ModuleOp"> {
  let summary = "Kernels for any GPU, and their launches";
  let description = [{
    Each op of `moek` becomes one or more kernels in the module `@kernels`, in the
    form of the `moe_gpu` dialect, and `moe_rt.launch`. Blocks whose threads
    exchange values have one team. An op without a kernel is an error, as is
    ordinary IR on memrefs: nothing runs on the host but the choice of kernels and
    sizes.

    Before:
    ```mlir
    module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
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
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::moegpu::MoeGpuDialect",
                           "::moert::MoeRtDialect"];
}

def ExpandVulkanExchanges : Pass<"moe-vulkan-expand-exchanges", "::mlir::ModuleOp"> {
  let summary = "Lanes exchange values through shared memory";
  let description = [{
    Subgroups of devices have 4 to 64 threads, and a team has 32. So in place of
    `moe_gpu.shuffle`, `reduce` and `ballot` each thread of a team, which is the
    block, writes a word to the memory that the block shares, behind what the kernel
    has there, and reads those of others. A barrier is between, and another one before
    the next exchange. Launches give the kernel as much. A kernel whose blocks are no
    team is an error.

    Before:
    ```mlir
    module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
      module @kernels {
        llvm.func @first(%p: !llvm.ptr<1>) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 0, resident = 1>} {
          %thread = moe_gpu.thread : i32
          %zero = arith.constant 0 : i32
          %first = moe_gpu.shuffle index %thread, %zero : i32
          llvm.store %first, %p : i32, !llvm.ptr<1>
          llvm.return
        }
      }
    }
    ```
    After:
    ```mlir
    // ...
        llvm.func @first(%p: !llvm.ptr<1>) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 32, shared = 128, resident = 1>} {
          // ...
          moe_gpu.barrier
          // ...
          moe_gpu.barrier
          llvm.store %0, %p : i32, !llvm.ptr<1>
          llvm.return
        }
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::moegpu::MoeGpuDialect"];
}

def SerializeVulkanKernels : Pass<"moe-vulkan-serialize-kernels", "::mlir::ModuleOp"> {
  let summary = "Modules of kernels become SPIR-V";
  let description = [{
    Lowers each module of kernels to a `spirv.module`, one entry point for each
    kernel, serializes it, and makes it the value of a constant, `<name>_code`, which
    launches refer to: the letters `MOEV`, the number of bytes of the module as
    u32, and the module. Exchanges of values have been expanded before
    (`moe-vulkan-expand-exchanges`).

    Arguments are push constants: addresses of 64 bits and i32, each at the next
    multiple of its size. Float additions and multiplications are not contracted, and
    NaN, infinities and the sign of zero are kept.

    Before:
    ```mlir
    module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
      module @kernels {
        llvm.func @fill(%out: !llvm.ptr<1>, %value: i32) attributes {moe_gpu.kernel = #moe_gpu.kernel<threads = 1, shared = 0, resident = 1>} {
          llvm.store %value, %out : i32, !llvm.ptr<1>
          llvm.return
        }
      }
    }
    ```
    After:
    ```mlir
    module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
      // ...
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
                           "::mlir::spirv::SPIRVDialect"];
}

#endif // MOE_TARGET_GPU_VULKAN_PASSES_TD
