//===- MoekRouting.td - Kernels that make a routing -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_ROUTING_TD
#define MOEK_ROUTING_TD

include "moek/MoekOpBase.td"
include "moe/MoeInterfaces.td"
include "moe/MoeOpAttrs.td"
include "mlir/IR/OpAsmInterface.td"

/// Its results have the names of the tensors of a routing in printed IR.
def Moek_NamedResults
    : DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>;

def Moek_RouteOp : Moek_DstOp<"route", [Moek_RoutingOpInterface, Moek_NamedResults, AttrSizedOperandSegments, IsolatedFromAbove,
    SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "Scores, selects, weighs, counts and packs in one pass over the tokens";
  let description = [{
    For every token: the logits `z = x Wr^T` (with `x` and `router`, the router's
    weight as `[1, 1, E, K]` f32 or in the layout of the schedule), the given `rows` of `[T, E]` tensors, the `columns`
    of `[E, T]` tensors, the `vectors` (`[E]`, the same for every token, such as
    biases) and the `scalars` (`[T]`, one a token, such as the length of a row)
    go into the region `scores`, which yields what the policy and the weights
    need: the values to select by if the policy uses scores, and then the values
    to weigh by unless the policy provides values or all are 1. `policy` selects
    `K` of `E` experts with its own operands, `using`; the region `weigh` turns
    their values into weights, and may read what each of `per_expert` (`[E]`, like
    a learned factor) holds for the chosen. `always` appends that many experts that every token takes, in
    the last slots, with weight 1 or from `always_weights` `[T, always]`.
    `capacity` keeps the first arrivals of each expert (slot-major, then token
    order); dropped slots become -1.

    The results are the routing tensors of the dialect's description, in the
    order `indices, weights, offsets, active, tokens, positions, row_weights`.
    The region arguments are `z` (if `x` is there), one per `rows`, `columns` and
    `vectors`, all `vector<E x f32>`, and one f32 per `scalars`; `weigh` takes and
    yields `vector<K x f32>`, takes the used slots, `vector<K x i1>`, as a
    second argument if slots may be unused, and then one `vector<K x f32>` per
    `per_expert`, 0 in unused slots.

    The kernel works on as many tokens at once as a vector has lanes, expert by
    expert: each token is computed in the same order of operations whatever
    machine, number of tokens or thread it is on. An output that nothing reads is
    not written. Where a policy
    selects by a mask, `tokens` needs room for 64 entries beyond T * K.

    ```mlir
    // Two of eight experts by a token's logits, weighed by their softmax.
    func.func @route(%x: memref<?x64xf32>, %router: memref<1x1x8x64xf32>,
        %i: memref<?x2xi32>, %w: memref<?x2xf32>, %offsets: memref<9xi32>,
        %active: memref<9xi32>, %tokens: memref<?xi32>, %positions: memref<?x2xi32>,
        %row_weights: memref<?xf32>) {
      moek.route #moe.top_k<2> experts(8)
          logits(%x, %router : memref<?x64xf32>, memref<1x1x8x64xf32>)
          outs(%i, %w, %offsets, %active, %tokens, %positions, %row_weights
              : memref<?x2xi32>, memref<?x2xf32>, memref<9xi32>, memref<9xi32>,
                memref<?xi32>, memref<?x2xi32>, memref<?xf32>)
      scores {
      ^bb0(%z: vector<8xf32>):
        moek.yield %z, %z : vector<8xf32>, vector<8xf32>
      } weigh {
      ^bb0(%v: vector<2xf32>):
        %e = math.exp %v : vector<2xf32>
        %s = vector.reduction <add>, %e : vector<2xf32> into f32
        %b = vector.broadcast %s : f32 to vector<2xf32>
        %p = arith.divf %e, %b : vector<2xf32>
        moek.yield %p : vector<2xf32>
      }
      return
    }
    ```
  }];
  let arguments = (ins
    Optional<Moek_Shaped>:$x, Optional<Moek_Shaped>:$router,
    Variadic<Moek_Shaped>:$rows, Variadic<Moek_Shaped>:$columns,
    Variadic<Moek_Shaped>:$vectors, Variadic<Moek_Shaped>:$scalars,
    Variadic<Moek_Shaped>:$policy_operands,
    Variadic<Moek_Shaped>:$per_expert,
    Optional<Moek_Shaped>:$always_weights,
    Variadic<Moek_Shaped>:$outputs,
    Moe_SelectionPolicyAttrInterface:$policy, I64Attr:$experts,
    DefaultValuedAttr<I64Attr, "0">:$always, OptionalAttr<I64Attr>:$capacity,
    OptionalAttr<Moek_ScheduleAttrInterface>:$schedule);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$scores, SizedRegion<1>:$weigh);
  let assemblyFormat = [{
    $policy `experts` `(` $experts `)` (`logits` `(` $x^ `,` $router `:` type($x) `,` type($router) `)`)?
    (`rows` `(` $rows^ `:` type($rows) `)`)?
    (`columns` `(` $columns^ `:` type($columns) `)`)?
    (`vectors` `(` $vectors^ `:` type($vectors) `)`)?
    (`scalars` `(` $scalars^ `:` type($scalars) `)`)?
    (`using` `(` $policy_operands^ `:` type($policy_operands) `)`)?
    (`per_expert` `(` $per_expert^ `:` type($per_expert) `)`)?
    (`always` `(` $always^ `)`)?
    (`always_weights` `(` $always_weights^ `:` type($always_weights) `)`)?
    (`capacity` `(` $capacity^ `)`)? (`schedule` `(` $schedule^ `)`)?
    `outs` `(` $outputs `:` type($outputs) `)`
    attr-dict-with-keyword `scores` $scores `weigh` $weigh
    (`->` type($results)^)?
  }];
  let extraClassDeclaration = dpsDeclarations # [{
    /// Experts including the appended ones, slots including theirs.
    int64_t getTotalExperts() { return getExperts() + getAlways(); }
    /// What `router` is in logical order.
    ::mlir::RankedTensorType getLogicalRouterType();
    int64_t getSelectedSlots();
    int64_t getTotalSlots() { return getSelectedSlots() + getAlways(); }
    ::moek::RoutingParts getRouting() { return RoutingParts(getOutputs()); }
    ::moek::RoutingParts getRoutingResults() { return RoutingParts(getResults()); }
  }];
  let hasVerifier = 1;
}

