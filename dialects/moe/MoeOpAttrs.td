//===- MoeOpAttrs.td - Options of ops of the moe dialect ----*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Enumerations that ops have as attributes.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_OP_ATTRS_TD
#define MOE_OP_ATTRS_TD

include "mlir/IR/EnumAttr.td"
include "moe/MoeDialect.td"

def Moe_Rounding : I32EnumAttr<"Rounding", "how a capacity becomes an integer", [
    I32EnumAttrCase<"Ceil", 0, "ceil">,
    I32EnumAttrCase<"Floor", 1, "floor">,
    I32EnumAttrCase<"Nearest", 2, "nearest">]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}
def Moe_RoundingAttr : EnumAttr<Moe_Dialect, Moe_Rounding, "rounding"> {
  let description = [{
    `nearest` rounds halves to even.
  }];
  let assemblyFormat = "$value";
}

def Moe_Drop : I32EnumAttr<"Drop", "which assignments a full expert drops", [
    I32EnumAttrCase<"Position", 0, "position">,
    I32EnumAttrCase<"BatchPriority", 1, "batch_priority">,
    I32EnumAttrCase<"Probability", 2, "probability">]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}
def Moe_DropAttr : EnumAttr<Moe_Dialect, Moe_Drop, "drop"> {
  let description = [{
    See `moe.routing.limit`.
  }];
  let assemblyFormat = "$value";
}

def Moe_SimilarityMetric : I32EnumAttr<"SimilarityMetric", "similarity of two vectors", [
    I32EnumAttrCase<"Cosine", 0, "cosine">,
    I32EnumAttrCase<"Dot", 1, "dot">,
    I32EnumAttrCase<"L2", 2, "l2">]> {
  let cppNamespace = "::moe";
  let genSpecializedAttr = 0;
}
def Moe_SimilarityMetricAttr : EnumAttr<Moe_Dialect, Moe_SimilarityMetric, "metric"> {
  let description = [{
    See `moe.similarity`.
  }];
  let assemblyFormat = "$value";
}

#endif // MOE_OP_ATTRS_TD
