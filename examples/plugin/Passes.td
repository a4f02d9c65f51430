//===- Passes.td - The passes of the plugin ----------------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One that reads IR, one that changes it.
//
//===----------------------------------------------------------------------===//

include "mlir/Pass/PassBase.td"

def ReportCost : Pass<"acme-report-cost"> {
  let summary = "Say what each expert layer costs";
  let description = [{
    Emits a remark at every `moe.expert`: how many experts it has, how many
    bytes their weights take, and how many multiply-adds one assignment of a
    token to an expert costs. With `min-mib`, smaller layers stay unmentioned.
    The IR does not change.

    Before:
    ```mlir
    func.func @experts(%rows: tensor<?x8xf32>, %r: !moe.routing<2 x 1>,
        %up: tensor<2x16x8xf32>, %down: tensor<2x8x16xf32>) -> tensor<?x8xf32> {
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
      experts 0 to 2 weights(%up, %down : tensor<2x16x8xf32>, tensor<2x8x16xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>):
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      return %out : tensor<?x8xf32>
    }
    ```
    After:
    ```text
    remark: 2 experts, 0 MiB of weights, 256 multiply-adds for each assignment
    ```
  }];
  let options = [
    Option<"minMiB", "min-mib", "int64_t", "0",
           "Report only layers with at least this many MiB of weights">
  ];
}

def PruneExperts : Pass<"acme-prune-experts"> {
  let summary = "Keep the first experts of each layer";
  let description = [{
    Drops all experts but the first `keep` of every router and `moe.expert`: the
    scores of the others take no part in the selection, and their weights are
    not read. Layers of no more experts stay as they are. An error if a policy
    cannot select from so few experts.

    Before:
    ```mlir
    func.func @experts(%s: tensor<4x8xf32>) -> tensor<4x2xi32> {
      %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
          : tensor<4x8xf32> -> !moe.routing<8 x 2>
      %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<4x2xi32>
      return %i : tensor<4x2xi32>
    }
    ```
    After, with `keep=4`:
    ```mlir
    func.func @experts(%s: tensor<4x8xf32>) -> tensor<4x2xi32> {
      %kept = tensor.extract_slice %s[0, 0] [4, 4] [1, 1]
          : tensor<4x8xf32> to tensor<4x4xf32>
      %r = moe.router #moe.top_k<2> select(%kept) weigh(%kept)
          : tensor<4x4xf32> -> !moe.routing<4 x 2>
      %i = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<4x2xi32>
      return %i : tensor<4x2xi32>
    }
    ```
  }];
  let options = [
    Option<"keep", "keep", "int64_t", "8", "How many experts stay">
  ];
  let dependentDialects = ["mlir::arith::ArithDialect",
                           "mlir::tensor::TensorDialect"];
}