def Moek_IndexOp : Moek_DstOp<"index", [Moek_RoutingOpInterface, Moek_NamedResults]> {
  let summary = "Counts and packs a routing given by indices and weights";
  let description = [{
    Builds `offsets, active, tokens, positions, row_weights` from `indices` and
    `weights` `[T, K]`. An index outside `[0, E)` is an unused slot. `traced`
    tells the trace hook about the routing, like `moek.route` does: for routers
    whose kernel knows the indices alone.

    ```mlir
    func.func @index(%i: memref<?x2xi32>, %w: memref<?x2xf32>, %offsets: memref<9xi32>,
        %active: memref<9xi32>, %tokens: memref<?xi32>, %positions: memref<?x2xi32>,
        %row_weights: memref<?xf32>) {
      moek.index experts(8) ins(%i, %w : memref<?x2xi32>, memref<?x2xf32>)
          outs(%offsets, %active, %tokens, %positions, %row_weights : memref<9xi32>,
               memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>)
      return
    }
    ```
  }];
  let arguments = (ins Moek_Shaped:$indices, Moek_Shaped:$weights,
                       Variadic<Moek_Shaped>:$outputs, I64Attr:$experts,
                       UnitAttr:$traced);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `experts` `(` $experts `)` (`traced` $traced^)?
    `ins` `(` $indices `,` $weights `:` type($indices) `,` type($weights) `)`
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return getOutputsMutable();
    }
    void getEffects(::llvm::SmallVectorImpl<::mlir::SideEffects::EffectInstance<
                        ::mlir::MemoryEffects::Effect>> &effects);
    ::moek::RoutingParts getRouting() {
      return RoutingParts(getIndices(), getWeights(), getOutputs());
    }
    ::moek::RoutingParts getRoutingResults() {
      return RoutingParts(getIndices(), getWeights(), getResults());
    }
  }];
  let hasVerifier = 1;
}

