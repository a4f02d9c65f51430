//===- EncodingInterface.td - From values to a format ------*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The way back of what formats decode. Apart from the formats themselves, which
// kernels need, and from their models in the interpreter, which decode here,
// too: what is written is judged by somebody else's decoder.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_QUANTIZE_ENCODINGINTERFACE
#define MOE_MLIR_QUANTIZE_ENCODINGINTERFACE

include "mlir/IR/OpBase.td"

def EncodingAttrInterface : AttrInterface<"EncodingAttrInterface"> {
  let cppNamespace = "::moe::quantize";
  let description = [{
    A format of weights that values can be converted to. Whoever calls checks
    that the values are finite before, and what they became behind.
  }];
  let methods = [
    InterfaceMethod<[{
      Writes the numbers of some rows: all that share elements of storage, so as
      many as the largest `rows` of `WeightFormatAttrInterface::getStorage`.
      `storage` are the tensors of the whole matrix in the order of the op's
      operands. May be called for different rows at once.
    }], "void", "encodeRows",
    (ins "const ::moe::quantize::RowValues &":$rows,
         "::llvm::ArrayRef<::moe::quantize::StorageRows>":$storage)>
  ];
}

#endif // MOE_MLIR_QUANTIZE_ENCODINGINTERFACE
