//===- Passes.td - Decisions on how weights are stored -----*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_FIT_PASSES
#define MOE_MLIR_FIT_PASSES

include "mlir/Pass/PassBase.td"

def SelectFormats : Pass<"moe-select-formats", "::mlir::ModuleOp"> {
  let summary = "Choose formats of weights that fit into a budget";
  let description = [{
    Gives each matrix of experts a `moe.format`, so that all packed weights of the
    module take no more than `budget` bytes and what is lost is as little as can
    be, or calls are as fast. A matrix that has one keeps it, and the others are
    fitted around it. `moe-store-weights` does what was decided, and so does
    whoever compiles the module. `docs/fit.md` says how errors and times are
    known; an error says which budget would do.

    Before:
    ```mlir
    func.func @ffn(%x: tensor<?x256xf32> {moe.dims = ["T"], moe.name = "x"},
                   %up: tensor<512x256xf32> {moe.name = "up"},
                   %down: tensor<256x512xf32> {moe.name = "down"}) -> (tensor<?x256xf32> {moe.dims = ["T"], moe.name = "y"}) {
      %f = moe.ffn %x up(%up) down(%down) activation(#moe.relu2)
          : (tensor<?x256xf32>, tensor<512x256xf32>, tensor<256x512xf32>) -> tensor<?x256xf32>
      return %f : tensor<?x256xf32>
    }
    ```
    After, with `budget=200K chip=x86-64-v3`:
    ```mlir
    func.func @ffn(%x: tensor<?x256xf32> {moe.dims = ["T"], moe.name = "x"},
                   %up: tensor<512x256xf32> {moe.format = #moe.q5_k, moe.name = "up"},
                   %down: tensor<256x512xf32> {moe.format = #moe.q6_k, moe.name = "down"}) -> (tensor<?x256xf32> {moe.dims = ["T"], moe.name = "y"}) {
    // ...
    ```
  }];
  let options = [
    Option<"budget", "budget", "std::string", "\"\"",
           "Bytes of all packed weights, such as 600M or 2.5GiB">,
    Option<"goal", "goal", "std::string", "\"error\"",
           "What is made small: error, or speed">,
    Option<"tokens", "tokens", "int64_t", "1", "Tokens of the calls to be fast">,
    Option<"formats", "formats", "std::string", "\"\"",
           "What matrices may become, with commas between; all if empty">,
    Option<"chip", "chip", "std::string", "\"\"",
           "The chip to fit for, unless the module has a moek.target; the best "
           "of this machine if empty">,
    Option<"inputs", "inputs", "std::string", "\"\"",
           "A file with the weights, which errors are measured on">,
    Option<"importance", "importance", "std::string", "\"\"",
           "What weights are multiplied with, as moe-run --profile-out writes it">
  ];
}

#endif // MOE_MLIR_FIT_PASSES
