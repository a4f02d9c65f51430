//===- MoeRouters.td - Selection policies of the moe dialect ---------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One attribute for each kind of router; the code of each is a file of its own
// in routers/.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ROUTERS_TD
#define MOE_ROUTERS_TD

include "moe/MoeAttrs.td"

class Moe_Policy<string cppName, string attrMnemonic, list<string> methods = []>
    : Moe_Attr<cppName, attrMnemonic,
        [DeclareAttrInterfaceMethods<Moe_SelectionPolicyAttrInterface, methods>]>;

def Moe_TopKAttr : Moe_Policy<"TopK", "top_k",
    ["buildSelect", "buildSelectLanes", "buildSelectRow"]> {
  let summary = "the K experts with the largest scores";
  let description = [{
    Every token goes to the `k` experts with the largest scores, best first;
    the lower expert wins ties and NaN comes after every number. Mixtral, Qwen3,
    OLMoE, gpt-oss; with `k = 1` Switch Transformer and Llama 4.

    ```mlir
    #moe.top_k<8>
    ```
  }];
  let parameters = (ins AttrParameter<"int64_t", "experts of a token">:$k);
  let assemblyFormat = "`<` $k `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool selectsByOrder() const { return true; }
    bool fillsAllSlots(int64_t) const { return true; }
    bool supportsLanes() const { return true; }
    bool supportsRow() const { return true; }
  }];
}

def Moe_GroupReduceMax : I32EnumAttrCase<"Max", 0, "max">;
def Moe_GroupReduceTop2 : I32EnumAttrCase<"Top2", 1, "top2">;
def Moe_GroupReduce : I32EnumAttr<"GroupReduce", "score of a group of experts",
    [Moe_GroupReduceMax, Moe_GroupReduceTop2]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}

