//===- MoeSparseFormats.td - Formats of weights that store no zeros -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Declared in SparseFormats.h, for the few that ask for them by name.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_SPARSE_FORMATS_TD
#define MOE_SPARSE_FORMATS_TD

include "mlir/IR/AttrTypeBase.td"
include "moe/MoeDialect.td"
include "moe/MoeSparseFormatInterfaces.td"

/// A format that is sparse as `interface` says; `own` are the methods of
/// WeightFormatAttrInterface that it has beside those that all have.
class Moe_SparseFormat<string cppName, string attrMnemonic, AttrInterface interface,
                       list<string> own>
    : AttrDef<Moe_Dialect, cppName,
        [DeclareAttrInterfaceMethods<Moe_WeightFormatAttrInterface, own>,
         DeclareAttrInterfaceMethods<Moe_CheckedFormatAttrInterface>,
         DeclareAttrInterfaceMethods<interface>]> {
  let mnemonic = attrMnemonic;
}

def Moe_Sparse24FormatAttr
    : Moe_SparseFormat<"Sparse24Format", "sparse24", Moe_SparseFormatAttrInterface,
                       ["getStorage", "buildValues"]> {
  let summary = "two of each four consecutive weights; the others are zeros";
  let description = [{
    Two tensors, K a multiple of 32: values `tensor<..xNx(K/2)>` of f32, bf16 or f16,
    the two of each four consecutive k by ascending k, and their places among the
    four, `tensor<..xNx(K/8)xi8>`: byte j has those of k = 8 j to 8 j + 3 in its low
    and those of the next four in its high four bits, the place of the first value in
    the lower two of them. The second place is behind the first one: other bits are an
    error where weights are packed or decoded. A value that is stored may be 0.

    0.5625 times the bytes of bf16 or f16, 0.53125 times those of f32. What is not
    stored is not multiplied where a kernel chooses values of rows: an infinity or NaN
    in a row then reaches only columns that have a weight for it.

    ```mlir
    #moe.sparse24<bf16>
    ```
  }];
  let parameters = (ins "::mlir::Type":$values);
  let assemblyFormat = "`<` $values `>`";
  let genVerifyDecl = 1;
}

def Moe_SparseBlocksFormatAttr
    : Moe_SparseFormat<"SparseBlocksFormat", "sparse_blocks",
                       Moe_ListedFormatAttrInterface,
                       ["verifyFormat", "getStorage", "buildValues"]> {
  let summary = "some blocks of 16 rows and some columns; the others are zeros";
  let description = [{
    Of each 16 rows `kept` blocks of `columns` consecutive k are stored, `columns` a
    multiple of 8 and K one of 32, in two tensors: values `tensor<..xNx(kept * columns)>` of f32, bf16 or
    f16, for each row those of its blocks one after another, and blocks
    `tensor<..xceil(N/16)xkeptxi32>`, the number of each of them, k / `columns`, ascending.
    Other numbers are an error where weights are packed or decoded. A block that is stored
    may be zeros.

    `kept * columns / K` times the bytes, and 4 bytes a block. What is not stored is not
    multiplied: an infinity or NaN in a row reaches only rows of weights with a block for
    it. All 16 rows have as many blocks, so that threads and panels have as much to do.

    ```mlir
    #moe.sparse_blocks<values = bf16, kept = 16>
    #moe.sparse_blocks<values = f32, kept = 32, columns = 16>
    ```
  }];
  let parameters = (ins "::mlir::Type":$values, "int64_t":$kept,
                        DefaultValuedParameter<"int64_t", "32">:$columns);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Rows of a block: the columns of one part in a panel.
    static constexpr int64_t kRows = 16;
  }];
}

#endif // MOE_SPARSE_FORMATS_TD
