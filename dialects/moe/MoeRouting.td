//===- MoeRouting.td - Routings -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Ops that build a routing, change it and take one apart.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ROUTING_TD
#define MOE_ROUTING_TD

include "moe/MoeOpBase.td"

def Moe_RoutingMakeOp : Moe_Op<"routing.make", [Pure]> {
  let summary = "builds a routing from indices and weights";
  let description = [{
    `indices[t, s]` is the expert in slot `s` of token `t`, or -1 where the slot
    is unused; `weights[t, s]` is its weight, 0 where the slot is unused. For
    replayed routings, hash tables and routers from outside.

    | operand or result | type |
    |---|---|
    | `indices` | `tensor<TxKxi32>`, K static |
    | `weights` | `tensor<TxKxF>` of f32 or f64 |
    | result | `!moe.routing<E x K>` |

    An expert outside of [-1, E), and one that appears twice in a row, is an
    error: of verification if `indices` is a constant, else at run time, where a
    compiled call returns `MOE_ERR_BAD_ROUTING`. `trusted` leaves the check at
    run time out, for indices that are known to be good; with bad ones the
    results are then undefined, but no memory is touched that should not be.

    ```mlir
    func.func @given(%i: tensor<?x2xi32>, %w: tensor<?x2xf32>)
        -> (!moe.routing<8 x 2>, !moe.routing<8 x 2>) {
      %r = moe.routing.make %i, %w
          : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
      %s = moe.routing.make %i, %w trusted
          : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
      return %r, %s : !moe.routing<8 x 2>, !moe.routing<8 x 2>
    }
    ```
  }];
  let arguments = (ins Moe_Indices:$indices, Moe_Weights:$weights,
                       UnitAttr:$trusted);
  let results = (outs Moe_RoutingType:$routing);
  let assemblyFormat = [{
    $indices `,` $weights (`trusted` $trusted^)? attr-dict `:` type($indices) `,` type($weights)
    `->` qualified(type($routing))
  }];
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

class Moe_RoutingViewOp<string mnemonic>
    : Moe_InferOp<"routing." # mnemonic, [Pure, Moe_ReifyShape]> {
  let arguments = (ins Moe_RoutingType:$routing);
  let assemblyFormat = [{
    $routing attr-dict `:` qualified(type($routing)) `->` type($result)
  }];
  let hasFolder = 1;
}

def Moe_RoutingIndicesOp : Moe_RoutingViewOp<"indices"> {
  let summary = "the expert in each slot of each token";
  let description = [{
    The `tensor<TxKxi32>` of experts, best first; -1 marks an unused slot.

    ```mlir
    func.func @indices(%r: !moe.routing<8 x 2>) -> tensor<?x2xi32> {
      %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
      return %i : tensor<?x2xi32>
    }
    ```
  }];
  let results = (outs Moe_Indices:$result);
}

def Moe_RoutingWeightsOp : Moe_Op<"routing.weights", [Pure, Moe_ReifyShape]> {
  let summary = "the weight in each slot of each token";
  let description = [{
    The `tensor<TxKxF>` of weights in f32 or f64; 0 in unused slots.

    ```mlir
    func.func @weights(%r: !moe.routing<8 x 2>) -> tensor<?x2xf32> {
      %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
      return %w : tensor<?x2xf32>
    }
    ```
  }];
  let arguments = (ins Moe_RoutingType:$routing);
  let results = (outs Moe_Weights:$result);
  let assemblyFormat = [{
    $routing attr-dict `:` qualified(type($routing)) `->` type($result)
  }];
  let hasFolder = 1;
}

def Moe_RoutingOffsetsOp : Moe_RoutingViewOp<"offsets"> {
  let summary = "where the assignments of each expert begin";
  let description = [{
    The `tensor<(E+1)xi32>` in which entry `e` is the number of assignments
    before those of expert `e`; the last is A.

    ```mlir
    func.func @offsets(%r: !moe.routing<8 x 2>) -> tensor<9xi32> {
      %o = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<9xi32>
      return %o : tensor<9xi32>
    }
    ```
  }];
  let results = (outs 1DTensorOf<[I32]>:$result);
}

