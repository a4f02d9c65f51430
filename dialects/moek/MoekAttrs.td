//===- MoekAttrs.td - Layouts of packed weights -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_ATTRS_TD
#define MOEK_ATTRS_TD

include "moek/MoekDialect.td"
include "mlir/IR/AttrTypeBase.td"

class Moek_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Moek_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def Moek_PanelsAttr : Moek_Attr<"Panels", "panels"> {
  let summary = "The packed layout of expert weights";
  let description = [{
    `[N, K]` weights become panels of `columns` output columns, K-major, `k_block`
    consecutive k of a column side by side (2 for pairs of bf16, 4 for bf16 that
    `mmla_bf16` multiplies). With
    `interleave = c`, a panel holds `c` columns of the first matrix and then the
    same `c` columns of the second (gate and up), so that an epilogue finds both
    in registers.
  }];
  let parameters = (ins "int64_t":$columns, "int64_t":$k_block,
                        "int64_t":$interleave);
  let assemblyFormat = [{
    `<` `columns` `=` $columns `,` `k_block` `=` $k_block `,` `interleave` `=`
    $interleave `>`
  }];
  let genVerifyDecl = 1;
}

#endif // MOEK_ATTRS_TD