def Moe_GroupTopKAttr : Moe_Policy<"GroupTopK", "group_top_k",
    ["buildSelect", "buildSelectLanes", "buildSelectRow"]> {
  let summary = "the K best experts of the best groups of experts";
  let description = [{
    The E experts form `groups` contiguous groups of E / groups. A group's score
    is the largest score in it (`max`, DeepSeek-V2, arXiv 2405.04434) or the sum
    of its two largest (`top2`, DeepSeek-V3, arXiv 2412.19437). The `keep` best
    groups stay; the scores of all other experts become -infinity; the `k` best
    experts of what results are chosen. A NaN makes the score of its group NaN,
    so that the group comes last.

    `groups` divides E, `keep * E / groups >= k`, and `top2` needs at least two
    experts in a group.

    ```mlir
    #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2>
    ```
  }];
  let parameters = (ins
    AttrParameter<"int64_t", "experts of a token">:$k,
    AttrParameter<"int64_t", "number of groups">:$groups,
    AttrParameter<"int64_t", "groups that stay">:$keep,
    Moe_EnumParameter<Moe_GroupReduce>:$reduce);
  let assemblyFormat = [{
    `<` $k `,` `groups` `=` $groups `,` `keep` `=` $keep `,` `reduce` `=` $reduce
    `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool fillsAllSlots(int64_t) const { return true; }
    bool supportsLanes() const { return true; }
    bool supportsRow() const { return true; }
  }];
}

//===----------------------------------------------------------------------===//
// Any number of experts, as a mask
//===----------------------------------------------------------------------===//

def Moe_FallbackOne : I32EnumAttrCase<"One", 0, "one">;
def Moe_FallbackScore : I32EnumAttrCase<"Score", 1, "score">;
def Moe_Fallback : I32EnumAttr<"Fallback", "weight of an expert fallen back to",
    [Moe_FallbackOne, Moe_FallbackScore]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}

/// Slot e is expert e or nothing: K is E.
class Moe_MaskPolicy<string cppName, string attrMnemonic, list<string> methods,
                     code declarations = "">
    : Moe_Policy<cppName, attrMnemonic, ["buildMaskLanes"] # methods> {
  let extraClassDeclaration = [{
    bool selectsByMask() const { return true; }
    bool supportsLanes() const { return true; }
  }] # declarations;
}

def Moe_TopAnyAttr : Moe_MaskPolicy<"TopAny", "top_any",
    ["verifyOperands", "buildMaskValue"], [{
      bool providesValues() const { return true; }
      bool fallsBackToBest() const { return getMinK() != 0; }
    }]> {
  let summary = "every expert whose score is above its threshold (DynMoE)";
  let description = [{
    Token t goes to expert e if `score[t, e] > threshold[e]`, strictly; a NaN on
    either side is above nothing. The k chosen experts have the weight 1 / k
    each. DynMoE's Top-Any gating (arXiv 2405.14297): scores are sigmoids of
    scaled cosines, thresholds sigmoids of scaled parameters, both computed before
    the router. An inactive expert has the score 0.

    A token that no score of is above its threshold goes nowhere with
    `min_k = 0` (as in DynMoE's training), and to its best expert with
    `min_k = 1`, with the weight 1 (`fallback = one`) or that expert's score
    (`fallback = score`, as DynMoE's port to Tutel does).

    Operands in `using`: the thresholds, `tensor<Exf32>`. K is E; slot e holds
    expert e or nothing.

    ```mlir
    #moe.top_any<min_k = 1>
    #moe.top_any<min_k = 1, fallback = score>
    ```
  }];
  let parameters = (ins
    AttrParameter<"int64_t", "experts that every token gets at least: 0 or 1">:$min_k,
    DefaultValuedParameter<Moe_EnumParameter<Moe_Fallback>.cppType,
                           "::moe::Fallback::One">:$fallback);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Moe_ThresholdAttr : Moe_MaskPolicy<"Threshold", "threshold", [], [{
      bool fallsBackToBest() const { return getMinK() != 0; }
      double getThreshold() const;
    }]> {
  let summary = "every expert whose score is above one number";
  let description = [{
    Token t goes to expert e if `score[t, e] > threshold`, strictly; NaN is above
    nothing. The kernel rounds the threshold to f32. With `min_k = 1` a token
    without such an expert goes to its best, with `min_k = 0` nowhere.
    The gate of retrieval as an expert (ExpertRAG, arXiv 2504.08744) is the form
    with one expert and 0.5. K is E; slot e holds expert e or nothing.

    ```mlir
    #moe.threshold<0.5, min_k = 0>
    ```
  }];
  let parameters = (ins
    Moe_F64Parameter<"what a score has to be above">:$value,
    AttrParameter<"int64_t", "experts that every token gets at least: 0 or 1">:$min_k);
  let assemblyFormat = "`<` custom<F64>($value) `,` `min_k` `=` $min_k `>`";
  let genVerifyDecl = 1;
  let genAccessors = 1;
}

def Moe_MinPAttr : Moe_MaskPolicy<"MinP", "min_p", ["buildMaskState"], [{
      bool fallsBackToBest() const { return true; }
      double getFraction() const;
    }]> {
  let summary = "every expert with at least a fraction of the largest score";
  let description = [{
    Token t goes to expert e if `score[t, e] >= p * max_j score[t, j]`: the rule
    of min-p sampling (arXiv 2407.01082) for experts. Scores are probabilities;
    0 <= p <= 1, rounded to f32 by the kernel, as is the product. A NaN score is
    not chosen and does not count for the maximum. A token goes to its best
    expert, in the order of all policies, if nothing is chosen: if all its scores
    are NaN, or the largest is below 0, or p is 0 and the largest infinite. K is
    E; slot e holds expert e or nothing.

    ```mlir
    #moe.min_p<0.25>
    ```
  }];
  let parameters = (ins Moe_F64Parameter<"fraction of the largest score">:$value);
  let assemblyFormat = "`<` custom<F64>($value) `>`";
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Lists, best first
//===----------------------------------------------------------------------===//

def Moe_TopPAttr : Moe_Policy<"TopP", "top_p", ["buildSelectLanes"]> {
  let summary = "the best experts until their scores sum to a threshold";
  let description = [{
    The experts in the order of all policies until the sum of their scores is
    enough: `strict = true` stops behind the first sum above `p`, `strict = false`
    behind the first one that reaches it. A token has at least one expert, and all
    E if the sum is never enough. Dynamic routing of arXiv 2403.07652, whose code
    compares strictly and uses 0.4, where the paper compares with `>=`.

    The kernel accumulates sums in f32 in slot order and rounds `p` to f32. Scores
    are probabilities. Of others: a sum that is NaN is enough, so that no slot
    behind a NaN is used, and slots stay unused even if a negative score brings
    the sum down again. K is E, best expert first.

    ```mlir
    #moe.top_p<0.4, strict = true>
    ```
  }];
  let parameters = (ins Moe_F64Parameter<"sum of scores that is enough">:$value,
                        AttrParameter<"bool", "stop above p, not at it">:$strict);
  let assemblyFormat = "`<` custom<F64>($value) `,` `strict` `=` $strict `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    double getP() const;
    bool supportsLanes() const { return true; }
  }];
}

