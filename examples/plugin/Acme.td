//===- Acme.td - A dialect of policies, a format and experts -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The policies and the format of weights are attributes like those of the moe
// dialect, in a dialect and a project of its own: a policy for a token at a time,
// one for a vector of them. The experts are an op, which becomes a `moe.expert`.
//
//===----------------------------------------------------------------------===//

#ifndef ACME_TD
#define ACME_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/DialectBase.td"
include "moe/MoeFormatInterfaces.td"
include "moe/MoeInterfaces.td"
include "moe/MoeTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "moe-mlir/Reference/ReferenceInterfaces.td"

def Acme_Dialect : Dialect {
  let name = "acme";
  let cppNamespace = "::acme";
  let useDefaultAttributePrinterParser = 1;
}

def Acme_EveryNthAttr : AttrDef<Acme_Dialect, "EveryNth",
    [DeclareAttrInterfaceMethods<Moe_SelectionPolicyAttrInterface, ["buildSelect"]>,
     DeclareAttrInterfaceMethods<ReferencePolicyAttrInterface, ["select"]>]> {
  let mnemonic = "every_nth";
  let summary = "the K best of every n-th expert";
  let description = [{
    Only the experts 0, n, 2n, ... take part, for example because the others
    live on another machine. Among them the K with the largest scores win.

    ```mlir
    #acme.every_nth<4, k = 2>
    ```
  }];
  let parameters = (ins AttrParameter<"int64_t", "distance of experts">:$n,
                        AttrParameter<"int64_t", "experts of a token">:$k);
  let assemblyFormat = "`<` $n `,` `k` `=` $k `>`";
  let genVerifyDecl = 1;
}

def Acme_RunnersUpAttr : AttrDef<Acme_Dialect, "RunnersUp",
    [DeclareAttrInterfaceMethods<Moe_SelectionPolicyAttrInterface, ["buildSelectLanes"]>,
     DeclareAttrInterfaceMethods<ReferencePolicyAttrInterface, ["select"]>]> {
  let mnemonic = "runners_up";
  let summary = "the K experts behind the best";
  let description = [{
    Where all tokens' best experts run elsewhere, a token goes to the K next.

    ```mlir
    #acme.runners_up<2>
    ```
  }];
  let parameters = (ins AttrParameter<"int64_t", "experts of a token">:$k);
  let assemblyFormat = "`<` $k `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool supportsLanes() const { return true; }
    bool fillsAllSlots(int64_t) const { return true; }
  }];
}

def Acme_Log3Attr : AttrDef<Acme_Dialect, "Log3",
    [DeclareAttrInterfaceMethods<Moe_WeightFormatAttrInterface, ["buildValues"]>]> {
  let mnemonic = "log3";
  let summary = "weights in 3 bits: a sign and a power of two";
  let description = [{
    14 bytes a block of 32: f16 d, 4 bytes of signs, 8 bytes e. Element k is d,
    halved as many times as bits 2 k and 2 k + 1 of e say, and less than zero where
    bit k of the signs is set.

    ```mlir
    #acme.log3
    ```
  }];
}

def Acme_LowRankOp : Op<Acme_Dialect, "low_rank", [Pure]> {
  let summary = "experts that are products of two thin matrices";
  let description = [{
    Row r of expert e becomes `up[e] (down[e] r)`, with `down` `[E, R, H]` and `up`
    `[E, N, R]`: E adapters (LoRA, arXiv 2106.09685) behind one router.
    `acme-expand-low-rank` writes it as a `moe.expert`.

    ```mlir
    func.func @adapters(%rows: tensor<?x64xf32>, %r: !moe.routing<8 x 2>,
        %a: tensor<8x4x64xf32>, %b: tensor<8x64x4xf32>) -> tensor<?x64xf32> {
      %y = acme.low_rank %rows by %r down(%a) up(%b)
          : (tensor<?x64xf32>, !moe.routing<8 x 2>, tensor<8x4x64xf32>, tensor<8x64x4xf32>)
            -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$rows, Moe_RoutingType:$routing,
                       3DTensorOf<[F32, BF16]>:$down,
                       3DTensorOf<[F32, BF16]>:$up);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $rows `by` $routing `down` `(` $down `)` `up` `(` $up `)` attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // ACME_TD
