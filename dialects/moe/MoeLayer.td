//===- MoeLayer.td - The ops of a layer -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// In the order in which a layer uses them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LAYER_TD
#define MOE_LAYER_TD

include "moe/MoeOpBase.td"

def Moe_RouterOp : Moe_InferOp<"router", [
    AttrSizedOperandSegments, RecursivelySpeculatable, RecursiveMemoryEffects],
    ["getAsmResultNames", "getAsmBlockArgumentNames"]> {
  let summary = "selects experts by one tensor of scores, weighs them by another";
  let description = [{
    For each token, `policy` selects up to K of E experts by the token's row of
    `select`. The values of the chosen experts are then taken from the same
    places of `weigh` (DeepSeek-V3 selects with a correction bias and weighs
    without; most models give the same tensor twice) and become weights
    by one of

    - `weighing`, a list of steps applied in order (none: the values as they
      are), or
    - a region `weights` from the `vector<KxT>` of chosen values, best first, to
      the `vector<KxT>` of weights. Where slots may stay unused, a second argument
      of the region, `vector<Kxi1>`, says which are used.

    Some policies need more than scores: thresholds, a number of experts or a
    random number a token, token ids, a table. Those are the operands `using`. A
    policy that does not select by scores has no `select`; one that makes the
    values of the chosen experts itself has no `weigh`; without `weigh`, values
    are 1. The weight of an unused slot is 0.

    | operand or result | type |
    |---|---|
    | `select`, `weigh` | `tensor<TxExF>` of f32 or f64; T may be dynamic, E is static |
    | `using` | as the policy says |
    | result | `!moe.routing<E x K>`, K as the policy says |

    Softmax before the selection is `linalg.softmax` on the operand; after it,
    `#moe.softmax` in the list.

    ```mlir
    // Mixtral: softmax over the two chosen logits.
    func.func @mixtral(%z: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
      %r = moe.router #moe.top_k<2> select(%z) weigh(%z)
          weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
      return %r : !moe.routing<8 x 2>
    }

    // DeepSeek-V3: %c is the sigmoid %s of the logits plus a correction bias.
    func.func @deepseek(%c: tensor<?x256xf32>, %s: tensor<?x256xf32>)
        -> !moe.routing<256 x 8> {
      %r = moe.router #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2>
          select(%c) weigh(%s)
          weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>]
          : tensor<?x256xf32> -> !moe.routing<256 x 8>
      return %r : !moe.routing<256 x 8>
    }

    // DynMoE: as many experts as have a score above their threshold.
    func.func @dynmoe(%s: tensor<?x16xf32>, %thresholds: tensor<16xf32>)
        -> !moe.routing<16 x 16> {
      %r = moe.router #moe.top_any<min_k = 1> select(%s)
          using(%thresholds : tensor<16xf32>)
          : tensor<?x16xf32> -> !moe.routing<16 x 16>
      return %r : !moe.routing<16 x 16>
    }

    // Weights as a region.
    func.func @squared(%z: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
      %r = moe.router #moe.top_k<2> select(%z) weigh(%z)
          : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
      ^bb0(%v: vector<2xf32>):
        %u = arith.mulf %v, %v : vector<2xf32>
        moe.yield %u : vector<2xf32>
      }
      return %r : !moe.routing<8 x 2>
    }
    ```
  }];
  let arguments = (ins
    Moe_SelectionPolicyAttrInterface:$policy,
    Optional<Moe_Scores>:$select,
    Optional<Moe_Scores>:$weigh,
    Variadic<AnyRankedTensor>:$policy_operands,
    OptionalAttr<Moe_WeighingArray>:$weighing);
  let results = (outs Moe_RoutingType:$routing);
  let regions = (region AnyRegion:$weightsRegion);
  let assemblyFormat = [{
    $policy (`select` `(` $select^ `)`)? (`weigh` `(` $weigh^ `)`)?
    (`using` `(` $policy_operands^ `:` type($policy_operands) `)`)?
    (`weighing` $weighing^)? attr-dict `:`
    custom<ScoreTypes>(ref($select), ref($weigh), type($select), type($weigh))
    qualified(type($routing)) (`weights` $weightsRegion^)?
  }];
  let builders = [
    OpBuilder<(ins "::moe::SelectionPolicyAttrInterface":$policy,
                   "::mlir::Value":$select, "::mlir::Value":$weigh,
                   CArg<"::llvm::ArrayRef<::mlir::Attribute>", "{}">:$weighing,
                   CArg<"::mlir::ValueRange", "{}">:$operands)>
  ];
  let hasRegionVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    int64_t getNumExperts() { return getRouting().getType().getExperts(); }
    int64_t getNumSlots() { return getRouting().getType().getSlots(); }
    /// The element type of the scores, and so of the weights; f32 without
    /// scores.
    ::mlir::FloatType getElementType();
    /// `weigh`, else `select`; null if there is neither.
    ::mlir::Value getScores() {
      return getWeigh() ? getWeigh() : getSelect();
    }
    /// An operand whose first dimension is the tokens.
    ::mlir::TypedValue<::mlir::RankedTensorType> getTokensOperand();

    /// Builds the weights of one token from the `vector<KxT>` of its chosen
    /// values, whether this op holds a list, a region or neither. `used` is a
    /// `vector<Kxi1>`, or null if all slots are used.
    ::mlir::Value buildWeights(::mlir::OpBuilder &builder, ::mlir::Location loc,
                               ::mlir::Value values, ::mlir::Value used = {});

    /// Replaces the list of weighings, if there is one, by a region that does
    /// the same.
    ::llvm::LogicalResult expandWeighing(::mlir::RewriterBase &rewriter);
  }];
}