def Moe_TokenKAttr : Moe_Policy<"TokenK", "token_k",
                                ["verifyOperands", "buildSelectLanes"]> {
  let summary = "the best experts of each token, as many as an operand says";
  let description = [{
    Token t goes to its `k[t]` best experts, best first; `k[t]` below 0 counts as
    0, above `max` as `max`. Operands in `using`: k, `tensor<Txi32>`. K is `max`.

    ```mlir
    #moe.token_k<8>
    ```
  }];
  let parameters = (ins AttrParameter<"int64_t", "largest number of experts of a token">:$max);
  let assemblyFormat = "`<` $max `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool isTokenOperand(unsigned i) const { return i == 0; }
    bool supportsLanes() const { return true; }
  }];
}

def Moe_SecondAll : I32EnumAttrCase<"All", 0, "all">;
def Moe_SecondNone : I32EnumAttrCase<"None", 1, "none">;
def Moe_SecondThreshold : I32EnumAttrCase<"Threshold", 2, "threshold">;
def Moe_SecondRandom : I32EnumAttrCase<"Random", 3, "random">;
def Moe_SecondExpert : I32EnumAttr<"SecondExpert", "when a token has a second expert",
    [Moe_SecondAll, Moe_SecondNone, Moe_SecondThreshold, Moe_SecondRandom]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}

def Moe_GShardAttr : Moe_Policy<"GShard", "gshard",
                                ["verifyOperands", "buildSelectLanes"]> {
  let summary = "the best two experts, the second on a condition (GShard, GLaM)";
  let description = [{
    e1 and e2 are the two best experts of a token, p1 and p2 their scores
    (probabilities), g1 = p1 / (p1 + p2) and g2 = p2 / (p1 + p2) their values.
    The second is used

    | `second` | if |
    |---|---|
    | `all` | always (GLaM, arXiv 2112.06905; inference) |
    | `none` | never |
    | `threshold` | `g2 > threshold` |
    | `random` | `u < 2 g2` (GShard, arXiv 2006.16668), or with a threshold `u < g2 / threshold` (Mesh-TensorFlow, 0.2) |

    `u` is uniform in [0, 1), one a token: the operand `tensor<Txf32>` in `using`
    of the form `random`. `raw` makes the random form compare p2 instead of g2
    (NLLB). g1 stays as it is if the second is not used. The capacity of the
    experts is `moe.routing.limit` behind the router. K is 2.

    ```mlir
    #moe.gshard<second = all>
    #moe.gshard<second = threshold, threshold = 0.2>
    #moe.gshard<second = random, raw = true>
    ```
  }];
  let parameters = (ins
    Moe_EnumParameter<Moe_SecondExpert>:$second,
    OptionalParameter<"::mlir::FloatAttr", "threshold of the second expert, f64">:$threshold,
    DefaultValuedParameter<"bool", "false">:$raw);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool isTokenOperand(unsigned i) const { return i == 0; }
    bool providesValues() const { return true; }
    bool supportsLanes() const { return true; }
  }];
}

def Moe_SparseMixerAttr : Moe_Policy<"SparseMixer", "sparse_mixer",
                                     ["buildSelectLanes"]> {
  let summary = "two rounds of the best expert, each against its near rivals";
  let description = [{
    SparseMixer-v2 as Phi-3.5-MoE runs it (arXiv 2409.12136), inference form.
    `score` holds the logits z. Round 1: m = max z; expert e is far if
    `(m - z_e) / max(|z_e|, m) > 2 eps`; e1 is the best expert and its value the
    softmax of z over the experts that are not far, at e1. Round 2: the same
    without e1, with m the maximum of the rest and far computed from the
    original z; e1 has no part in the softmax. K is 2.

    ```mlir
    #moe.sparse_mixer<eps = 0.01>
    ```
  }];
  let parameters = (ins Moe_F64Parameter<"router_jitter_noise">:$value);
  let assemblyFormat = "`<` `eps` `=` custom<F64>($value) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    double getEps() const;
    bool providesValues() const { return true; }
    bool fillsAllSlots(int64_t) const { return true; }
    bool supportsLanes() const { return true; }
  }];
}

def Moe_HashKindTable : I32EnumAttrCase<"Table", 0, "table">;
def Moe_HashKindMod : I32EnumAttrCase<"Mod", 1, "mod">;
def Moe_HashKind : I32EnumAttr<"HashKind", "how a token id becomes experts",
    [Moe_HashKindTable, Moe_HashKindMod]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}

