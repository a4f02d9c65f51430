//===- MoeBalance.td - Losses and health of a routing ------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// `moe.balance` and the metrics it can list; the code of the metrics is in
// balance/. Included by MoeOps.td.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_BALANCE_TD
#define MOE_BALANCE_TD

include "moe/MoeAttrs.td"
include "moe/MoeBalanceInterfaces.td"

class Moe_Metric<string cppName, string attrMnemonic,
                 list<string> overridden = []>
    : Moe_Attr<cppName, attrMnemonic,
        [DeclareAttrInterfaceMethods<Moe_BalanceMetricAttrInterface,
                                     overridden>]>;

//===----------------------------------------------------------------------===//
// Losses
//===----------------------------------------------------------------------===//

def Moe_SwitchLossAttr : Moe_Metric<"SwitchLoss", "switch_loss",
    ["getMetricInputs", "verifyMetric"]> {
  let summary = "load-balancing loss of Switch Transformer, GShard and Mixtral";
  let description = [{
    `L = E sum_e f_e P_e` with `f_e = n_e / (T k)`, the share of assignments
    that expert `e` got, and `P_e = mean_t p_te`, its mean probability. Reads
    `scores`, the probabilities `p` (`TxE`; a softmax). Result: `tensor<f32>`,
    to be multiplied by a coefficient (1e-2 in the paper).

    | form | parameters | balanced | source |
    |---|---|---|---|
    | Switch Transformer | none: k = K, the slots of the routing | 1 | arXiv 2101.03961 |
    | GShard | `first`: only slot 0 counts, k = 1 | 1 | arXiv 2006.16668 |
    | Mixtral, OLMoE as ported to transformers | `k = 1`: not divided by K | K | arXiv 2401.04088 |
    | top-p routing | `k = 1`: the selected sets | mean set size | arXiv 2403.07652 |

    `length = L` takes the loss of each L consecutive tokens (GShard's groups; a
    row of the batch) and averages it over them; the last group may be shorter.

    `first` needs a routing whose slots are in order of preference, so none of a
    policy that selects by a mask (top-any, thresholds), where slot e is expert e.
    GShard writes the mean of `E^2 f_e P_e` over experts, which is the same
    number. Counts are those of the routing given: the papers take them before
    tokens are dropped, so give the routing before `moe.routing.limit`.

    ```mlir
    #moe.switch_loss
    #moe.switch_loss<first, length = 1024>
    #moe.switch_loss<k = 1>
    ```
  }];
  let parameters = (ins
    AttrParameter<"int64_t", "assignments of a token to divide by; 0: K">:$k,
    AttrParameter<"bool", "whether only slot 0 counts">:$first,
    AttrParameter<"int64_t", "tokens of a group; 0: all">:$length);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Moe_SequenceLossAttr : Moe_Metric<"SequenceLoss", "sequence_loss",
    ["getMetricInputs", "verifyMetric"]> {
  let summary = "sequence-wise balance loss of DeepSeek-V3";
  let description = [{
    For each sequence of L tokens `alpha sum_e f_e P_e` with
    `f_e = E / (k L) sum_t [e in TopK(s_t)]` and
    `P_e = mean_t (s_te / sum_j s_tj)`; the mean over sequences. Reads `scores`,
    the raw scores `s` (`TxE`; sigmoids). Result: `tensor<f32>`. DeepSeek-V3,
    arXiv 2412.19437.

    TopK is of the raw scores, without correction bias and without groups: of
    the routing only K is used, the default of `k`. `length` is the number of
    tokens of a sequence (the last may be shorter); without it, all tokens are
    one. `alpha` is 1.0e-4 unless given.

    ```mlir
    #moe.sequence_loss<length = 4096>
    #moe.sequence_loss<alpha = 0.001, k = 6>
    ```
  }];
  let parameters = (ins
    Moe_F64Parameter<"factor of the loss">:$alpha_value,
    AttrParameter<"int64_t", "experts of a token; 0: K">:$k,
    AttrParameter<"int64_t", "tokens of a sequence; 0: all">:$length);
  let extraClassDeclaration = [{
    double getAlpha() const { return getAlphaValue().convertToDouble(); }
  }];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Moe_ZLossAttr : Moe_Metric<"ZLoss", "z_loss", ["getMetricInputs"]> {
  let summary = "z-loss of ST-MoE";
  let description = [{
    `mean_t (log sum_e exp z_te)^2`, which keeps logits small. Reads `logits`
    (`TxE`). Result: `tensor<f32>`, to be multiplied by a coefficient (1e-3 in
    the paper). ST-MoE, arXiv 2202.08906.

    ```mlir
    #moe.z_loss
    ```
  }];
}

def Moe_DynMoELossAttr : Moe_Metric<"DynMoELoss", "dynmoe_loss",
    ["getMetricInputs"]> {
  let summary = "diversity and simplicity of DynMoE's gate";
  let description = [{
    `|| (N^T N - I) * (a a^T) ||_F + mean_e |S_e|`, where the columns of `N` are
    those of `S` divided by their norms (at least 1e-12): experts should differ,
    and be small. Reads `similarity`, the matrix `S` (`HxE`), and if given
    `active`, the mask `a` of experts that exist (`E`; 0 or 1, all 1 by
    default). Result: `tensor<f32>`. DynMoE, arXiv 2405.14297.

    ```mlir
    #moe.dynmoe_loss
    ```
  }];
}

def Moe_DynMoELoadLossAttr : Moe_Metric<"DynMoELoadLoss", "dynmoe_load_loss"> {
  let summary = "load and efficiency terms of DynMoE's training code";
  let description = [{
    `E^2 mean_e (m_e c_e) + mean_te mask_te`. `mask_te` says whether token `t`
    goes to expert `e`; `c` is its mean and `m` the mean of its rows divided by
    their sums, both over the tokens that go to any expert. The first term
    balances the load, the second makes tokens choose few experts. Reads the
    routing alone. Result: `tensor<f32>`. The authors' DeepSpeed code adds it to
    `#moe.dynmoe_loss` (arXiv 2405.14297).

    ```mlir
    #moe.dynmoe_load_loss
    ```
  }];
}

def Moe_ScoreEntropyAttr : Moe_Metric<"ScoreEntropy", "score_entropy",
    ["getMetricInputs"]> {
  let summary = "mean entropy of the routing probabilities, a loss of top-p";
  let description = [{
    `mean_t -sum_e p_te log p_te`, in nats: how undecided the router is. Reads
    `scores`, the probabilities (`TxE`). Result: `tensor<f32>`. A loss of top-p
    routing, arXiv 2403.07652, which otherwise learns to choose ever more
    experts.

    ```mlir
    #moe.score_entropy
    ```
  }];
}

def Moe_BiasUpdateAttr : Moe_Metric<"BiasUpdate", "bias_update",
    ["getMetricInputs"]> {
  let summary = "a step of the correction bias of DeepSeek-V3";
  let description = [{
    `b_e + gamma sign(mean_j n_j - n_e)` with sign(0) = 0: what balances load
    without a loss. Reads `bias`, the present correction bias (`E`), and if
    given `counts` (`E`, i32), the counts of the whole step in place of those of
    the routing. Result: `tensor<Exf32>`. `gamma` is 1.0e-3 unless given; 0 at
    the end of training. arXiv 2408.15664, 2412.19437.

    The sign is exact: it is taken of integers.

    ```mlir
    #moe.bias_update
    #moe.bias_update<gamma = 0.0>
    ```
  }];
  let parameters = (ins Moe_F64Parameter<"size of a step">:$gamma_value);
  let extraClassDeclaration = [{
    double getGamma() const { return getGammaValue().convertToDouble(); }
  }];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Health
//===----------------------------------------------------------------------===//

def Moe_ExpertCountsAttr : Moe_Metric<"ExpertCounts", "expert_counts"> {
  let summary = "number of assignments of each expert";
  let description = [{
    `n_e`, the number of tokens that go to expert `e`. Reads the routing alone.
    Result: `tensor<Exi32>`.

    ```mlir
    #moe.expert_counts
    ```
  }];
}

/// A number that follows from the counts n_e and the shares f_e = n_e / sum n.
class Moe_CountMetric<string cppName, string attrMnemonic, string name,
                      string text>
    : Moe_Metric<cppName, attrMnemonic, ["getMetricInputs"]> {
  let summary = name;
  let description = text
    # "\n\n`f_e = n_e / sum_j n_j` are the shares of experts, all 0 without\n"
    # "assignments. Reads `counts` (`E`, i32) if given, those of a longer window,\n"
    # "in place of the routing's.\n\n```mlir\n#moe." # attrMnemonic # "\n```\n";
}

def Moe_NormalizedEntropyAttr : Moe_CountMetric<"NormalizedEntropy",
  "normalized_entropy", "entropy of the load, 1 when even",
  "`H / ln E` with `H = -sum_e f_e ln f_e`: 1 when all experts get the same, 0 "
  "when one gets everything; 1 for a single expert. Result: `tensor<f32>`.">;

def Moe_EffectiveExpertsAttr : Moe_CountMetric<"EffectiveExperts",
  "effective_experts", "how many experts the load is worth",
  "`exp(H)` with `H = -sum_e f_e ln f_e`: E equally used experts have E, one "
  "has 1. Result: `tensor<f32>`.">;

def Moe_MaxOverMeanAttr : Moe_CountMetric<"MaxOverMean", "max_over_mean",
  "load of the busiest expert, over the mean",
  "`E max_e f_e`: by this factor expert parallelism waits for its busiest "
  "member. Result: `tensor<f32>`.">;

def Moe_MaxViolationAttr : Moe_CountMetric<"MaxViolation", "max_violation",
  "MaxVio, the busiest expert's excess",
  "`E max_e f_e - 1`, MaxVio of arXiv 2408.15664: 0 when balanced, -1 without "
  "assignments. Result: `tensor<f32>`.">;

def Moe_CoefficientOfVariationAttr : Moe_CountMetric<"CoefficientOfVariation",
  "coefficient_of_variation", "spread of the load, over the mean",
  "`sqrt(mean_e (E f_e - 1)^2)`, the standard deviation of the counts over "
  "their mean (arXiv 1701.06538): 0 when balanced. Result: `tensor<f32>`.">;

def Moe_DeadExpertsAttr : Moe_CountMetric<"DeadExperts", "dead_experts",
  "number of experts that nobody visits",
  "The number of experts with `n_e = 0`. Result: `tensor<i32>`.">;

def Moe_GiniAttr : Moe_CountMetric<"Gini", "gini",
  "Gini coefficient of the load",
  "`sum_ij |n_i - n_j| / (2 E sum_j n_j)`: 0 when balanced, `1 - 1/E` when one "
  "expert gets everything, 0 without assignments. Result: `tensor<f32>`.">;

def Moe_CollapseAttr : Moe_Metric<"Collapse", "collapse",
    ["getMetricInputs", "verifyMetric"]> {
  let summary = "whether the router has collapsed onto few experts";
  let description = [{
    | value | meaning |
    |---|---|
    | -1 | fewer than `assignments` x E assignments: too few to say |
    | 0 | no |
    | 1 | effective experts `exp(H)` below `k + spread (E - k)`, and k < E |
    | 2 | one expert has more than `share` of all, and E is at least `ratio` k |
    | 3 | both |

    Result: `tensor<i32>`; above 0 means collapse. Reads `counts` (`E`, i32) if
    given, those of a longer window, in place of the routing's. `k` is how many
    experts a token goes to, by default the mean of the routing (K where no slot
    is unused). The thresholds are this project's; the defaults are shown.

    ```mlir
    #moe.collapse
    #moe.collapse<k = 8, spread = 0.1, share = 0.5, ratio = 4, assignments = 100>
    ```
  }];
  let parameters = (ins
    AttrParameter<"int64_t", "experts of a token; 0: the mean">:$k,
    Moe_F64Parameter<"least effective experts, from k (0) to E (1)">:$spread_value,
    Moe_F64Parameter<"largest share of one expert">:$share_value,
    AttrParameter<"int64_t", "least E / k for which shares count">:$ratio,
    AttrParameter<"int64_t", "least assignments, for each expert">:$assignments);
  let extraClassDeclaration = [{
    double getSpread() const { return getSpreadValue().convertToDouble(); }
    double getShare() const { return getShareValue().convertToDouble(); }
  }];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// The op
//===----------------------------------------------------------------------===//

def Moe_BalanceMetricArray
    : TypedArrayAttrBase<Moe_BalanceMetricAttrInterface,
        "list of attributes that implement BalanceMetricAttrInterface">;

def Moe_BalanceOp : Moe_Op<"balance", [Pure]> {
  let summary = "losses and health of a routing";
  let description = [{
    Computes each of `metrics` of a routing, one result for each: losses for
    training, counts, and numbers that show whether a router uses its experts
    evenly.

    Metrics read the routing and named inputs, each written as its name and a
    value in parentheses:

    | input | type | read by |
    |---|---|---|
    | `scores` | `tensor<TxExF>`, probabilities or raw scores | `#moe.switch_loss`, `#moe.sequence_loss`, `#moe.score_entropy` |
    | `logits` | `tensor<TxExF>` | `#moe.z_loss` |
    | `bias` | `tensor<ExF>` | `#moe.bias_update` |
    | `similarity` | `tensor<HxExF>` | `#moe.dynmoe_loss` |
    | `active` | `tensor<ExF>`, optional | `#moe.dynmoe_loss` |
    | `counts` | `tensor<Exi32>`, optional | `#moe.bias_update` and the health metrics |

    Floats may be of any type and are read as f32, in which sums are formed, in
    one fixed order. Other metrics, of other dialects, may read other inputs.

    Counts are those of the routing given. Papers define losses by the choices
    of the router, so losses take the routing before `moe.routing.limit` drops
    some of it; what was dropped is the difference of the two counts. Shared
    experts that `moe.routing.append` added count like any other: take the
    routing before.

    `moe-expand-balance` writes the op out as ordinary IR.

    ```mlir
    func.func @health(%r: !moe.routing<64 x 8>, %p: tensor<?x64xf32>,
        %l: tensor<?x64xf32>) -> (tensor<64xi32>, tensor<f32>, tensor<f32>, tensor<i32>) {
      %counts, %loss, %z, %state = moe.balance %r
          [#moe.expert_counts, #moe.switch_loss, #moe.z_loss, #moe.collapse]
          scores(%p : tensor<?x64xf32>) logits(%l : tensor<?x64xf32>)
          : !moe.routing<64 x 8>
          -> tensor<64xi32>, tensor<f32>, tensor<f32>, tensor<i32>
      return %counts, %loss, %z, %state
          : tensor<64xi32>, tensor<f32>, tensor<f32>, tensor<i32>
    }
    ```
  }];
  let arguments = (ins
    Moe_RoutingType:$routing,
    Variadic<AnyRankedTensor>:$inputs,
    Moe_BalanceMetricArray:$metrics,
    StrArrayAttr:$input_names);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let hasCustomAssemblyFormat = 1;
  let builders = [
    OpBuilder<(ins "::mlir::Value":$routing,
                   "::llvm::ArrayRef<::mlir::Attribute>":$metrics,
                   "::llvm::ArrayRef<std::pair<::llvm::StringRef, "
                   "::mlir::Value>>":$inputs)>
  ];
  let extraClassDeclaration = [{
    /// The input of that name, null when it is not given.
    ::mlir::Value getInput(::llvm::StringRef name);
    /// The inputs of a metric in its order, null where not given.
    ::llvm::SmallVector<::mlir::Value>
    getInputsOf(::moe::BalanceMetricAttrInterface metric);
  }];
}

#endif // MOE_BALANCE_TD
