//===- MoekOps.td - Kernel-level operations -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_OPS_TD
#define MOEK_OPS_TD

include "moek/MoekAttrs.td"
include "moe/MoeInterfaces.td"
include "moe/MoeOpAttrs.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Moek_Op<string mnemonic, list<Trait> traits = []>
    : Op<Moek_Dialect, mnemonic, traits>;

// Destination style: pure on tensors, reads its inputs and writes its inits on
// memrefs.
class Moek_DstOp<string mnemonic, list<Trait> traits = []>
    : Moek_Op<mnemonic, !listconcat(traits, [
        DestinationStyleOpInterface,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>])> {
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return getOutputsMutable();
    }
  }];
}

def Moek_Shaped : AnyTypeOf<[AnyRankedTensor, AnyStridedMemRef]>;

def Moek_YieldOp : Moek_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "Ends a score, weight or epilogue region";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
}

def Moek_PackOp : Moek_Op<"pack", [Pure]> {
  let summary = "Packs expert weights into panels";
  let description = [{
    `parts[i]` is one of the `[E, N, K]` (or `[N, K]`, one expert) weights. With
    `interleave` the parts come in pairs (gate, up) of one group of experts; the
    groups follow one another along the expert dimension. The result is
    `[E, panels, k_padded / k_block, columns, k_block]`, padded with zeros.

    A pack of function arguments moves into the packed weights file
    (`moek-hoist-packing`); nothing is packed at run time.

    ```mlir
    %p = moek.pack %wg, %wu layout <columns = 32, k_block = 2, interleave = 16>
        : tensor<128x768x2048xbf16>, tensor<128x768x2048xbf16>
          -> tensor<128x48x1024x32x2xbf16>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$parts, Moek_PanelsAttr:$layout);
  let results = (outs AnyRankedTensor:$packed);
  let assemblyFormat = [{
    $parts `layout` $layout attr-dict `:` type($parts) `->` type($packed)
  }];
  let hasVerifier = 1;
}

def Moek_RouteOp : Moek_DstOp<"route", [AttrSizedOperandSegments, IsolatedFromAbove,
    SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "Scores, selects, weighs, counts and packs in one pass over the tokens";
  let description = [{
    For every token: the logits `z = x Wr^T` (with `x` and the packed router
    weight `router`, f32), the given `rows` of `[T, E]` tensors, the `columns`
    of `[E, T]` tensors, the `vectors` (`[E]`, the same for every token, such as
    biases) and the `scalars` (`[T]`, one a token, such as the length of a row)
    go into the region `scores`, which yields what the policy and the weights
    need: the values to select by if the policy uses scores, and then the values
    to weigh by unless the policy provides values or all are 1. `policy` selects
    `K` of `E` experts with its own operands, `using`; the region `weigh` turns
    their values into weights. `always` appends that many experts that every token takes, in
    the last slots, with weight 1 or from `always_weights` `[T, always]`.
    `capacity` keeps the first arrivals of each expert (slot-major, then token
    order); dropped slots become -1.

    The results are the routing tensors of the dialect's description, in the
    order `indices, weights, offsets, active, tokens, positions, row_weights`.
    The region arguments are `z` (if `x` is there), one per `rows`, `columns` and
    `vectors`, all `vector<E x f32>`, and one f32 per `scalars`; `weigh` takes and
    yields `vector<K x f32>`, and takes the used slots, `vector<K x i1>`, as a
    second argument if slots may be unused.

    The kernel works on as many tokens at once as a vector has lanes, expert by
    expert: each token is computed in the same order of operations whatever
    machine, number of tokens or thread it is on. An output that nothing reads is
    not written. `pack_by` says how lists are made of a policy's mask; `tokens`
    then needs room for 64 entries beyond T * K.
  }];
  let arguments = (ins
    Optional<Moek_Shaped>:$x, Optional<Moek_Shaped>:$router,
    Variadic<Moek_Shaped>:$rows, Variadic<Moek_Shaped>:$columns,
    Variadic<Moek_Shaped>:$vectors, Variadic<Moek_Shaped>:$scalars,
    Variadic<Moek_Shaped>:$policy_operands,
    Optional<Moek_Shaped>:$always_weights,
    Variadic<Moek_Shaped>:$outputs,
    Moe_SelectionPolicyAttrInterface:$policy, I64Attr:$experts,
    DefaultValuedAttr<I64Attr, "0">:$always, OptionalAttr<I64Attr>:$capacity,
    OptionalAttr<Moek_ScheduleAttr>:$schedule,
    OptionalAttr<Moek_PackByAttr>:$pack_by);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$scores, SizedRegion<1>:$weigh);
  let assemblyFormat = [{
    $policy `experts` `(` $experts `)` (`logits` `(` $x^ `,` $router `:` type($x) `,` type($router) `)`)?
    (`rows` `(` $rows^ `:` type($rows) `)`)?
    (`columns` `(` $columns^ `:` type($columns) `)`)?
    (`vectors` `(` $vectors^ `:` type($vectors) `)`)?
    (`scalars` `(` $scalars^ `:` type($scalars) `)`)?
    (`using` `(` $policy_operands^ `:` type($policy_operands) `)`)?
    (`always` `(` $always^ `)`)?
    (`always_weights` `(` $always_weights^ `:` type($always_weights) `)`)?
    (`capacity` `(` $capacity^ `)`)? (`schedule` `(` $schedule^ `)`)?
    (`pack_by` `(` $pack_by^ `)`)?
    `outs` `(` $outputs `:` type($outputs) `)`
    attr-dict-with-keyword `scores` $scores `weigh` $weigh
    (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
    /// Experts including the appended ones, slots including theirs.
    int64_t getTotalExperts() { return getExperts() + getAlways(); }
    int64_t getSelectedSlots();
    int64_t getTotalSlots() { return getSelectedSlots() + getAlways(); }
    ::mlir::Value getIndices() { return getOutputs()[0]; }
    ::mlir::Value getSlotWeights() { return getOutputs()[1]; }
    ::mlir::Value getOffsets() { return getOutputs()[2]; }
    ::mlir::Value getActive() { return getOutputs()[3]; }
    ::mlir::Value getTokens() { return getOutputs()[4]; }
    ::mlir::Value getPositions() { return getOutputs()[5]; }
    ::mlir::Value getRowWeights() { return getOutputs()[6]; }
  }];
  let hasVerifier = 1;
}

def Moek_IndexOp : Moek_DstOp<"index"> {
  let summary = "Counts and packs a routing given by indices and weights";
  let description = [{
    Builds `offsets, active, tokens, positions, row_weights` from `indices` and
    `weights` `[T, K]`. An index outside `[0, E)` is an unused slot.
  }];
  let arguments = (ins Moek_Shaped:$indices, Moek_Shaped:$weights,
                       Variadic<Moek_Shaped>:$outputs, I64Attr:$experts);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `experts` `(` $experts `)` `ins` `(` $indices `,` $weights `:` type($indices) `,` type($weights) `)`
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_ExpertChoiceOp : Moek_DstOp<"expert_choice"> {
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
    %i = moek.expert_choice capacity(%c) ins(%p : tensor<?x8xf32>)
           outs(%e : tensor<?x8xi32>) -> tensor<?x8xi32>
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

def Moek_LimitOp : Moek_DstOp<"limit", [AttrSizedOperandSegments]> {
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
    %r:2 = moek.limit experts(8) drop(position) factor(1.25) group_size(512)
        ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>)
        outs(%a, %b : tensor<?x2xi32>, tensor<?x2xf32>)
        -> tensor<?x2xi32>, tensor<?x2xf32>
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

def Moek_SinkhornOp : Moek_DstOp<"sinkhorn"> {
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
    %plan = moek.sinkhorn iterations(1000) tolerance(1.0e-4)
        ins(%z : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
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

def Moek_GroupedMatmulOp : Moek_DstOp<"grouped_matmul", [AttrSizedOperandSegments, IsolatedFromAbove,
    SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "Every expert's rows times its own packed weights, with what comes before and after";
  let description = [{
    For each expert `e` and each of its rows `r` in `[offsets[e], offsets[e+1])`:

        a   = lhs[gather ? gather[r] : r][0 : k] * (gather_weights ? gather_weights[r] : 1)
        c_i = a . packed part i of expert e (+ bias i of e),   i = 0 (, 1)
        v   = epilogue(c_0 (, c_1))                            elementwise, n columns
        out[r] = v                                             without `positions`
        out[t] = init[t] + sum over slots s, ascending, of weights[t, s] * v[positions[t, s]]

    `parts` is 1 or 2 (gate and up, interleaved in the packed weights). `n` and
    `k` are the logical sizes; `lhs` and `out` may have longer rows (padding).
    The sum over k has one fixed order, whatever the number of rows, so results
    do not depend on how many tokens share an expert, or on threads. With
    `positions` the weighted combine is part of the kernel: its sum runs in
    slot order and is as deterministic. Without `slot_weights` weights are 1.

    The epilogue region takes one f32 per part and yields one f32: any
    elementwise body (arith and math ops); it is vectorized by the lowering.

    ```mlir
    %h = moek.grouped_matmul n(768) k(2048) lhs(%x : tensor<?x2048xf32>)
        rhs(%w : tensor<128x48x2048x32x1xf32>) groups(%offsets, %active : tensor<129xi32>, tensor<129xi32>)
        gather(%tokens : tensor<?xi32>) outs(%init : tensor<?x784xf32>) epilogue {
      ^bb0(%g: f32, %u: f32):
        ...
        moek.yield %v : f32
      } -> tensor<?x784xf32>
    ```
  }];
  let arguments = (ins
    Moek_Shaped:$lhs, Moek_Shaped:$rhs,
    Moek_Shaped:$offsets, Moek_Shaped:$active,
    Optional<Moek_Shaped>:$gather, Optional<Moek_Shaped>:$gather_weights,
    Variadic<Moek_Shaped>:$biases,
    Optional<Moek_Shaped>:$positions, Optional<Moek_Shaped>:$slot_weights,
    Optional<Moek_Shaped>:$init,
    Variadic<Moek_Shaped>:$outputs,
    I64Attr:$n, I64Attr:$k, DefaultValuedAttr<I64Attr, "1">:$parts,
    OptionalAttr<Moek_ScheduleAttr>:$schedule);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    `n` `(` $n `)` `k` `(` $k `)` (`parts` `(` $parts^ `)`)?
    `lhs` `(` $lhs `:` type($lhs) `)` `rhs` `(` $rhs `:` type($rhs) `)`
    `groups` `(` $offsets `,` $active `:` type($offsets) `,` type($active) `)`
    (`gather` `(` $gather^ `:` type($gather) `)`)?
    (`gather_weights` `(` $gather_weights^ `:` type($gather_weights) `)`)?
    (`biases` `(` $biases^ `:` type($biases) `)`)?
    (`combine` `(` $positions^ `:` type($positions) `)`)?
    (`slot_weights` `(` $slot_weights^ `:` type($slot_weights) `)`)?
    (`init` `(` $init^ `:` type($init) `)`)?
    (`schedule` `(` $schedule^ `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict-with-keyword
    `epilogue` $epilogue (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_GatherOp : Moek_DstOp<"gather", [AttrSizedOperandSegments]> {
  let summary = "Rows of a matrix in routing order";
  let description = [{
    `out[r] = x[tokens[r]] * (row_weights ? row_weights[r] : 1)` for every row
    `r < offsets[E]`; the other rows are undefined. The unfused form of
    the `gather` operand of `moek.grouped_matmul`.
  }];
  let arguments = (ins Moek_Shaped:$x, Moek_Shaped:$tokens, Moek_Shaped:$offsets,
                       Optional<Moek_Shaped>:$row_weights,
                       Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $x `,` $tokens `,` $offsets `:` type($x) `,` type($tokens) `,` type($offsets) `)`
    (`row_weights` `(` $row_weights^ `:` type($row_weights) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_CombineOp : Moek_DstOp<"combine", [AttrSizedOperandSegments]> {
  let summary = "Weighted sum of a token's rows in slot order";
  let description = [{
    `out[t] = init[t] + sum over s of slot_weights[t, s] * rows[positions[t, s]]`
    in ascending `s`, in f32; the unfused form of the `combine` operand of
    `moek.grouped_matmul`. Without `slot_weights` the weights are 1.
  }];
  let arguments = (ins Moek_Shaped:$rows, Moek_Shaped:$positions,
                       Optional<Moek_Shaped>:$slot_weights,
                       Optional<Moek_Shaped>:$init,
                       Variadic<Moek_Shaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $rows `,` $positions `:` type($rows) `,` type($positions) `)`
    (`slot_weights` `(` $slot_weights^ `:` type($slot_weights) `)`)?
    (`init` `(` $init^ `:` type($init) `)`)?
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Moek_NumThreadsOp : Moek_Op<"num_threads", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Threads of the runtime the entry point was called with";
  let results = (outs Index:$threads);
  let assemblyFormat = "attr-dict";
}

def Moek_TraceOp : Moek_Op<"trace", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Marks the begin or the end of a phase for the runtime's trace hook";
  let description = [{
    `kind` is `begin`, `end` or `routing`; the last takes `offsets`, `indices`
    and `weights`. Costs one test of a pointer when no hook is set.
  }];
  let arguments = (ins StrAttr:$kind, StrAttr:$phase,
                       Variadic<AnyStridedMemRef>:$routing);
  let assemblyFormat = "$kind $phase (`(` $routing^ `:` type($routing) `)`)? attr-dict";
}

def Moek_VerifyRoutingOp : Moek_Op<"verify_routing", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Whether indices make a routing";
  let description = [{
    True if every element of `indices` `[T, K]` is -1 or one of `E` experts, and
    none of these appears twice in a row.

    ```mlir
    %ok = moek.verify_routing %indices experts(128) : tensor<?x8xi32>
    ```
  }];
  let arguments = (ins Moek_Shaped:$indices, I64Attr:$experts);
  let results = (outs I1:$ok);
  let assemblyFormat = "$indices `experts` `(` $experts `)` attr-dict `:` type($indices)";
  let hasVerifier = 1;
}

def Moek_CheckOp : Moek_Op<"check", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "Makes the call return a status unless a condition holds";
  let description = [{
    If `ok` is false, the entry point tells the runtime's error hook `message`
    and returns `status` (`bad_size`, `bad_routing` or `bad_value`) at once: nothing behind the check runs, and no result has
    been written, since results that would be written before the last check of
    a function are kept in the workspace until it has passed.

    Stands in the body of a function, or in sequential `scf` ops there; threads
    cannot end a call. Works on tensors and memrefs alike. `runtime` is set by
    `moek-lower-runtime-ops`.

    ```mlir
    moek.check %ok, bad_value, "argument 'token_ids' holds an id out of range"
    ```
  }];
  let arguments = (ins I1:$ok, Moek_StatusAttr:$status, StrAttr:$message,
                       Optional<AnyType>:$runtime);
  let assemblyFormat = [{
    $ok `,` $status `,` $message
    (`runtime` `(` $runtime^ `:` type($runtime) `)`)? attr-dict
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Value":$ok, "::moek::Status":$status,
                   "const ::llvm::Twine &":$message), [{
      build($_builder, $_state, ok, status, $_builder.getStringAttr(message),
            ::mlir::Value());
    }]>
  ];
  let extraClassDeclaration = [{
    /// The innermost op around `block` from which a call cannot be ended; null
    /// if a check can stand in `block`.
    static ::mlir::Operation *findObstacle(::mlir::Block *block);
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

#endif // MOEK_OPS_TD