def Moe_HashAttr : Moe_Policy<"Hash", "hash",
                              ["verifyOperands", "verifyConstants",
                               "buildChecks", "buildSelectLanes"]> {
  let summary = "experts by token id";
  let description = [{
    `table`: the experts of a token are the row of its id in a table (hash
    layers, arXiv 2106.04426; the first layers of DeepSeek-V4). Operands in
    `using`: the ids, `tensor<Txi32>`, and the table, `tensor<VxKxi32>` with K
    different experts a row. `mod`: the one expert is the id modulo E; ids alone.

    An id outside of [0, V), a negative id, and an expert outside of [0, E) in
    the table is an error at run time (of verification where it is constant). A
    hash uses no scores; with `weigh` the scores of the chosen are their values.

    ```mlir
    #moe.hash<table, 6>
    #moe.hash<mod, 1>
    ```
  }];
  let parameters = (ins Moe_EnumParameter<Moe_HashKind>:$kind,
                        AttrParameter<"int64_t", "experts of a token">:$k);
  let assemblyFormat = "`<` $kind `,` $k `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool isTokenOperand(unsigned i) const { return i == 0; }
    bool usesScores() const { return false; }
    bool fillsAllSlots(int64_t) const { return true; }
    bool supportsLanes() const { return true; }
  }];
}

def Moe_NearestCentroidAttr : Moe_Policy<"NearestCentroid", "nearest_centroid",
                                         ["buildSelectLanes"]> {
  let summary = "the experts whose centroids are most similar to the query";
  let description = [{
    The `n` experts with the largest similarity to a query, as in a mixture of
    document experts (MODE, arXiv 2509.00100). Scores are similarities of queries
    and centroids: cosines, dot products or negative squared distances
    (`moe.similarity`). The value of each is 1 / n, or with a temperature t the
    softmax of similarity / t over the chosen.

    ```mlir
    #moe.nearest_centroid<2>
    #moe.nearest_centroid<2, temperature = 0.1>
    ```
  }];
  let parameters = (ins AttrParameter<"int64_t", "experts of a query">:$n,
    OptionalParameter<"::mlir::FloatAttr", "temperature of the weights, f64">:$temperature);
  let assemblyFormat = "`<` $n (`,` `temperature` `=` $temperature^)? `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool providesValues() const { return true; }
    bool fillsAllSlots(int64_t) const { return true; }
    bool supportsLanes() const { return true; }
  }];
}

//===----------------------------------------------------------------------===//
// Choices that look at all tokens
//===----------------------------------------------------------------------===//

def Moe_ExpertChoiceAttr : Moe_Policy<"ExpertChoice", "expert_choice"> {
  let summary = "every expert takes its best tokens";
  let description = [{
    Each expert takes the C tokens with the largest scores in its column, in the
    order of all policies with tokens in the place of experts: of two equal
    scores the one of the lower token, NaN last (arXiv 2202.09368). Scores are
    softmaxes over the experts, and are the weights as well. C is `capacity`, or
    with a factor `round(T * factor / E)`, halves to even, at least 1; never more
    than T. A token may have 0 to E experts; K is E and slot e holds expert e or
    nothing. The choice depends on the whole batch: not for autoregressive
    decoding.

    ```mlir
    #moe.expert_choice<capacity = 64>
    #moe.expert_choice<factor = 2.0>
    ```
  }];
  let parameters = (ins
    DefaultValuedParameter<"int64_t", "0">:$capacity,
    OptionalParameter<"::mlir::FloatAttr", "capacity factor, f64">:$factor);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool selectsByMask() const { return true; }
    bool seesAllTokens() const { return true; }
    /// C for a number of tokens.
    int64_t getCapacityOf(int64_t tokens, int64_t experts) const;
  }];
}

def Moe_SinkhornAttr : Moe_Policy<"Sinkhorn", "sinkhorn"> {
  let summary = "the best experts of a balanced plan";
  let description = [{
    Selects the `k` largest entries of each row of a plan that spreads tokens
    evenly over experts, as Megatron-LM trains (S-BASE, arXiv 2202.01169).
    Scores are logits z; with c = exp(z), d1 = 1, each iteration sets
    `d0 = (1 / T) / (c d1 + 1e-8)`, `d1' = (1 / E) / (c^T d0 + 1e-8)`, until the
    mean of |d1 - d1'| is at most `tolerance` or after `iterations`; the plan is
    `d0 c d1`. Iterating stops at a NaN. A plan that has not converged after
    `iterations` is used as it is. Not for autoregressive decoding.

    ```mlir
    #moe.sinkhorn<1, tolerance = 1.0e-4, iterations = 1000>
    ```
  }];
  let parameters = (ins AttrParameter<"int64_t", "experts of a token">:$k,
                        Moe_F64Parameter<"error at which to stop">:$tol,
                        AttrParameter<"int64_t", "most iterations">:$iterations);
  let assemblyFormat = [{
    `<` $k `,` `tolerance` `=` custom<F64>($tol) `,` `iterations` `=` $iterations `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool seesAllTokens() const { return true; }
    bool fillsAllSlots(int64_t) const { return true; }
    double getTolerance() const;
  }];
}

#endif // MOE_ROUTERS_TD
