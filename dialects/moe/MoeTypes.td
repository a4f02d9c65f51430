//===- MoeTypes.td - Types of the moe dialect ---------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// `!moe.routing`, the one value that connects the ops of a layer.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TYPES_TD
#define MOE_TYPES_TD

include "mlir/IR/AttrTypeBase.td"
include "moe/MoeDialect.td"

def Moe_RoutingType : TypeDef<Moe_Dialect, "Routing"> {
  let mnemonic = "routing";
  let summary = "routing, a ragged list of assignments (token, expert, weight)";
  let description = [{
    `!moe.routing<E x K>` is the decision of a router for a batch of tokens: a
    list of *assignments*, each a token, one of `E` experts and a weight, with
    at most `K` assignments per token. An assignment also remembers its *slot*
    (0 to K-1, best first), which fixes the order of the sums in
    `moe.combine`.

    The list is in *canonical order*: by expert, then by token, then by slot.
    Dropped tokens and tokens that no expert wants are simply not in it, so
    capacity limits and routers with a dynamic number of experts per token need
    no other type. The number of tokens is a property of the value, not of the
    type: see `moe.routing.num_tokens`.

    Both sizes are static: `1 <= K <= E`.

    ```mlir
    !moe.routing<128 x 8>
    ```
  }];
  let parameters = (ins
    AttrOrTypeParameter<"int64_t", "number of experts, E">:$experts,
    AttrOrTypeParameter<"int64_t", "most assignments of one token, K">:$slots);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // MOE_TYPES_TD
