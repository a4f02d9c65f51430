//===- Passes.td - Experts and assignments that need not be -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Target-independent passes from moe to moe. docs/sparsity.md says which keep
// every bit.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SPARSITY_PASSES
#define MOE_MLIR_SPARSITY_PASSES

include "mlir/Pass/PassBase.td"

def EliminateDeadExperts : Pass<"moe-eliminate-dead-experts"> {
  let summary = "Remove experts that no token can choose";
  let description = [{
    The experts of a layer become those that its routing can have. The others are

    | routing | experts without assignments |
    |---|---|
    | `top_k`, `token_k`, `nearest_centroid`, `gshard` | whose scores are -infinity by a constant bias or mask, if K others are left |
    | `group_top_k` | the same, and all of a group without a score, if `keep` groups with K others in them are left |
    | `top_any`, `threshold`, `min_p` | the same; for `top_any` also those with a threshold of +infinity or NaN |
    | `hash` | whom a constant table, or constant ids, do not name |
    | `moe.routing.make` | whom constant indices, or tables that the indices are looked up in, do not name |

    behind any limits, new weights and appended experts. Weights become slices,
    or slices put together, of what they are, so that a function has the arguments
    that it had. Where the routing has no other use, and the scores of an expert
    are computed without those of others (not so behind a softmax), the router
    loses the columns of dead experts, too. Else indices are renumbered behind the
    router. A remark says which, and why.

    Results keep their bits, as long as a token has at least K scores above
    -infinity among the experts that are left. A token that does not, as its
    scores are NaN, had experts with scores of -infinity, and gets others, or none
    in their place. With `strict` no expert is removed that such a token might
    choose: only hashes, given routings, and masks with `min_k = 0`.

    Before:
    ```mlir
    func.func @layer(%x: tensor<4x8xf32>, %z: tensor<4x4xf32>,
                     %up: tensor<4x16x8xf32>, %down: tensor<4x8x16xf32>) -> tensor<4x8xf32> {
      %bias = arith.constant dense<[0.0, 0.0, 0xFF800000, 0xFF800000]> : tensor<4xf32>
      %e = tensor.empty() : tensor<4x4xf32>
      %b = linalg.broadcast ins(%bias : tensor<4xf32>) outs(%e : tensor<4x4xf32>) dimensions = [0]
      %s = arith.addf %z, %b : tensor<4x4xf32>
      %r = moe.router #moe.top_k<1> select(%s) weigh(%s)
          : tensor<4x4xf32> -> !moe.routing<4 x 1>
      %rows = moe.dispatch %x by %r
          : tensor<4x8xf32>, !moe.routing<4 x 1> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<4 x 1>) -> tensor<?x8xf32>
      experts 0 to 4 weights(%up, %down : tensor<4x16x8xf32>, tensor<4x8x16xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>):
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      %y = moe.combine %out by %r
          : tensor<?x8xf32>, !moe.routing<4 x 1> -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %r = moe.router #moe.top_k<1> select(%s) weigh(%s)
          : tensor<4x2xf32> -> !moe.routing<2 x 1>
      %rows = moe.dispatch %x by %r
          : tensor<4x8xf32>, !moe.routing<2 x 1> -> tensor<?x8xf32>
      %u2 = tensor.extract_slice %up[0, 0, 0] [2, 16, 8] [1, 1, 1]
          : tensor<4x16x8xf32> to tensor<2x16x8xf32>
      %d2 = tensor.extract_slice %down[0, 0, 0] [2, 8, 16] [1, 1, 1]
          : tensor<4x8x16xf32> to tensor<2x8x16xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
      experts 0 to 2 weights(%u2, %d2 : tensor<2x16x8xf32>, tensor<2x8x16xf32>) {
      // ...
      }
      %y = moe.combine %out by %r
          : tensor<?x8xf32>, !moe.routing<2 x 1> -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let options = [
    Option<"strict", "strict", "bool", /*default=*/"false",
           "Keep experts that a token could choose whose scores are NaN">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def DedupeExperts : Pass<"moe-dedupe-experts"> {
  let summary = "Make experts that compute the same one expert";
  let description = [{
    Experts are alike whose bodies are the same and whose weights are the same
    slices of one tensor, or constants with the same bits. They become one, which
    gets the rows of all of them: its weights are read once for these, and packed
    once. Indices are looked up in a table behind the router. A token that had
    two of them has two rows of the one expert, with the weights that they had.

    Results keep their bits. The rows of a token are added in the order of its
    experts, so only neighbours become one, or any if a token has one expert. Other
    experts that are alike are left with a remark. With `reorder-sums` they become
    one, too: the rows are the same, and their weighted sum of K terms differs by
    what its order makes of rounding.

    An expert whose body has a `moe.scan` stays: it would see rows of others.

    Before:
    ```mlir
    func.func @layer(%x: tensor<4x8xf32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>,
                     %up: tensor<1x16x8xf32>, %down: tensor<1x8x16xf32>) -> tensor<4x8xf32> {
      %r = moe.routing.make %i, %w
          : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<2 x 1>
      %rows = moe.dispatch %x by %r
          : tensor<4x8xf32>, !moe.routing<2 x 1> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<2 x 1>) -> tensor<?x8xf32>
      experts 0 to 1 weights(%up, %down : tensor<1x16x8xf32>, tensor<1x8x16xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>):
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      } experts 1 to 2 weights(%up, %down : tensor<1x16x8xf32>, tensor<1x8x16xf32>) {
      ^bb0(%t: tensor<?x8xf32>, %u: tensor<16x8xf32>, %d: tensor<8x16xf32>):
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
        moe.yield %f : tensor<?x8xf32>
      }
      %y = moe.combine %out by %r
          : tensor<?x8xf32>, !moe.routing<2 x 1> -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %table = arith.constant dense<0> : tensor<2xi32>
      // ...
        %e = tensor.extract %table[%place] : tensor<2xi32>
        %now = arith.select %isUsed, %e, %in : i32
        linalg.yield %now : i32
      } -> tensor<?x1xi32>
      %one = moe.routing.make %is, %ws trusted
          : tensor<?x1xi32>, tensor<?x1xf32> -> !moe.routing<1 x 1>
      %rows = moe.dispatch %x by %one
          : tensor<4x8xf32>, !moe.routing<1 x 1> -> tensor<?x8xf32>
      %out = moe.expert %rows by %one
          : (tensor<?x8xf32>, !moe.routing<1 x 1>) -> tensor<?x8xf32>
      experts 0 to 1 weights(%up, %down : tensor<1x16x8xf32>, tensor<1x8x16xf32>) {
      // ...
      }
      %y = moe.combine %out by %one
          : tensor<?x8xf32>, !moe.routing<1 x 1> -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
  }];
  let options = [
    Option<"reorderSums", "reorder-sums", "bool", /*default=*/"false",
           "Also experts with others between them, which changes the order of "
           "sums">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

#endif // MOE_MLIR_SPARSITY_PASSES