def Moe_DispatchOp : Moe_InferOp<"dispatch", [Pure, Moe_ReifyShape]> {
  let summary = "gathers one row for each assignment, in routing order";
  let description = [{
    Row `a` of the result is the row of `x` of the token of assignment `a`.
    `weighted` multiplies each row by the weight of its assignment: the
    weighting of the input of Llama 4, to be used with an `unweighted` combine.
    The two are not the same for an expert that is not homogeneous.

    | operand or result | type |
    |---|---|
    | `x` | `tensor<TxHxF>`, H static, F a float type, `i32` or `i64` |
    | result | `tensor<AxHxF>`, A dynamic as a rule |

    Rows of integers have no weights.

    The result's order is canonical: by expert, then token, then slot. A routing
    of another number of tokens than `x` has is an error at run time.

    ```mlir
    func.func @rows(%x: tensor<?x64xf32>, %r: !moe.routing<8 x 2>)
        -> (tensor<?x64xf32>, tensor<?x64xf32>) {
      %rows = moe.dispatch %x by %r
          : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
      %scaled = moe.dispatch %x by %r weighted
          : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
      return %rows, %scaled : tensor<?x64xf32>, tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Moe_Rows:$x,
    Moe_RoutingType:$routing,
    UnitAttr:$weighted);
  let results = (outs Moe_Rows:$rows);
  let assemblyFormat = [{
    $x `by` $routing (`weighted` $weighted^)? attr-dict
    `:` type($x) `,` qualified(type($routing)) `->` type($rows)
  }];
  let hasCanonicalizer = 1;
}

def Moe_ExpertOp : Moe_Op<"expert", [
    RecursivelySpeculatable, RecursiveMemoryEffects, AttrSizedOperandSegments,
    Moe_ReifyShape],
    ["getAsmResultNames", "getAsmBlockArgumentNames"]> {
  let summary = "applies each expert's body to its own rows";
  let description = [{
    The experts 0 to E-1 are split into one or more contiguous groups. All
    experts of a group share one body region; each sees its own rows and its own
    slice of the group's weights. Groups may differ in anything but the type of
    their result, so a layer can mix kinds of experts.

    A body has the arguments
    - `tensor<?xHxF>`, the rows of one expert (any number, none included), and
    - for each weight `tensor<Nx...xW>` of the group, with N its number of
      experts, the slice `tensor<...xW>` of this expert, and
    - for each of the rows that `with` adds, `tensor<?xCxG>`, those of the same
      assignments: numbers of sequences, scales, positions,

    and yields `tensor<?xH'xF'>` with as many rows. H, H' and all sizes of
    weights that are static are at least 1. The result of the op holds
    the yielded rows of all experts, in routing order. A body must compute each
    row from that row alone: how rows are batched is not observable. Rows of one
    sequence meet in `moe.scan`.

    | operand or result | type |
    |---|---|
    | `rows`, those of `with` | `tensor<AxHxF>`, as `moe.dispatch` gives them |
    | weights | ranked tensors whose first dimension is the size of the group |
    | result | `tensor<AxH'xF'>` |

    The groups start at expert 0, follow each other and end at E.

    ```mlir
    // 256 routed experts and one shared expert that every token visits.
    func.func @experts(%rows: tensor<?x64xf32>, %r: !moe.routing<257 x 9>,
        %wg: tensor<256x32x64xbf16>, %wu: tensor<256x32x64xbf16>,
        %wd: tensor<256x64x32xbf16>, %su: tensor<1x16x64xf32>,
        %sd: tensor<1x64x16xf32>) -> tensor<?x64xf32> {
      %out = moe.expert %rows by %r
          : (tensor<?x64xf32>, !moe.routing<257 x 9>) -> tensor<?x64xf32>
      experts 0 to 256 weights(%wg, %wu, %wd : tensor<256x32x64xbf16>,
          tensor<256x32x64xbf16>, tensor<256x64x32xbf16>) {
      ^bb0(%t: tensor<?x64xf32>, %g: tensor<32x64xbf16>, %u: tensor<32x64xbf16>,
           %d: tensor<64x32xbf16>):
        %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu)
            : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<32x64xbf16>,
               tensor<64x32xbf16>) -> tensor<?x64xf32>
        moe.yield %f : tensor<?x64xf32>
      } experts 256 to 257 weights(%su, %sd : tensor<1x16x64xf32>,
          tensor<1x64x16xf32>) {
      ^bb0(%t: tensor<?x64xf32>, %u: tensor<16x64xf32>, %d: tensor<64x16xf32>):
        %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
            : (tensor<?x64xf32>, tensor<16x64xf32>, tensor<64x16xf32>)
            -> tensor<?x64xf32>
        moe.yield %f : tensor<?x64xf32>
      }
      return %out : tensor<?x64xf32>
    }

    // Each row times a number of its token.
    func.func @scaled(%x: tensor<?x64xf32>, %s: tensor<?x1xf32>,
                      %r: !moe.routing<8 x 2>) -> tensor<?x64xf32> {
      %rows = moe.dispatch %x by %r
          : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
      %scales = moe.dispatch %s by %r
          : tensor<?x1xf32>, !moe.routing<8 x 2> -> tensor<?x1xf32>
      %out = moe.expert %rows by %r with(%scales : tensor<?x1xf32>)
          : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
      experts 0 to 8 {
      ^bb0(%t: tensor<?x64xf32>, %scale: tensor<?x1xf32>):
        %y = linalg.generic {
            indexing_maps = [affine_map<(t, h) -> (t, 0)>, affine_map<(t, h) -> (t, h)>],
            iterator_types = ["parallel", "parallel"]}
            ins(%scale : tensor<?x1xf32>) outs(%t : tensor<?x64xf32>) {
        ^bb0(%a: f32, %b: f32):
          %p = arith.mulf %a, %b : f32
          linalg.yield %p : f32
        } -> tensor<?x64xf32>
        moe.yield %y : tensor<?x64xf32>
      }
      return %out : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Moe_Rows:$rows,
    Moe_RoutingType:$routing,
    Variadic<AnyRankedTensor>:$weights,
    Variadic<Moe_Rows>:$others,
    DenseI64ArrayAttr:$bounds,
    DenseI64ArrayAttr:$weight_counts);
  let results = (outs Moe_Rows:$result);
  let regions = (region VariadicRegion<AnyRegion>:$groups);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let hasCanonicalizer = 1;
  let hasFolder = 1;
  let builders = [
    /// One group of all experts. `body` fills the block it is given; it has to
    /// end it with a moe.yield.
    OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$rows,
                   "::mlir::Value":$routing, "::mlir::ValueRange":$weights,
                   "::llvm::function_ref<void(::mlir::OpBuilder &, "
                   "::mlir::Location, ::mlir::ValueRange)>":$body)>,
    /// Groups that end where `bounds` says, the first of which is 0, with
    /// `weightCounts` of the weights each. Their regions are empty.
    OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$rows,
                   "::mlir::Value":$routing, "::mlir::ValueRange":$weights,
                   "::mlir::ValueRange":$others,
                   "::llvm::ArrayRef<int64_t>":$bounds,
                   "::llvm::ArrayRef<int64_t>":$weightCounts)>
  ];
  let extraClassDeclaration = [{
    unsigned getNumGroups() { return getGroups().size(); }
    /// The first expert of group `i`, and the one behind its last.
    int64_t getGroupBegin(unsigned i) { return getBounds()[i]; }
    int64_t getGroupEnd(unsigned i) { return getBounds()[i + 1]; }
    int64_t getGroupSize(unsigned i) {
      return getGroupEnd(i) - getGroupBegin(i);
    }
    /// The weights of group `i`.
    ::mlir::OperandRange getGroupWeights(unsigned i);
    /// The arguments of the body of group `i` that are its weights, and those
    /// that are rows beside the first.
    ::mlir::ValueRange getWeightArguments(unsigned i);
    ::mlir::ValueRange getOtherArguments(unsigned i);
    /// The block of group `i`.
    ::mlir::Block &getGroupBody(unsigned i) { return getGroups()[i].front(); }
  }];
}