def Moe_RoutingTokensOp : Moe_RoutingViewOp<"tokens"> {
  let summary = "the token of each assignment, in canonical order";
  let description = [{
    The `tensor<Axi32>` of tokens.

    ```mlir
    func.func @tokens(%r: !moe.routing<8 x 2>) -> tensor<?xi32> {
      %t = moe.routing.tokens %r : !moe.routing<8 x 2> -> tensor<?xi32>
      return %t : tensor<?xi32>
    }
    ```
  }];
  let results = (outs 1DTensorOf<[I32]>:$result);
}

def Moe_RoutingNumTokensOp : Moe_Op<"routing.num_tokens", [Pure]> {
  let summary = "the number of tokens of a routing";
  let description = [{
    T: the tokens without an assignment are counted too.

    ```mlir
    func.func @num_tokens(%r: !moe.routing<8 x 2>) -> index {
      %n = moe.routing.num_tokens %r : !moe.routing<8 x 2>
      return %n : index
    }
    ```
  }];
  let arguments = (ins Moe_RoutingType:$routing);
  let results = (outs Index:$result);
  let assemblyFormat = "$routing attr-dict `:` qualified(type($routing))";
  let hasVerifier = 0;
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Moe_RoutingAppendOp : Moe_Op<"routing.append", [Pure]> {
  let summary = "adds experts that every token visits";
  let description = [{
    A routing of `N` more experts and `N` more slots: every token is assigned to
    each of the new experts E ... E+N-1 in the new slots K ... K+N-1, with
    weight 1, or with the given `weights`. What makes a shared expert a group of
    `moe.expert` like any other.

    | operand or result | type |
    |---|---|
    | `routing` | `!moe.routing<E x K>` |
    | `weights` | `tensor<TxNxF>` of f32 or f64: column `i` is for expert E + i |
    | result | `!moe.routing<E+N x K+N>` |

    ```mlir
    func.func @shared(%r: !moe.routing<8 x 2>, %gate: tensor<?x1xf32>)
        -> !moe.routing<9 x 3> {
      %s = moe.routing.append %r weights(%gate : tensor<?x1xf32>)
          : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
      return %s : !moe.routing<9 x 3>
    }
    ```
  }];
  let arguments = (ins Moe_RoutingType:$routing, Optional<Moe_Weights>:$weights);
  let results = (outs Moe_RoutingType:$result);
  let assemblyFormat = [{
    $routing (`weights` `(` $weights^ `:` type($weights) `)`)? attr-dict
    `:` qualified(type($routing)) `->` qualified(type($result))
  }];
  let hasFolder = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    int64_t getNumAppended() {
      return getResult().getType().getExperts() -
             getRouting().getType().getExperts();
    }
  }];
}

