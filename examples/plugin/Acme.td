//===- Acme.td - A dialect with one selection policy -------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The policy is an attribute like those of the moe dialect, in a dialect and a
// project of its own.
//
//===----------------------------------------------------------------------===//

#ifndef ACME_TD
#define ACME_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/DialectBase.td"
include "moe/MoeInterfaces.td"
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

#endif // ACME_TD
