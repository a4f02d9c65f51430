//===- Passes.td - The passes of the plugin ----------------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One that reads IR, others that change it.
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

def Relufy : Pass<"acme-relufy"> {
  let summary = "Give experts an activation that makes zeros";
  let description = [{
    Replaces SiLU by ReLU in experts, so that most of what they compute is zero
    (arXiv 2310.04564). Other numbers: for models that are trained further.

    Before:
    ```mlir
    func.func @experts(%rows: tensor<?x8xf32>, %r: !moe.routing<2 x 1>,
        %up: tensor<2x16x8xf32>, %down: tensor<2x8x16xf32>) -> tensor<?x8xf32> {
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
      experts 0 to 2 weights(%up, %down : tensor<2x16x8xf32>, tensor<2x8x16xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>):
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.silu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      return %out : tensor<?x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : ...
    // ...
    ```
  }];
}

def MaskRareExperts : Pass<"acme-mask-rare-experts", "mlir::ModuleOp"> {
  let summary = "Keep tokens from experts that a profile seldom saw";
  let description = [{
    Adds -infinity to the scores of the experts that fewer than `share` of the
    tokens of `profile` were routed to, where at least K are left. Of routers by
    `#moe.top_k` on f32.

    `seen.json`:
    ```json
    {"schema": "moe-profile", "version": 1, "functions": [{"name": "route", "weights": [], "routings": [
      {"experts": 3, "slots": 1, "tokens": 6, "assignments": 6, "counts": [5, 0, 1],
       "weight_sums": [2.5, 0, 0.5], "tokens_with": [0, 6],
       "weights": {"least": 0.5, "largest": 0.5, "bins": [[1008, 6]]}, "pairs": []} ]} ]}
    ```
    Before:
    ```mlir
    func.func @route(%s: tensor<?x3xf32>) -> tensor<?x1xi32> {
      %r = moe.router #moe.top_k<1> select(%s) weigh(%s) : tensor<?x3xf32> -> !moe.routing<3 x 1>
      %i = moe.routing.indices %r : !moe.routing<3 x 1> -> tensor<?x1xi32>
      return %i : tensor<?x1xi32>
    }
    ```
    After, with `profile=seen.json share=0.1`:
    ```mlir
    // ...
      %b = arith.constant dense<[0.000000e+00, 0xFF800000, 0.000000e+00]> : tensor<3xf32>
    // ...
      %r = moe.router #moe.top_k<1> select(%m) weigh(%s) : tensor<?x3xf32> -> !moe.routing<3 x 1>
    // ...
    ```
  }];
  let options = [
    Option<"profile", "profile", "std::string", "\"\"",
           "What moe-run --profile-out wrote">,
    Option<"share", "share", "double", "0.01",
           "The least share of tokens that an expert is to have">
  ];
  let dependentDialects = ["mlir::arith::ArithDialect",
                           "mlir::linalg::LinalgDialect"];
}

def ExpandLowRank : Pass<"acme-expand-low-rank"> {
  let summary = "Write acme.low_rank as moe.expert";
  let description = [{
    The plugin adds it to each compilation, at the end of the stage `model`.

    Before:
    ```mlir
    func.func @adapters(%rows: tensor<?x64xf32>, %r: !moe.routing<8 x 2>,
        %a: tensor<8x4x64xf32>, %b: tensor<8x64x4xf32>) -> tensor<?x64xf32> {
      %y = acme.low_rank %rows by %r down(%a) up(%b)
          : (tensor<?x64xf32>, !moe.routing<8 x 2>, tensor<8x4x64xf32>, tensor<8x64x4xf32>)
            -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
    After:
    ```mlir
    func.func @adapters(%rows: tensor<?x64xf32>, %r: !moe.routing<8 x 2>,
        %a: tensor<8x4x64xf32>, %b: tensor<8x64x4xf32>) -> tensor<?x64xf32> {
      %y = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
      experts 0 to 8 weights(%a, %b : tensor<8x4x64xf32>, tensor<8x64x4xf32>) {
      ^bb0(%t: tensor<?x64xf32>, %u: tensor<4x64xf32>, %d: tensor<64x4xf32>):
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.identity)
            : (tensor<?x64xf32>, tensor<4x64xf32>, tensor<64x4xf32>) -> tensor<?x64xf32>
        moe.yield %f : tensor<?x64xf32>
      }
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let dependentDialects = ["moe::MoeDialect"];
}