def Moe_RoutingLimitOp : Moe_Op<"routing.limit", [
    Pure, AllTypesMatch<["routing", "result"]>]> {
  let summary = "keeps as many assignments of each expert as it has room for";
  let description = [{
    Each expert keeps C assignments and drops the rest. A dropped assignment
    leaves its slot unused; the other weights of its token stay as they are
    (`moe.routing.reweigh` computes them anew).

    C is `capacity N`, or with `factor F`, for T tokens, K slots and E experts,

    ```
    C = max(minimum, round(T K F / E))
    ```

    computed in f64 from left to right, with `rounding` `ceil` (the default),
    `floor` or `nearest` (halves to even). With `group_size G` each G consecutive
    tokens are a group of their own: experts have room for C assignments of each
    group, T is the number of tokens of the group, and the last group may be
    shorter.

    | `by` | kept first |
    |---|---|
    | `position` (default) | all first choices in token order, then all second choices, and so on (Switch Transformer, GShard) |
    | `batch_priority` | the same, with tokens by descending `priority` instead of token order (arXiv 2106.05974: their largest probability) |
    | `probability` | the largest weights of each expert (Megatron-LM) |

    Priorities and weights are ordered as scores are: larger first, NaN last,
    the earlier token of two equal ones.

    | operand | type |
    |---|---|
    | `priority` | `tensor<Txf32>`, with `batch_priority` |

    `capacity`, `factor`, `minimum` and `group_size` are above 0: a layer that
    drops nothing has no such op.

    ```mlir
    func.func @limits(%r: !moe.routing<32 x 2>, %p: tensor<?xf32>) {
      // A number of its own.
      %fixed = moe.routing.limit %r capacity 64 : !moe.routing<32 x 2>
      // Switch Transformer: 1.25 in training, 2.0 in evaluation.
      %switch = moe.routing.limit %r factor 1.25 : !moe.routing<32 x 2>
      // GShard with groups of 1024 tokens: C = ceil(1024 * 2 * 1.0 / E).
      %gshard = moe.routing.limit %r factor 1.0 group_size 1024 : !moe.routing<32 x 2>
      // Vision MoE: batch-prioritized routing.
      %vmoe = moe.routing.limit %r factor 0.5 rounding nearest minimum 4
          by batch_priority (%p : tensor<?xf32>) : !moe.routing<32 x 2>
      // Megatron-LM, --moe-token-drop-policy probs.
      %probs = moe.routing.limit %r factor 1.0 by probability : !moe.routing<32 x 2>
      return
    }
    ```
  }];
  let arguments = (ins Moe_RoutingType:$routing,
    Optional<1DTensorOf<[F32]>>:$priority,
    OptionalAttr<I64Attr>:$capacity,
    OptionalAttr<F64Attr>:$factor,
    DefaultValuedAttr<Moe_RoundingAttr, "::moe::Rounding::Ceil">:$rounding,
    DefaultValuedAttr<I64Attr, "1">:$minimum,
    OptionalAttr<I64Attr>:$group_size,
    DefaultValuedAttr<Moe_DropAttr, "::moe::Drop::Position">:$drop);
  let results = (outs Moe_RoutingType:$result);
  let assemblyFormat = [{
    $routing (`capacity` $capacity^)? (`factor` $factor^)?
    (`rounding` $rounding^)? (`minimum` $minimum^)?
    (`group_size` $group_size^)? (`by` $drop^)?
    (`(` $priority^ `:` type($priority) `)`)?
    attr-dict `:` qualified(type($routing))
  }];
  let hasFolder = 1;
  let extraClassDeclaration = [{
    /// Whether this is a number of arrivals in slot and token order, of all
    /// tokens together.
    bool isPlain() {
      return getCapacity() && !getGroupSize() && getDrop() == Drop::Position;
    }
    /// C of a group of so many tokens.
    int64_t getCapacityOf(int64_t tokens);
  }];
}

def Moe_RoutingReweighOp : Moe_Op<"routing.reweigh", [
    Pure, AllTypesMatch<["routing", "result"]>]> {
  let summary = "computes the weights of a routing anew";
  let description = [{
    First the weight of each used slot times the entry of its expert in `scales`,
    if they are there; then the steps of `weighing` applied to the weights of the
    used slots of each token, as `moe.router` applies them to the values of the
    chosen experts. Unused slots take no part and keep the weight 0.

    Models that normalise after dropping do the second: GShard with
    `normalize_gate_prob_before_dropping = false` divides by the sum of what was
    kept. Gemma 4 does the first: a learned factor for each expert, behind the
    normalisation.

    | operand | type |
    |---|---|
    | `scales` | `tensor<ExF>`, F a float type |

    ```mlir
    func.func @gshard(%p: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
      %r = moe.router #moe.gshard<second = all> select(%p)
          : tensor<?x8xf32> -> !moe.routing<8 x 2>
      %kept = moe.routing.limit %r factor 1.0 : !moe.routing<8 x 2>
      %new = moe.routing.reweigh %kept
          weighing [#moe.normalize<clamp, min = 1.1920928955078125e-07>]
          : !moe.routing<8 x 2>
      return %new : !moe.routing<8 x 2>
    }

    func.func @gemma4(%r: !moe.routing<8 x 2>, %s: tensor<8xf32>)
        -> !moe.routing<8 x 2> {
      %new = moe.routing.reweigh %r scales(%s : tensor<8xf32>) : !moe.routing<8 x 2>
      return %new : !moe.routing<8 x 2>
    }
    ```
  }];
  let arguments = (ins Moe_RoutingType:$routing, Optional<Moe_Vector>:$scales,
                       OptionalAttr<Moe_WeighingArray>:$weighing);
  let results = (outs Moe_RoutingType:$result);
  let assemblyFormat = [{
    $routing (`scales` `(` $scales^ `:` type($scales) `)`)?
    (`weighing` $weighing^)? attr-dict `:` qualified(type($routing))
  }];
  let hasFolder = 1;
}

#endif // MOE_ROUTING_TD
