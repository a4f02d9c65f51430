//===- Passes.td - Passes that read profiles ---------------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_PROFILE_PASSES
#define MOE_PROFILE_PASSES

include "mlir/Pass/PassBase.td"

def PruneExperts : Pass<"moe-prune-experts", "::mlir::ModuleOp"> {
  let summary = "Leave out the experts that did least in a profile";
  let description = [{
    Removes from each layer the experts of the least summed weight in a profile
    (`docs/profile.md`), as long as those that are removed had no more than
    `loss-budget` of the summed weight of the layer: with 0, those that no token
    went to. With `keep` so many experts stay, if the budget allows it. A policy
    of groups of experts loses as many of each group.

    The others are numbered anew in the router, its thresholds, scales, ranges
    of experts and weights. The function's arguments stay what they are: weights
    become views of them, which are packed ahead of time, so that a checkpoint
    fits as it did and packed files hold what is left.

    A removed expert is one whose score is never chosen: as if its column of what
    the router selects by were -infinity. Scores of the others are what they
    were: a softmax in front of the selection is still one over all experts. Where
    the removed experts are never chosen, the layer gives the same result.

    A layer is left alone, and a remark says why: if the budget does not allow
    it, if `keep` is no number of experts that its policy can choose from, if the
    policy looks at experts that it does not choose (`#moe.sinkhorn`,
    `#moe.sparse_mixer`, `#moe.hash`, `#moe.expert_choice` with a factor, or one
    of another dialect), if a capacity follows from the number of experts, or if
    numbers of experts are returned or looked at otherwise. A profile of another
    model, or without the function, is an error.

    `profile.json`:
    ```json
    {"schema": "moe-profile", "version": 1, "functions": [{"name": "layer", "weights": [], "routings": [
      {"experts": 4, "slots": 2, "tokens": 6, "assignments": 12, "counts": [6, 1, 5, 0],
       "weight_sums": [4.5, 0.125, 1.5, 0], "tokens_with": [0, 0, 6],
       "weights": {"least": 0.125, "largest": 0.75, "bins": [[992, 1], [1000, 5], [1012, 6]]},
       "pairs": [[0, 1, 1], [0, 2, 5]]} ]} ]}
    ```
    Before:
    ```mlir
    func.func @layer(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x16x8xf32>,
                     %d: tensor<4x8x16xf32>) -> tensor<?x8xf32> {
      %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
      %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
      experts 0 to 4 weights(%u, %d : tensor<4x16x8xf32>, tensor<4x8x16xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %a: tensor<16x8xf32>, %b: tensor<8x16xf32>):
        %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      return %y : tensor<?x8xf32>
    }
    ```
    After, with `profile=profile.json`:
    ```mlir
    func.func @layer(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x16x8xf32>,
                     %d: tensor<4x8x16xf32>) -> tensor<?x8xf32> {
      // ...
      %r = moe.router #moe.top_k<2> select(%ss) weigh(%ss) : tensor<?x3xf32> -> !moe.routing<3 x 2>
      // ...
      %us = tensor.extract_slice %u[0, 0, 0] [3, 16, 8] [1, 1, 1] : tensor<4x16x8xf32> to tensor<3x16x8xf32>
      // ...
    }
    ```
    After, with `profile=profile.json loss-budget=0.03`:
    ```mlir
    func.func @layer(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %u: tensor<4x16x8xf32>,
                     %d: tensor<4x8x16xf32>) -> tensor<?x8xf32> {
      // ...
      %r = moe.router #moe.top_k<2> select(%ss) weigh(%ss) : tensor<?x2xf32> -> !moe.routing<2 x 2>
      // ...
      %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<2 x 2>) -> tensor<?x8xf32>
      experts 0 to 2 weights(%uc, %dc : tensor<2x16x8xf32>, tensor<2x8x16xf32>) {
      // ...
    }
    ```
  }];
  let options = [
    Option<"profile", "profile", "std::string", "\"\"",
           "The profile, as moe-run --profile-out writes it">,
    Option<"lossBudget", "loss-budget", "double", "0",
           "The share of the summed weight of a layer that may be lost">,
    Option<"keep", "keep", "int64_t", "0",
           "How many experts of each layer stay; 0 for as few as the budget allows">
  ];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def PlaceExperts : Pass<"moe-place-experts", "::mlir::ModuleOp"> {
  let summary = "Find an order in which experts that are chosen together are near";
  let description = [{
    Gives each `moe.expert` the attribute `moe.placement`, an `array<i64>` whose
    entry i is the expert that would lie in place i of a file: a hint, by which
    nothing is computed otherwise. The order is a chain: it begins with the two
    experts that had most tokens in common in a profile (`docs/profile.md`), and
    grows at either end by the expert that had most in common with the one there.
    Experts that every token visits come last. An attribute that is there is
    replaced; the same profile gives the same one.

    A layer none of whose tokens went to two experts is left alone, and a remark
    says so. A profile of another model is an error.

    `profile.json`:
    ```json
    {"schema": "moe-profile", "version": 1, "functions": [{"name": "layer", "weights": [], "routings": [
      {"experts": 4, "slots": 2, "tokens": 6, "assignments": 12, "counts": [4, 2, 4, 2],
       "weight_sums": [3, 2, 3, 2], "tokens_with": [0, 0, 6],
       "weights": {"least": 0.5, "largest": 0.5, "bins": [[1008, 12]]},
       "pairs": [[0, 1, 1], [0, 2, 3], [1, 3, 1], [2, 3, 1]]} ]} ]}
    ```
    Before:
    ```mlir
    func.func @layer(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<?x8xf32> {
      %r = moe.router #moe.top_k<2> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
      %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
      experts 0 to 4 weights(%w, %w : tensor<4x8x8xf32>, tensor<4x8x8xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %a: tensor<8x8xf32>, %b: tensor<8x8xf32>):
        %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      return %y : tensor<?x8xf32>
    }
    ```
    After, with `profile=profile.json`:
    ```mlir
    // ...
      %out = moe.expert %rows by %r {moe.placement = array<i64: 0, 2, 3, 1>} : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
    // ...
    ```
  }];
  let options = [
    Option<"profile", "profile", "std::string", "\"\"",
           "The profile, as moe-run --profile-out writes it">
  ];
}

def ReplicateExperts : Pass<"moe-replicate-experts", "::mlir::ModuleOp"> {
  let summary = "Find the experts of which several devices should hold copies";
  let description = [{
    Gives each `moe.expert` the attribute `moe.replicas`, an `array<i64>` whose
    entry i is how many copies of expert i there would be, at least one: a
    decision for who distributes a layer over devices, by which nothing is
    computed otherwise. `copies` are given one after another, each to the expert
    whose copies had most assignments each in a profile (`docs/profile.md`); of
    equal ones to the lower. Experts that every token visits keep one.

    An attribute that is there is replaced, and `moe.shards` goes if it is of
    other copies; the same profile gives the same ones. A layer without an
    assignment in the profile is left alone, and a remark says so. A profile of
    another model is an error.

    `profile.json`:
    ```json
    {"schema": "moe-profile", "version": 1, "functions": [{"name": "layer", "weights": [], "routings": [
      {"experts": 4, "slots": 2, "tokens": 6, "assignments": 12, "counts": [6, 3, 2, 1],
       "weight_sums": [3, 1.5, 1, 0.5], "tokens_with": [0, 0, 6],
       "weights": {"least": 0.5, "largest": 0.5, "bins": [[1008, 12]]},
       "pairs": [[0, 1, 3], [0, 2, 2], [0, 3, 1]]} ]} ]}
    ```
    Before:
    ```mlir
    func.func @layer(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<?x8xf32> {
      %r = moe.router #moe.top_k<2> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
      %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
      experts 0 to 4 weights(%w, %w : tensor<4x8x8xf32>, tensor<4x8x8xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %a: tensor<8x8xf32>, %b: tensor<8x8xf32>):
        %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      return %y : tensor<?x8xf32>
    }
    ```
    After, with `profile=profile.json copies=2`:
    ```mlir
    // ...
      %out = moe.expert %rows by %r {moe.replicas = array<i64: 3, 1, 1, 1>} : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
    // ...
    ```
  }];
  let options = [
    Option<"profile", "profile", "std::string", "\"\"",
           "The profile, as moe-run --profile-out writes it">,
    Option<"copies", "copies", "int64_t", "0",
           "Copies to give to the experts of each layer, beyond one each">
  ];
}

def ShardExperts : Pass<"moe-shard-experts", "::mlir::ModuleOp"> {
  let summary = "Share out experts to devices by what they have to do";
  let description = [{
    Gives each `moe.expert` the attribute `moe.shards`, an `array<i64>` with the
    shard of each expert or, where there is `moe.replicas`, of each copy: those of
    expert 0 first. A decision for who distributes a layer over devices; nothing
    is computed by it. Shards are numbered from 0, none is empty, and none has an
    expert twice; they hold equally many copies, up to one.

    Copies go, those of experts with most copies first and then those with most
    assignments in a profile (`docs/profile.md`), each to the shard with least to
    do that has room. The copies of an expert share its assignments evenly; an
    expert that every token visits has as many as there are tokens.

    An attribute that is there is replaced; the same profile gives the same one.
    A layer with fewer copies than shards, or an expert with more copies than
    that, is left alone, and a remark says so. A profile of another model is an
    error.

    `profile.json`:
    ```json
    {"schema": "moe-profile", "version": 1, "functions": [{"name": "layer", "weights": [], "routings": [
      {"experts": 4, "slots": 2, "tokens": 6, "assignments": 12, "counts": [6, 3, 2, 1],
       "weight_sums": [3, 1.5, 1, 0.5], "tokens_with": [0, 0, 6],
       "weights": {"least": 0.5, "largest": 0.5, "bins": [[1008, 12]]},
       "pairs": [[0, 1, 3], [0, 2, 2], [0, 3, 1]]} ]} ]}
    ```
    Before:
    ```mlir
    func.func @layer(%x: tensor<?x8xf32>, %s: tensor<?x4xf32>, %w: tensor<4x8x8xf32>) -> tensor<?x8xf32> {
      %r = moe.router #moe.top_k<2> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
      %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
      experts 0 to 4 weights(%w, %w : tensor<4x8x8xf32>, tensor<4x8x8xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %a: tensor<8x8xf32>, %b: tensor<8x8xf32>):
        %f = moe.ffn %t up(%a) down(%b) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      return %y : tensor<?x8xf32>
    }
    ```
    After, with `profile=profile.json shards=2`:
    ```mlir
    // ...
      %out = moe.expert %rows by %r {moe.shards = array<i64: 0, 1, 1, 0>} : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
    // ...
    ```
  }];
  let options = [
    Option<"profile", "profile", "std::string", "\"\"",
           "The profile, as moe-run --profile-out writes it">,
    Option<"shards", "shards", "int64_t", "0", "How many there are to be">
  ];
}

#endif // MOE_PROFILE_PASSES