def Moe_CombineOp : Moe_Op<"combine", [Pure, Moe_ReifyShape]> {
  let summary = "sums the rows of each token, weighted";
  let description = [{
    Row `t` of the result is the sum, over the assignments of token `t` in the
    order of their experts (the canonical order, whatever that of the slots is),
    of the assignment's weight times its row. The sum is
    formed in f32 (f64 for f64 rows) and rounded once. `init`, if given, is
    added after the sum: a residual or the output of a shared expert. A token
    without assignments gets its row of `init`, or zeros.

    `unweighted` leaves the weights out; see `moe.dispatch`. Rows of integers
    are added as they are, modulo 2^32 or 2^64, and have to be `unweighted`.

    | operand or result | type |
    |---|---|
    | `rows` | `tensor<AxHxF>` in routing order |
    | `init` | the type of the result |
    | result | `tensor<TxHxF>` |

    The fixed order makes the result the same bits for any batch size and
    number of threads.

    ```mlir
    func.func @sum(%out: tensor<?x64xf32>, %r: !moe.routing<8 x 2>,
                   %shared: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %y = moe.combine %out by %r init(%shared : tensor<?x64xf32>)
          : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Moe_Rows:$rows,
    Moe_RoutingType:$routing,
    Optional<Moe_Rows>:$init,
    UnitAttr:$unweighted);
  let results = (outs Moe_Rows:$result);
  let assemblyFormat = [{
    $rows `by` $routing (`unweighted` $unweighted^)?
    (`init` `(` $init^ `:` type($init) `)`)? attr-dict
    `:` type($rows) `,` qualified(type($routing)) `->` type($result)
  }];
  let hasCanonicalizer = 1;
}

def Moe_FFNOp : Moe_InferOp<"ffn", [
    RecursivelySpeculatable, RecursiveMemoryEffects, AttrSizedOperandSegments,
    Moe_ReifyShape],
    ["getAsmResultNames", "getAsmBlockArgumentNames"]> {
  let summary = "feed-forward network: up (and gate), activation, down";
  let description = [{
    The body of an expert in nearly every model:

    ```
    h = act(x Wg^T + bg, x Wu^T + bu)     with a gate
    h = act(x Wu^T + bu)                  without
    f = h Wd^T + bd
    ```

    | operand or result | type |
    |---|---|
    | `x` | `tensor<TxHxF>` |
    | `gate`, `up` | `tensor<IxHxW>`, as stored: (out, in) |
    | `down` | `tensor<H'xIxW>` |
    | `gate_bias`, `up_bias`, `down_bias` | `tensor<I>`, `tensor<I>`, `tensor<H'>` |
    | result | `tensor<TxH'xF>` |

    H, I and H' are static and at least 1. Matmuls accumulate in f32 (f64 if x is f64) whatever W is, and the
    activation is computed in that type. The activation is either a named
    attribute, `activation`, or a region `body` from the scalars
    (gate, up), or (up), to h. The two are equal in power for what fuses: the
    named form is short for the region.

    The op generalises to `linalg` by `FFNOp::generalize`.

    ```mlir
    func.func @swiglu(%x: tensor<?x64xf32>, %gate: tensor<32x64xbf16>,
        %up: tensor<32x64xbf16>, %down: tensor<64x32xbf16>) -> tensor<?x64xf32> {
      %f = moe.ffn %x gate(%gate) up(%up) down(%down) activation(#moe.silu)
          : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<32x64xbf16>,
             tensor<64x32xbf16>) -> tensor<?x64xf32>
      return %f : tensor<?x64xf32>
    }

    // An activation that nobody has named yet.
    func.func @snake(%x: tensor<?x64xf32>, %up: tensor<32x64xbf16>,
        %down: tensor<64x32xbf16>, %bias: tensor<32xf32>) -> tensor<?x64xf32> {
      %f = moe.ffn %x up(%up) down(%down) up_bias(%bias)
          : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<64x32xbf16>,
             tensor<32xf32>) -> tensor<?x64xf32> body {
      ^bb0(%v: f32):
        %s = math.sin %v : f32
        %a = arith.addf %v, %s : f32
        moe.yield %a : f32
      }
      return %f : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Moe_FloatRows:$x,
    Optional<Moe_Matrix>:$gate,
    Moe_Matrix:$up,
    Moe_Matrix:$down,
    Optional<Moe_Vector>:$gate_bias,
    Optional<Moe_Vector>:$up_bias,
    Optional<Moe_Vector>:$down_bias,
    OptionalAttr<Moe_ActivationAttrInterface>:$activation);
  let results = (outs Moe_FloatRows:$result);
  let regions = (region AnyRegion:$body);
  let assemblyFormat = [{
    $x (`gate` `(` $gate^ `)`)? `up` `(` $up `)` `down` `(` $down `)`
    (`gate_bias` `(` $gate_bias^ `)`)? (`up_bias` `(` $up_bias^ `)`)?
    (`down_bias` `(` $down_bias^ `)`)? (`activation` `(` $activation^ `)`)?
    attr-dict `:` functional-type(operands, results) (`body` $body^)?
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Value":$x, "::mlir::Value":$gate,
                   "::mlir::Value":$up, "::mlir::Value":$down,
                   "::moe::ActivationAttrInterface":$activation)>
  ];
  let hasRegionVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    bool isGated() { return static_cast<bool>(getGate()); }
    int64_t getHidden() { return getX().getType().getDimSize(1); }
    int64_t getIntermediate() { return getUp().getType().getDimSize(0); }
    int64_t getOutputHidden() { return getDown().getType().getDimSize(0); }
    /// The type in which matmuls accumulate and the activation is computed: f64
    /// if x is f64, else f32.
    ::mlir::FloatType getAccumulatorType();

    /// Builds the activation of `args`, (gate, up) or (up) as scalars of the
    /// accumulator type, whether this op holds an attribute or a region.
    ::mlir::Value buildActivationBody(::mlir::OpBuilder &builder,
                                      ::mlir::Location loc,
                                      ::mlir::ValueRange args);

    /// Replaces the activation attribute, if there is one, by a region that
    /// does the same.
    ::llvm::LogicalResult expandActivation(::mlir::RewriterBase &rewriter);

    /// Writes the op out as linalg.matmul and linalg.generic at the insertion
    /// point, and returns the replacement of its result.
    ::mlir::FailureOr<::llvm::SmallVector<::mlir::Value>>
    generalize(::mlir::RewriterBase &rewriter);
  }];
}

def Moe_ScanOp : Moe_Op<"scan", [
    RecursivelySpeculatable, RecursiveMemoryEffects, Moe_ReifyShape,
    HasParent<"ExpertOp">],
    ["getAsmResultNames", "getAsmBlockArgumentNames"]> {
  let summary = "a recurrence over the rows of each sequence of an expert";
  let description = [{
    In the body of an expert whose tokens are sequences one behind the other: row
    `a` of the result is

    ```
    s[a] = body(x[a], s[a - 1])     if sequences[a] = sequences[a - 1]
    s[a] = body(x[a], init[a])      for the first row of a sequence, and row 0
    ```

    so that neighbours with the same number are one sequence. Without `init` a
    sequence begins with zeros. A state to carry from call to call comes in as
    columns of the rows, or by `with`, and goes out as the last row of each
    sequence: as many calls as one likes give the bits of one call.

    The body computes rows of states from rows and states, each row by itself:
    steps of different sequences run as one. What does not need the state, such
    as the product of all rows with an input weight, is best computed before.

    | operand or result | type |
    |---|---|
    | `rows` | `tensor<AxHxF>` |
    | `sequences` | `tensor<Ax1xi32>` |
    | `init` | the type of the result |
    | result | `tensor<AxDxF>` |

    ```mlir
    // A moving average of the rows of each sequence, in one expert of two.
    func.func @average(%x: tensor<?x16xf32>, %ids: tensor<?x1xi32>,
                       %r: !moe.routing<2 x 1>) -> tensor<?x16xf32> {
      %rows = moe.dispatch %x by %r
          : tensor<?x16xf32>, !moe.routing<2 x 1> -> tensor<?x16xf32>
      %own = moe.dispatch %ids by %r
          : tensor<?x1xi32>, !moe.routing<2 x 1> -> tensor<?x1xi32>
      %out = moe.expert %rows by %r with(%own : tensor<?x1xi32>)
          : (tensor<?x16xf32>, !moe.routing<2 x 1>) -> tensor<?x16xf32>
      experts 0 to 1 {
      ^bb0(%t: tensor<?x16xf32>, %ids_of: tensor<?x1xi32>):
        %m = moe.scan %t by %ids_of init(%t)
            : (tensor<?x16xf32>, tensor<?x1xi32>, tensor<?x16xf32>)
            -> tensor<?x16xf32> body {
        ^bb0(%row: tensor<?x16xf32>, %state: tensor<?x16xf32>):
          %next = linalg.generic {
              indexing_maps = [affine_map<(t, h) -> (t, h)>,
                               affine_map<(t, h) -> (t, h)>],
              iterator_types = ["parallel", "parallel"]}
              ins(%row : tensor<?x16xf32>) outs(%state : tensor<?x16xf32>) {
          ^bb0(%a: f32, %s: f32):
            %half = arith.constant 0.5 : f32
            %sum = arith.addf %a, %s : f32
            %mean = arith.mulf %sum, %half : f32
            linalg.yield %mean : f32
          } -> tensor<?x16xf32>
          moe.yield %next : tensor<?x16xf32>
        }
        moe.yield %m : tensor<?x16xf32>
      } experts 1 to 2 {
      ^bb0(%t: tensor<?x16xf32>, %ids_of: tensor<?x1xi32>):
        moe.yield %t : tensor<?x16xf32>
      }
      return %out : tensor<?x16xf32>
    }
    ```
  }];
  let arguments = (ins
    Moe_FloatRows:$rows,
    2DTensorOf<[I32]>:$sequences,
    Optional<Moe_FloatRows>:$init);
  let results = (outs Moe_FloatRows:$states);
  let regions = (region AnyRegion:$body);
  let assemblyFormat = [{
    $rows `by` $sequences (`init` `(` $init^ `)`)? attr-dict
    `:` functional-type(operands, results) `body` $body
  }];
  let hasRegionVerifier = 1;
}

def Moe_SimilarityOp : Moe_InferOp<"similarity", [Pure, Moe_ReifyShape]> {
  let summary = "similarity of each token to each of some vectors";
  let description = [{
    Scores for routers that compare tokens with a vector for each expert, in f32
    (f64 for f64):

    | `metric` | score of row x and vector c |
    |---|---|
    | `cosine` | `x . c / (max(\|x\|, 1e-12) max(\|c\|, 1e-12))` |
    | `dot` | `x . c` |
    | `l2` | `-sum (x - c)^2` |

    DynMoE's gating (arXiv 2405.14297) is the sigmoid of `cosine`, a mixture of
    document experts (arXiv 2509.00100) the `#moe.nearest_centroid` of any. The
    op generalises to `linalg` (`moe-expand-similarity`): cosine and dot product
    are then a projection `x c^T` like the logits of other routers.

    | operand or result | type |
    |---|---|
    | `x` | `tensor<TxHxF>`, H static |
    | `centroids` | `tensor<ExHxW>`, static |
    | result | `tensor<TxExf32>` |

    ```mlir
    func.func @scores(%x: tensor<?x64xf32>, %c: tensor<16x64xf32>)
        -> tensor<?x16xf32> {
      %s = moe.similarity %x, %c metric(cosine)
          : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
      return %s : tensor<?x16xf32>
    }
    ```
  }];
  let arguments = (ins Moe_FloatRows:$x, Moe_Matrix:$centroids,
                       Moe_SimilarityMetricAttr:$metric);
  let results = (outs Moe_Scores:$scores);
  let assemblyFormat = [{
    $x `,` $centroids `metric` `(` $metric `)` attr-dict
    `:` type($x) `,` type($centroids) `->` type($scores)
  }];
  let extraClassDeclaration = [{
    /// Writes the op out as linalg at the insertion point, and returns the
    /// replacement of its result.
    ::mlir::Value generalize(::mlir::RewriterBase &rewriter);
  }];
}

def Moe_YieldOp : Op<Moe_Dialect, "yield", [Pure, Terminator, ReturnLike]> {
  let summary = "ends a body of the dialect and gives its results";
  let description = [{
    Ends the regions of `moe.router`, `moe.expert`, `moe.ffn` and `moe.scan`.

    ```mlir
    func.func @squared(%z: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
      %r = moe.router #moe.top_k<2> select(%z) weigh(%z)
          : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
      ^bb0(%v: vector<2xf32>):
        %u = arith.mulf %v, %v : vector<2xf32>
        moe.yield %u : vector<2xf32>
      }
      return %r : !moe.routing<8 x 2>
    }
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "attr-dict ($operands^ `:` type($operands))?";
  let builders = [OpBuilder<(ins), [{ }]>];
  let hasVerifier = 1;
}

#endif // MOE_LAYER_TD
