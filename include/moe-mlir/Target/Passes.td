//===- Passes.td - Stages that depend on the target -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_PASSES_TD
#define MOE_TARGET_PASSES_TD

include "mlir/Pass/PassBase.td"

def SetTargetPass : Pass<"moe-set-target", "::mlir::ModuleOp"> {
  let summary = "Say which chip the module is compiled for";
  let description = [{
    Writes the attribute of a chip that some target knows by name as
    `moek.target`. A module that has the attribute keeps it: what the IR says
    wins over a name. An option that is empty changes nothing, and an unknown
    name is an error, unless the module has a target.

    Before:
    ```mlir
    module {}
    ```
    After, with `chip=x86-64-v3`:
    ```mlir
    module attributes {moek.target = #moe_cpu.target<"x86-64-v3", arch = x86_64,
        cpu = "x86-64-v3", features = "", needs = ["x86_v3"],
        instructions = ["madd_int8"], lanes = 8, registers = 16, l1 = 32768,
        l2 = 524288>} {}
    ```
  }];
  let options = [
    Option<"chip", "chip", "std::string", "\"\"",
           "The name of a chip, see moe-compile --list-targets">
  ];
}

def TargetStagePass : Pass<"moe-target-stage", "::mlir::ModuleOp"> {
  let summary = "Run a stage of the target that the module names";
  let description = [{
    The target of `moek.target` brings the passes of the stages that depend on
    it: `plan` gives kernels schedules and weights a layout, `kernels` turns both
    into loops, `code` makes of these what the target's code comes from. An error
    if the module has no target, or one that is not registered.

    ```sh
    moe-opt --pass-pipeline='builtin.module(moe-set-target{chip=x86-64-v4},
                                            moe-target-stage{stage=plan})'
    ```

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
    After, with `stage=plan`:
    ```mlir
    // ...
        %p = moek.pack %w layout(#moe_cpu.panels<k_block = 1>)
            : tensor<2x32x8xf32> -> tensor<2x1x8x32x1xf32>
        %h = moek.grouped_matmul ... schedule(#moe_cpu.schedule<fma, ...>) ... epilogue {
    // ...
    ```
  }];
  let options = [
    Option<"stage", "stage", "std::string", "\"\"", "plan, kernels or code">,
    Option<"keepLayout", "keep-layout", "bool", "false",
           "For plan: leave the layout of packed weights as all chips read it">
  ];
}

#endif // MOE_TARGET_PASSES_TD
