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

class Moe_Policy<string cppName, string attrMnemonic>
    : Moe_Attr<cppName, attrMnemonic,
        [DeclareAttrInterfaceMethods<Moe_SelectionPolicyAttrInterface>]>;

def Moe_TopKAttr : Moe_Policy<"TopK", "top_k"> {
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
  let extraClassDeclaration = "bool selectsByOrder() const { return true; }";
}

def Moe_GroupReduceMax : I32EnumAttrCase<"Max", 0, "max">;
def Moe_GroupReduceTop2 : I32EnumAttrCase<"Top2", 1, "top2">;
def Moe_GroupReduce : I32EnumAttr<"GroupReduce", "score of a group of experts",
    [Moe_GroupReduceMax, Moe_GroupReduceTop2]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}

def Moe_GroupTopKAttr : Moe_Policy<"GroupTopK", "group_top_k"> {
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
}

#endif // MOE_ROUTERS_TD
