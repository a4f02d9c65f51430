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

    An expert without weights stays, as there is nothing to share, and one whose body
    has a `moe.scan`, as it would see rows of others.

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

def MergeExperts : Pass<"moe-merge-experts"> {
  let summary = "Put one expert in the place of several";
  let description = [{
    Each list of experts in `groups` becomes its first one, which gets the rows of
    all of them, in every layer. Its weights are its own with `by=first`; with
    `by=mean` the mean of theirs, rounded once, for which they have to be constants.
    Results change: the pass is for who has measured that they may.

    Experts that do not exist, that are in two lists or whose bodies differ are an
    error. A routing has no more slots than experts: where fewer would be left, some
    stay, without rows.

    Before:
    ```mlir
    func.func @layer(%x: tensor<4x2xf32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>) -> tensor<4x2xf32> {
      %c = arith.constant dense<[[[1.0, 2.0], [3.0, 4.0]], [[3.0, 2.0], [1.0, 0.0]]]> : tensor<2x2x2xf32>
      %r = moe.routing.make %i, %w
          : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<2 x 1>
      %rows = moe.dispatch %x by %r
          : tensor<4x2xf32>, !moe.routing<2 x 1> -> tensor<?x2xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x2xf32>, !moe.routing<2 x 1>) -> tensor<?x2xf32>
      experts 0 to 2 weights(%c : tensor<2x2x2xf32>) {
      ^bb0(%t: tensor<?x2xf32>, %m: tensor<2x2xf32>):
        %f = moe.ffn %t up(%m) down(%m) activation(#moe.relu)
            : (tensor<?x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
        moe.yield %f : tensor<?x2xf32>
      }
      %y = moe.combine %out by %r
          : tensor<?x2xf32>, !moe.routing<2 x 1> -> tensor<4x2xf32>
      return %y : tensor<4x2xf32>
    }
    ```
    After, with `groups=0,1 by=mean`:
    ```mlir
    // ...
      %one = moe.routing.make %is, %ws trusted
          : tensor<?x1xi32>, tensor<?x1xf32> -> !moe.routing<1 x 1>
      // ...
      %all = arith.constant dense<...> : tensor<2x2x2xf32>
      // ...
      experts 0 to 1 weights(%mean : tensor<1x2x2xf32>) {
      // ...
    ```
  }];
  let options = [
    Option<"groups", "groups", "std::string", "\"\"",
           "Experts that become one, such as 0,3;1,2">,
    Option<"by", "by", "std::string", "\"first\"",
           "The weights of the one: those of the first, or their mean">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def SkipExperts : Pass<"moe-skip-experts"> {
  let summary = "Drop assignments that weigh little";
  let description = [{
    An assignment of a layer stays if its weight's magnitude is

    | option | condition |
    |---|---|
    | `min-weight=W` | at least W |
    | `min-ratio=R` | at least R times the largest of its token |
    | `max-experts=N` | among the N largest of its token |
    | `budget=F` | among the largest, of which at least F of all assignments of a call stay, and those as large as the last of these |

    for all that are given, or among the `min-experts=M` largest of its token (1 by
    default), the lower slot first of two that are equal. What is dropped has no
    row. Weights stay as they are, or with `rescale` are scaled such that those of a
    token add up to what they did. Numbers are rounded to the type of the weights; a
    weight of NaN stays, and keeps those of its token from being below a ratio.

    It is about what a token chose: experts that all tokens have
    (`moe.routing.append`) stay. What else reads the routing, such as `moe.balance` or
    a recording, sees it as it was. With `budget` a token's result depends on the
    other tokens of its call. Results change: the pass is for who has measured that
    they may.

    Before:
    ```mlir
    func.func @rows(%x: tensor<4x8xf32>, %s: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
          : tensor<4x8xf32> -> !moe.routing<8 x 2>
      %rows = moe.dispatch %x by %r
          : tensor<4x8xf32>, !moe.routing<8 x 2> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<8 x 2>) -> tensor<?x8xf32>
      experts 0 to 8 {
      ^bb0(%t: tensor<?x8xf32>):
        %n = arith.negf %t : tensor<?x8xf32>
        moe.yield %n : tensor<?x8xf32>
      }
      %y = moe.combine %out by %r
          : tensor<?x8xf32>, !moe.routing<8 x 2> -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    After, with `min-weight=0.25 min-experts=0`:
    ```mlir
    // ...
        %size = math.absf %in : f32
        %least = arith.constant 2.500000e-01 : f32
        %stays = arith.cmpf uge, %size, %least : f32
        linalg.yield %stays : i1
      } -> tensor<?x2xi1>
      // ...
      %some = moe.routing.make %is, %ws trusted
          : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
      %rows = moe.dispatch %x by %some
          : tensor<4x8xf32>, !moe.routing<8 x 2> -> tensor<?x8xf32>
    // ...
    ```
  }];
  let options = [
    Option<"minWeight", "min-weight", "double", "0.0",
           "Least magnitude of a weight">,
    Option<"minRatio", "min-ratio", "double", "0.0",
           "Least magnitude, as a fraction of the largest of the token">,
    Option<"maxExperts", "max-experts", "int64_t", "0",
           "Most experts of a token; 0 for as many as it chose">,
    Option<"budget", "budget", "double", "1.0",
           "Fraction of all assignments of a call that stay">,
    Option<"minExperts", "min-experts", "int64_t", "1",
           "Experts that a token keeps in any case">,
    Option<"rescale", "rescale", "bool", /*default=*/"false",
           "Scale the weights that stay to the sum that there was">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def SkipZeroWeights : Pass<"moe-skip-zero-weights"> {
  let summary = "Compute no row for a weight of 0";
  let description = [{
    An assignment whose weight is 0 or -0 has no row: routers that weigh by a ReLU,
    or by a softmax of logits that are far apart, have such weights.

    Results keep their bits if no expert gives an infinity or NaN, which times 0
    is NaN. Whoever runs the pass says that by `finite-experts=true`; without, it does
    nothing but say so. Nor does it where rows are not multiplied by their weights
    (`moe.combine ... unweighted`), where something else reads them, or for bodies
    with a `moe.scan`.

    Before:
    ```mlir
    func.func @rows(%x: tensor<4x8xf32>, %i: tensor<4x2xi32>, %w: tensor<4x2xf32>) -> tensor<4x8xf32> {
      %r = moe.routing.make %i, %w
          : tensor<4x2xi32>, tensor<4x2xf32> -> !moe.routing<8 x 2>
      %rows = moe.dispatch %x by %r
          : tensor<4x8xf32>, !moe.routing<8 x 2> -> tensor<?x8xf32>
      %out = moe.expert %rows by %r
          : (tensor<?x8xf32>, !moe.routing<8 x 2>) -> tensor<?x8xf32>
      experts 0 to 8 {
      ^bb0(%t: tensor<?x8xf32>):
        %n = arith.negf %t : tensor<?x8xf32>
        moe.yield %n : tensor<?x8xf32>
      }
      %y = moe.combine %out by %r
          : tensor<?x8xf32>, !moe.routing<8 x 2> -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    After, with `finite-experts=true`:
    ```mlir
    // ...
        %zero = arith.constant 0.000000e+00 : f32
        %stays = arith.cmpf une, %in, %zero : f32
        linalg.yield %stays : i1
      } -> tensor<?x2xi1>
      // ...
      %some = moe.routing.make %is, %ws trusted
          : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
      %rows = moe.dispatch %x by %some
          : tensor<4x8xf32>, !moe.routing<8 x 2> -> tensor<?x8xf32>
    // ...
    ```
  }];
  let options = [
    Option<"finiteExperts", "finite-experts", "bool", /*default=*/"false",
           "No expert gives an infinity or NaN">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"
  ];
}

def SkipZeroActivations : Pass<"moe-skip-zero-activations"> {
  let summary = "Read no weight that meets activations of 0 alone";
  let description = [{
    Products in bodies of experts get the attribute `moe.skip_zeros` if their rows
    have exact zeros: the down projection of a `moe.ffn` by its activation, a matrix
    product of `linalg` by what computes its rows from others. Which do is not asked
    by name: numbers that a comparison puts in the place of others, such as
    `max(x, 0)` or `select(x > t, x, 0)`, are followed through what is done to them
    (`max(x, 0)` squared, or times a gate, is 0 where it is).

    The attribute is an f64, the largest share of values other than 0 with which
    zeros are left out: `max-density`. The kernels of a CPU count, when they run, in
    how many steps of k a few rows of an expert have such a value, and read the
    weights of these alone, unless there are more than that, or than what pays by
    the cost model of the chip. Other targets multiply by all. One that an op has
    already is not changed.

    Sums are those of the same terms in the same order, without terms of 0. Results
    keep their bits if all weights are finite (0 times an infinity is NaN), but for
    the sign of a sum of 0 whose terms are all below half of the least denormal.
    Whoever runs the pass says by `finite-weights=true` that weights are finite;
    without, it does nothing but say so. Activations may be infinities or NaN: these
    are no zeros.

    With a `profile` (docs/profile.md) only products whose weights met no more values
    other than 0 than `max-density`, in the mean over all experts.

    Before:
    ```mlir
    func.func @layer(%x: tensor<4x8xf32>, %i: tensor<4x1xi32>, %w: tensor<4x1xf32>,
                     %up: tensor<4x16x8xf32>, %down: tensor<4x8x16xf32>) -> tensor<4x8xf32> {
      %r = moe.routing.make %i, %w
          : tensor<4x1xi32>, tensor<4x1xf32> -> !moe.routing<4 x 1>
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
    After, with `finite-weights=true max-density=0.3`:
    ```mlir
    // ...
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) {moe.skip_zeros = 3.000000e-01 : f64}
            : (tensor<?x8xf32>, tensor<16x8xf32>, tensor<8x16xf32>) -> tensor<?x8xf32>
    // ...
    ```
  }];
  let options = [
    Option<"finiteWeights", "finite-weights", "bool", /*default=*/"false",
           "No weight is an infinity or NaN">,
    Option<"maxDensity", "max-density", "double", "1.0",
           "Largest share of values other than 0">,
    Option<"profile", "profile", "std::string", "\"\"",
           "File that tells how many values were not 0">
  ];
}

#endif // MOE_MLIR_SPARSITY_PASSES
