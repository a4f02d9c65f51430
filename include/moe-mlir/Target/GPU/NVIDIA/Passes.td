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
    rounded to bf16. An op that has a schedule keeps it. What no kernel can take is
    an error of the schedule's verifier.

    ```mlir
    module attributes {moek.target =
        #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
      func.func @up(%x: tensor<?x128xbf16>, %o: tensor<9xi32>, %a: tensor<9xi32>,
          %w: tensor<8x64x128xbf16>, %e: tensor<?x64xbf16>) -> tensor<?x64xbf16> {
        %p = moek.pack %w : tensor<8x64x128xbf16> -> tensor<8x1x64x128xbf16>
        %h = moek.grouped_matmul n(64) k(128) lhs(%x : tensor<?x128xbf16>)
            rhs(%p : tensor<8x1x64x128xbf16>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>)
            outs(%e : tensor<?x64xbf16>) epilogue {
        ^bb0(%c: f32):
          moek.yield %c : f32
        } -> tensor<?x64xbf16>
        return %h : tensor<?x64xbf16>
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect",
                           "::moenvidia::MoeNvidiaDialect"];
}

def ConvertMoekToNVVM : Pass<"convert-moek-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "Kernels for NVIDIA's GPUs, and their launches";
  let description = [{
    Each op of `moek` becomes one or more kernels in the module `@kernels`,
    functions of the `llvm` and `nvvm` dialects, and `moe_rt.launch`. An op
    without a kernel is an error, as is ordinary IR on memrefs: nothing runs on
    the host but the choice of kernels and sizes.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::NVVM::NVVMDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::moert::MoeRtDialect"];
}

def SerializeKernels : Pass<"moe-nvidia-serialize-kernels", "::mlir::ModuleOp"> {
  let summary = "Modules of kernels become PTX";
  let description = [{
    Lowers each module of kernels, compiles it with LLVM, and makes the text the
    value of its `<name>_code`, which launches refer to.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // MOE_TARGET_GPU_NVIDIA_PASSES_TD
