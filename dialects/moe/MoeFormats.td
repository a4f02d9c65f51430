//===- MoeFormats.td - Formats of weights, and the op that decodes -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One attribute for each format; the code of each is in a file of formats/.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_FORMATS_TD
#define MOE_FORMATS_TD

include "moe/MoeOpBase.td"
include "moe/MoeFormatInterfaces.td"

class Moe_Format<string cppName, string attrMnemonic, list<Trait> interfaces>
    : Moe_Attr<cppName, attrMnemonic, interfaces>;

/// A format that values are made of without integers.
class Moe_FloatFormat<string cppName, string attrMnemonic>
    : Moe_Format<cppName, attrMnemonic,
        [DeclareAttrInterfaceMethods<Moe_WeightFormatAttrInterface>]>;

/// A format of codes and scales.
class Moe_CodedFormat<string cppName, string attrMnemonic>
    : Moe_Format<cppName, attrMnemonic,
        [DeclareAttrInterfaceMethods<Moe_WeightFormatAttrInterface>,
         DeclareAttrInterfaceMethods<Moe_CodedFormatAttrInterface>]>;

def Moe_F16FormatAttr : Moe_FloatFormat<"F16Format", "f16"> {
  let summary = "16-bit floats";
  let description = [{
    `tensor<..xNxKxf16>`. GGUF files have it, and some checkpoints.

    ```mlir
    #moe.f16
    ```
  }];
}

def Moe_Q4_0FormatAttr : Moe_CodedFormat<"Q4_0Format", "q4_0"> {
  let summary = "blocks of 32 in 4 bits, one f16 scale";
  let description = [{
    18 bytes a block (GGUF's Q4_0): f16 d, then 16 bytes q. Byte j has element j in
    its low and element j + 16 in its high four bits; a weight is `d * (q - 8)`.

    ```mlir
    #moe.q4_0
    ```
  }];
}

def Moe_Q8_0FormatAttr : Moe_CodedFormat<"Q8_0Format", "q8_0"> {
  let summary = "blocks of 32 in 8 bits, one f16 scale";
  let description = [{
    34 bytes a block (GGUF's Q8_0): f16 d, then 32 bytes q with a sign; a weight is
    `d * q`.

    ```mlir
    #moe.q8_0
    ```
  }];
}

def Moe_Q4_KFormatAttr : Moe_CodedFormat<"Q4_KFormat", "q4_k"> {
  let summary = "blocks of 256 in 4 bits, with 6-bit scales and minima of 32";
  let description = [{
    144 bytes a block (GGUF's Q4_K): f16 d, f16 dmin, 12 bytes s, 128 bytes q.
    Sub-block i of 32 has the scale `d * sc[i]` and the minimum `dmin * m[i]`, six
    bits each in s; sub-blocks 2 j and 2 j + 1 are the low and the high four bits of
    the bytes from 32 j on; a weight is `d * sc * q - dmin * m`.

    ```mlir
    #moe.q4_k
    ```
  }];
}

def Moe_DequantizeOp : Moe_Op<"dequantize", [Pure]> {
  let summary = "Weights, from the tensors that they are stored in";
  let description = [{
    The values of a matrix `[N, K]`, or of one for each expert `[E, N, K]`, that is
    stored in `format`: f32, each the exact value rounded to nearest even. `storage`
    are the tensors that the format names, of rows of the matrix one after another.

    Kernels read weights as they are stored: an op whose result goes into experts is
    a name for how, and nothing is decoded before its values are multiplied.

    ```mlir
    // Blocks of a GGUF file, as bytes.
    func.func @weights(%blocks: tensor<8x64x4x18xi8>) -> tensor<8x64x128xf32> {
      %w = moe.dequantize #moe.q4_0 (%blocks : tensor<8x64x4x18xi8>)
          : tensor<8x64x128xf32>
      return %w : tensor<8x64x128xf32>
    }
    ```
  }];
  let arguments = (ins Moe_WeightFormatAttrInterface:$format,
                       Variadic<AnyStaticShapeTensor>:$storage);
  let results = (outs AnyStaticShapeTensor:$weights);
  let assemblyFormat = [{
    $format `(` $storage `:` type($storage) `)` attr-dict `:` type($weights)
  }];
}

#endif // MOE_FORMATS_TD
