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
    After, for `x86-64-v3`:
    ```mlir
    module attributes {moek.target = #moe_cpu.target<"x86-64-v3", ...>} {}
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
  }];
  let options = [
    Option<"stage", "stage", "std::string", "\"\"", "plan, kernels or code">,
    Option<"keepLayout", "keep-layout", "bool", "false",
           "For plan: leave the layout of packed weights as all chips read it">
  ];
}

#endif // MOE_TARGET_PASSES_TD