def Moek_ExpertChoiceOp : Moek_DstOp<"expert_choice", [Moek_NamedResults]> {
  let summary = "Every expert takes its best tokens";
  let description = [{
    Column `e` of `indices` is `e` for the `min(capacity, T)` tokens with the
    largest scores in column `e` of `scores`, and -1 for the others: a larger
    score first, the lower token of two equal ones, -0 equal to +0, NaN after
    every number. `capacity` is an index of the program, so that it may depend on
    the number of tokens.

    The kernel searches the bits of the last score that is in, for as many
    experts at once as a vector has lanes, by counting the scores above; no branch
    depends on data, and integers make the result the same on every machine and
    for any number of threads.

    ```mlir
    func.func @choose(%c: index, %p: tensor<?x8xf32>, %e: tensor<?x8xi32>)
        -> tensor<?x8xi32> {
      %i = moek.expert_choice capacity(%c) ins(%p : tensor<?x8xf32>)
          outs(%e : tensor<?x8xi32>) -> tensor<?x8xi32>
      return %i : tensor<?x8xi32>
    }
    ```
  }];
  let arguments = (ins Index:$capacity, Moek_Shaped:$scores,
                       Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `capacity` `(` $capacity `)` `ins` `(` $scores `:` type($scores) `)`
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_LimitOp : Moek_DstOp<"limit", [Moek_NamedResults, AttrSizedOperandSegments]> {
  let summary = "Drops the assignments that experts have no room for";
  let description = [{
    Writes `indices` and `weights` `[T, K]` to `outputs`, with -1 and 0 for what
    is dropped: in each group of `group_size` tokens (all tokens without it),
    each expert keeps `capacity` assignments, or
    `max(minimum, round(T K factor / E))` for the T tokens of the group. `drop`
    says which, as in `moe.routing.limit`. An index outside `[0, E)` is an unused
    slot.

    Assignments are taken in the order of `drop`, which for `batch_priority` and
    `probability` is sorted by radix first; groups run in parallel. Nothing but
    the data of a group decides what is kept in it.

    ```mlir
    func.func @limit(%i: tensor<?x2xi32>, %w: tensor<?x2xf32>, %a: tensor<?x2xi32>,
        %b: tensor<?x2xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>) {
      %r:2 = moek.limit experts(8) drop(position) factor(1.25) group_size(512)
          ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>)
          outs(%a, %b : tensor<?x2xi32>, tensor<?x2xf32>)
          -> tensor<?x2xi32>, tensor<?x2xf32>
      return %r#0, %r#1 : tensor<?x2xi32>, tensor<?x2xf32>
    }
    ```
  }];
  let arguments = (ins
    Moek_Shaped:$indices, Moek_Shaped:$weights, Optional<Moek_Shaped>:$priority,
    Variadic<Moek_Shaped>:$outputs,
    I64Attr:$experts, Moe_DropAttr:$drop,
    OptionalAttr<I64Attr>:$capacity, OptionalAttr<F64Attr>:$factor,
    DefaultValuedAttr<Moe_RoundingAttr, "::moe::Rounding::Ceil">:$rounding,
    DefaultValuedAttr<I64Attr, "1">:$minimum,
    OptionalAttr<I64Attr>:$group_size);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `experts` `(` $experts `)` `drop` `(` $drop `)`
    (`capacity` `(` $capacity^ `)`)? (`factor` `(` $factor^ `)`)?
    (`rounding` `(` $rounding^ `)`)? (`minimum` `(` $minimum^ `)`)?
    (`group_size` `(` $group_size^ `)`)?
    `ins` `(` $indices `,` $weights `:` type($indices) `,` type($weights) `)`
    (`priority` `(` $priority^ `:` type($priority) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_SinkhornOp : Moek_DstOp<"sinkhorn", [Moek_NamedResults]> {
  let summary = "A plan that spreads tokens evenly over experts";
  let description = [{
    With `c = exp(z)` of the logits z `[T, E]` and d1 = 1, repeats

        d0  = (1 / T) / (c d1 + 1e-8)
        d1' = (1 / E) / (c^T d0 + 1e-8)

    until the mean of `|d1 - d1'|` is not above `tolerance`, or `iterations`
    times, and writes the plan `d0 c d1'`. In f32: c is scaled by the largest z,
    if that is above 0, and the 1e-8 of d0 with it, which changes nothing but the
    range of numbers. Sums over experts run in 16 partial sums, sums over tokens
    in blocks of a fixed number of tokens: the same order on every machine and
    for any number of threads. Iterations end at a NaN.

    ```mlir
    func.func @plan(%z: tensor<?x64xf32>, %e: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %plan = moek.sinkhorn iterations(1000) tolerance(1.0e-4)
          ins(%z : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
      return %plan : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins Moek_Shaped:$scores, Variadic<Moek_Shaped>:$outputs,
                       I64Attr:$iterations, F64Attr:$tolerance);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `iterations` `(` $iterations `)` `tolerance` `(` $tolerance `)`
    `ins` `(` $scores `:` type($scores) `)`
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_WindowOp : Moek_DstOp<"window", [Moek_NamedResults, AttrSizedOperandSegments]> {
  let summary = "Some consecutive rows of a routing, as a routing of their own";
  let description = [{
    The rows `[b, b + R)`, of which some may not exist, of the routing of
    `offsets`, `active` `[E + 1]`, `tokens` and `row_weights`: b is `from`, and R
    the size of the `tokens` of `outs`. Kernels then compute these rows alone and
    store R of them, whatever the number of tokens is; a combine takes them with
    `from(%b of %n)`.

        offsets'[e] = clamp(offsets[e] - b, 0, R)
        active'     = the experts with rows in the window, and their number
        tokens'[r]  = tokens[b + r],   row_weights'[r] = row_weights[b + r]

    ```mlir
    func.func @window(%b: index, %o: tensor<9xi32>, %a: tensor<9xi32>, %t: tensor<?xi32>,
        %p: tensor<9xi32>, %q: tensor<9xi32>, %s: tensor<64xi32>)
        -> (tensor<9xi32>, tensor<9xi32>, tensor<64xi32>) {
      %w:3 = moek.window from(%b)
          ins(%o, %a, %t : tensor<9xi32>, tensor<9xi32>, tensor<?xi32>)
          outs(%p, %q, %s : tensor<9xi32>, tensor<9xi32>, tensor<64xi32>)
          -> tensor<9xi32>, tensor<9xi32>, tensor<64xi32>
      return %w#0, %w#1, %w#2 : tensor<9xi32>, tensor<9xi32>, tensor<64xi32>
    }
    ```
  }];
  let arguments = (ins Index:$first_row, Moek_Shaped:$offsets,
                       Moek_Shaped:$active, Moek_Shaped:$tokens,
                       Optional<Moek_Shaped>:$row_weights,
                       Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `from` `(` $first_row `)` `ins` `(` $offsets `,` $active `,` $tokens `:`
    type($offsets) `,` type($active) `,` type($tokens) `)`
    (`row_weights` `(` $row_weights^ `:` type($row_weights) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_VerifyRoutingOp : Moek_Op<"verify_routing", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Whether indices make a routing";
  let description = [{
    True if every element of `indices` `[T, K]` is -1 or one of `E` experts, and
    none of these appears twice in a row.

    ```mlir
    func.func @check(%i: tensor<?x8xi32>) -> i1 {
      %ok = moek.verify_routing %i experts(128) : tensor<?x8xi32>
      return %ok : i1
    }
    ```
  }];
  let arguments = (ins Moek_Shaped:$indices, I64Attr:$experts);
  let results = (outs I1:$ok);
  let assemblyFormat = "$indices `experts` `(` $experts `)` attr-dict `:` type($indices)";
  let hasVerifier = 1;
}

#endif // MOEK_ROUTING_TD
