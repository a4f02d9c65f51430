//===- MoeSparseFormatInterfaces.td - Formats that store no zeros -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// In three parts: what numbers have to be (packers and decoders), and two ways to be
// sparse (kernels that form no products with zeros). Apart from MoeFormatInterfaces.td,
// which all that knows of weights depends on.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_SPARSE_FORMAT_INTERFACES_TD
#define MOE_SPARSE_FORMAT_INTERFACES_TD

include "moe/MoeFormatInterfaces.td"

def Moe_CheckedFormatAttrInterface : AttrInterface<"CheckedFormatAttrInterface",
    [Moe_WeightFormatAttrInterface]> {
  let cppNamespace = "::moe";
  let description = [{
    A format with fields of which some bits stand for nothing: they are refused where
    weights are packed or decoded, and made-up weights do not have them.
  }];
  let methods = [
    InterfaceMethod<"What bits of field `field` have to be", "::moe::FieldBits",
      "getFieldBits", (ins "int64_t":$k, "int64_t":$field)>
  ];
}

def Moe_SparseFormatAttrInterface : AttrInterface<"SparseFormatAttrInterface",
    [Moe_CheckedFormatAttrInterface]> {
  let cppNamespace = "::moe";
  let description = [{
    A format that stores two of each four consecutive k and where among them they
    are; the other two are zeros. A round is of four consecutive k, one after
    another. A kernel that can choose values of rows by lane forms two products for
    four k; others decode the zeros, too, which is what `buildValues` does.
  }];
  let methods = [
    InterfaceMethod<[{
        Builds the two values of a round, by ascending k, as f32, and the place of
        each among the four: an i32 whose two lowest bits count.
      }], "void", "buildStored",
      (ins "::moe::BlockReader &":$reader, "int64_t":$k, "::mlir::Value":$period,
           "::mlir::Value":$word,
           "::llvm::SmallVectorImpl<::mlir::Value> &":$values,
           "::llvm::SmallVectorImpl<::mlir::Value> &":$places)>,
    InterfaceMethod<[{
        Builds the two values of a round as bf16, the first in the lower half of an
        i32; null if they are stored as something else.
      }], "::mlir::Value", "buildStoredBF16",
      (ins "::moe::BlockReader &":$reader, "int64_t":$k, "::mlir::Value":$period,
           "::mlir::Value":$word)>
  ];
}

def Moe_ListedFormatAttrInterface : AttrInterface<"ListedFormatAttrInterface",
    [Moe_CheckedFormatAttrInterface]> {
  let cppNamespace = "::moe";
  let description = [{
    A format that stores, of rows that are one block each, some pieces of
    consecutive k, and a list of them that some rows share: kernels walk the list.
    The rest are zeros.
  }];
  let methods = [
    InterfaceMethod<"What pieces there are, and how many are stored",
      "::moe::ListForm", "getListForm", (ins "int64_t":$k)>,
    InterfaceMethod<[{
        Builds two consecutive values of piece `piece` of those that are stored, the
        first of them number 2 `pair`, as f32; both are indices.
      }], "void", "buildListed",
      (ins "::moe::BlockReader &":$reader, "int64_t":$k, "::mlir::Value":$piece,
           "::mlir::Value":$pair,
           "::llvm::SmallVectorImpl<::mlir::Value> &":$values)>,
    InterfaceMethod<[{
        Builds the same as bf16, the first in the lower half of an i32; null if they
        are stored as something else.
      }], "::mlir::Value", "buildListedBF16",
      (ins "::moe::BlockReader &":$reader, "int64_t":$k, "::mlir::Value":$piece,
           "::mlir::Value":$pair)>
  ];
}

#endif // MOE_SPARSE_FORMAT_INTERFACES_TD
