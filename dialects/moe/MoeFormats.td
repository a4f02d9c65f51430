//===- MoeFormats.td - Formats of weights, and the op that decodes -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One attribute for each format; the code of each is in a file of formats/, and the
// interpreter's in lib/Reference/Formats.cpp.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_FORMATS_TD
#define MOE_FORMATS_TD

include "moe/MoeOpBase.td"
include "moe/MoeFormatInterfaces.td"

/// A format that values are made of without integers; `own` are the methods of the
/// interface that it has beside `buildValues` and those that all have.
class Moe_FloatFormat<string cppName, string attrMnemonic, list<string> own = [],
                      list<Trait> more = []>
    : Moe_Attr<cppName, attrMnemonic,
        !listconcat([DeclareAttrInterfaceMethods<Moe_WeightFormatAttrInterface,
                         !listconcat(own, ["buildValues"])>], more)>;

/// A format of codes and scales.
class Moe_CodedFormat<string cppName, string attrMnemonic, list<string> own = [],
                      list<Trait> more = []>
    : Moe_Attr<cppName, attrMnemonic,
        !listconcat([DeclareAttrInterfaceMethods<Moe_WeightFormatAttrInterface, own>,
                     DeclareAttrInterfaceMethods<Moe_CodedFormatAttrInterface>], more)>;

/// Of floats whose bits are stored.
def Moe_FloatBits : DeclareAttrInterfaceMethods<Moe_FloatCodedFormatAttrInterface>;

//===----------------------------------------------------------------------===//
// Blocks of GGUF files
//===----------------------------------------------------------------------===//

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

def Moe_Q4_1FormatAttr : Moe_CodedFormat<"Q4_1Format", "q4_1"> {
  let summary = "blocks of 32 in 4 bits, f16 scale and minimum";
  let description = [{
    20 bytes a block (GGUF's Q4_1): f16 d, f16 m, then 16 bytes q as in `q4_0`; a
    weight is `d * q + m`.

    ```mlir
    #moe.q4_1
    ```
  }];
}

def Moe_Q5_0FormatAttr : Moe_CodedFormat<"Q5_0Format", "q5_0"> {
  let summary = "blocks of 32 in 5 bits, one f16 scale";
  let description = [{
    22 bytes a block (GGUF's Q5_0): f16 d, 4 bytes qh, 16 bytes ql. Of q, ql has the
    low four bits as in `q4_0`, and the 32-bit word qh the fifth: bit k that of
    element k. A weight is `d * (q - 16)`.

    ```mlir
    #moe.q5_0
    ```
  }];
}

def Moe_Q5_1FormatAttr : Moe_CodedFormat<"Q5_1Format", "q5_1"> {
  let summary = "blocks of 32 in 5 bits, f16 scale and minimum";
  let description = [{
    24 bytes a block (GGUF's Q5_1): f16 d, f16 m, then q as in `q5_0`; a weight is
    `d * q + m`.

    ```mlir
    #moe.q5_1
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

def Moe_Q2_KFormatAttr : Moe_CodedFormat<"Q2_KFormat", "q2_k"> {
  let summary = "blocks of 256 in 2 bits, with 4-bit scales and minima of 16";
  let description = [{
    84 bytes a block (GGUF's Q2_K): 16 bytes s, 64 bytes q, f16 d, f16 dmin. Byte i
    of s has the scale of sub-block i of 16 in its low and its minimum in its high
    four bits. Element 128 h + 32 j + l is bits 2 j and 2 j + 1 of byte 32 h + l; a
    weight is `d * scale * q - dmin * minimum`.

    ```mlir
    #moe.q2_k
    ```
  }];
}

def Moe_Q3_KFormatAttr : Moe_CodedFormat<"Q3_KFormat", "q3_k"> {
  let summary = "blocks of 256 in 3 bits, with 6-bit scales of 16";
  let description = [{
    110 bytes a block (GGUF's Q3_K): 32 bytes hmask, 64 bytes q, 12 bytes s, f16 d.
    q has the low two bits as in `q2_k`, and bit 4 h + j of byte l of hmask is the
    third. Of scale i, s has the low four bits in half i / 8 of byte i % 8, and two
    more in byte 8 + i % 4; a weight is `d * (scale - 32) * (q - 4)`.

    ```mlir
    #moe.q3_k
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

def Moe_Q5_KFormatAttr : Moe_CodedFormat<"Q5_KFormat", "q5_k"> {
  let summary = "blocks of 256 in 5 bits, with 6-bit scales and minima of 32";
  let description = [{
    176 bytes a block (GGUF's Q5_K): f16 d, f16 dmin, 12 bytes s, 32 bytes qh, 128
    bytes ql. As `q4_k`, with a fifth bit of the code: bit i of byte l of qh is that
    of element 32 i + l.

    ```mlir
    #moe.q5_k
    ```
  }];
}

def Moe_Q6_KFormatAttr : Moe_CodedFormat<"Q6_KFormat", "q6_k"> {
  let summary = "blocks of 256 in 6 bits, with 8-bit scales of 16";
  let description = [{
    210 bytes a block (GGUF's Q6_K): 128 bytes ql, 64 bytes qh, 16 bytes sc with a
    sign, f16 d. Each half has four rows of 32 elements: the first two are the low
    four bits of its bytes of ql, the others the high ones, and row r has bits 2 r
    and 2 r + 1 of its bytes of qh above them. A weight is `d * sc * (q - 32)`.

    ```mlir
    #moe.q6_k
    ```
  }];
}

def Moe_IQ4_NLFormatAttr : Moe_CodedFormat<"IQ4_NLFormat", "iq4_nl"> {
  let summary = "blocks of 32 in 4 bits, by a table";
  let description = [{
    18 bytes a block (GGUF's IQ4_NL), as `q4_0`; a weight is `d * table[q]` with a
    table of 16 numbers from -127 to 113.

    ```mlir
    #moe.iq4_nl
    ```
  }];
}

def Moe_IQ4_XSFormatAttr : Moe_CodedFormat<"IQ4_XSFormat", "iq4_xs"> {
  let summary = "blocks of 256 in 4 bits, by a table, with 6-bit scales of 32";
  let description = [{
    136 bytes a block (GGUF's IQ4_XS): f16 d, 2 bytes sh, 4 bytes sl, 128 bytes q.
    Scale i of sub-block i of 32 has its low four bits in sl, bits 4 i and on, and
    two more in sh, bits 2 i and on. Sub-blocks have 16 bytes each as in `q4_0`; a
    weight is `d * (scale - 32) * table[q]` with the table of `iq4_nl`.

    ```mlir
    #moe.iq4_xs
    ```
  }];
}

def Moe_IQ2_XXSFormatAttr : Moe_CodedFormat<"IQ2_XXSFormat", "iq2_xxs"> {
  let summary = "blocks of 256 by a grid of 256 groups of 8, with 4-bit scales of 32";
  let description = [{
    66 bytes a block (GGUF's IQ2_XXS): f16 d, then for each sub-block of 32 four bytes
    i and a word. Byte i says which of 256 groups of magnitudes 8, 25 and 43 the next
    eight elements have; seven bits of the word, from its lowest on, the signs of
    the first seven of them, and the eighth makes an even number of minuses. The four
    bits on top are s; a weight is `d * (s + 0.5) / 4` times magnitude and sign.

    ```mlir
    #moe.iq2_xxs
    ```
  }];
}

def Moe_IQ2_XSFormatAttr : Moe_CodedFormat<"IQ2_XSFormat", "iq2_xs"> {
  let summary = "blocks of 256 by a grid of 512 groups of 8, with 4-bit scales of 16";
  let description = [{
    74 bytes a block (GGUF's IQ2_XS): f16 d, 32 times 16 bits q, 8 bytes s. Of the bits
    for eight elements, nine say which of 512 groups they are, and seven on top
    signs as in `iq2_xxs`. Scales of 16 are four bits of s each, the low ones first;
    a weight is `d * (s + 0.5) / 4` times magnitude and sign.

    ```mlir
    #moe.iq2_xs
    ```
  }];
}

def Moe_IQ2_SFormatAttr : Moe_CodedFormat<"IQ2_SFormat", "iq2_s"> {
  let summary = "blocks of 256 by a grid of 1024 groups of 8, with 4-bit scales of 16";
  let description = [{
    82 bytes a block (GGUF's IQ2_S): f16 d, 32 bytes q, 32 bytes of signs, 8 bytes qh,
    8 bytes s. A byte of q, with two bits of qh on top, says which of 1024 groups eight
    elements are, and a byte which of them have a minus; scales as in `iq2_xs`.

    ```mlir
    #moe.iq2_s
    ```
  }];
}

def Moe_IQ3_XXSFormatAttr : Moe_CodedFormat<"IQ3_XXSFormat", "iq3_xxs"> {
  let summary = "blocks of 256 by a grid of 256 groups of 4, with 4-bit scales of 32";
  let description = [{
    98 bytes a block (GGUF's IQ3_XXS): f16 d, 64 bytes q, 8 words. A byte of q says
    which of 256 groups of magnitudes 4, 12, 20, 28, 36, 44, 52 and 62 four elements
    are; a word has the signs and s of 32 as in `iq2_xxs`. A weight is
    `d * (s + 0.5) / 2` times magnitude and sign.

    ```mlir
    #moe.iq3_xxs
    ```
  }];
}

def Moe_IQ3_SFormatAttr : Moe_CodedFormat<"IQ3_SFormat", "iq3_s"> {
  let summary = "blocks of 256 by a grid of 512 groups of 4, with 4-bit scales of 32";
  let description = [{
    110 bytes a block (GGUF's IQ3_S): f16 d, 64 bytes q, 8 bytes qh, 32 bytes of signs,
    4 bytes s. A byte of q, with a bit of qh on top, says which of 512 groups of odd
    magnitudes up to 15 four elements are; signs as in `iq2_s`. A weight is
    `d * (2 s + 1)` times magnitude and sign.

    ```mlir
    #moe.iq3_s
    ```
  }];
}

def Moe_MXFP4BlocksFormatAttr
    : Moe_CodedFormat<"MXFP4BlocksFormat", "mxfp4_blocks", ["buildValues"], [Moe_FloatBits]> {
  let summary = "blocks of 32 in E2M1, one E8M0 scale, in one tensor";
  let description = [{
    17 bytes a block (GGUF's MXFP4): 1 byte e, then 16 bytes q as in `q4_0`. A weight
    is `2^(e - 127)` times q as a float of 4 bits: 0, 0.5, 1, 1.5, 2, 3, 4 and 6, and
    from 8 on those with a minus. All of a block with e = 255 are NaN.

    ```mlir
    #moe.mxfp4_blocks
    ```
  }];
}

def Moe_NVFP4FormatAttr : Moe_CodedFormat<"NVFP4Format", "nvfp4", [], [Moe_FloatBits]> {
  let summary = "blocks of 64 in E2M1, with E4M3 scales of 16";
  let description = [{
    36 bytes a block (GGUF's NVFP4): 4 bytes d, E4M3 without a sign, then for each
    sub-block of 16 another 8 bytes, of which byte j has element j in its low and
    element j + 8 in its high four bits. A weight is d times q as in `mxfp4`; what
    scales the whole tensor is applied elsewhere.

    ```mlir
    #moe.nvfp4
    ```
  }];
}

def Moe_TQ1_0FormatAttr : Moe_CodedFormat<"TQ1_0Format", "tq1_0"> {
  let summary = "blocks of 256 of -1, 0 and 1, five in a byte";
  let description = [{
    54 bytes a block (GGUF's TQ1_0): 48 bytes q, 4 bytes qh, f16 d. A byte is a
    fraction of 256 in base 3, rounded up, whose digits are elements: digit n of
    byte j of q is element 32 n + j for j < 32, and 160 + 16 n + j - 32 beyond;
    digit n of byte j of qh, of which there are four, is element 240 + 4 n + j.
    A weight is `d * (digit - 1)`.

    ```mlir
    #moe.tq1_0
    ```
  }];
}

def Moe_TQ2_0FormatAttr : Moe_CodedFormat<"TQ2_0Format", "tq2_0"> {
  let summary = "blocks of 256 of -1, 0 and 1, four in a byte";
  let description = [{
    66 bytes a block (GGUF's TQ2_0): 64 bytes q, f16 d. Element 128 h + 32 j + l is
    bits 2 j and 2 j + 1 of byte 32 h + l; a weight is `d * (q - 1)`.

    ```mlir
    #moe.tq2_0
    ```
  }];
}

//===----------------------------------------------------------------------===//
// Tensors of other checkpoints
//===----------------------------------------------------------------------===//

def Moe_F16FormatAttr : Moe_FloatFormat<"F16Format", "f16", ["getStorage"]> {
  let summary = "16-bit floats";
  let description = [{
    `tensor<..xNxKxf16>`. GGUF files have it, and some checkpoints.

    ```mlir
    #moe.f16
    ```
  }];
}

def Moe_FP8FormatAttr
    : Moe_FloatFormat<"FP8Format", "fp8", ["verifyFormat", "getStorage"], [Moe_FloatBits]> {
  let summary = "8-bit floats, E4M3, with a scale for each tile";
  let description = [{
    Two tensors: values `tensor<..xNxKxf8E4M3FN>` and f32 scales, one for each tile of
    `rows` and `columns`, of which those at the edges may be smaller: `[ceil(N / rows),
    ceil(K / columns)]`. With 0 columns, a tile has whole rows: `[ceil(N / rows)]`. A
    weight is the value times the scale, which checkpoints call `weight_scale_inv`
    all the same. With `exponents`, scales are bytes e that stand for `2^(e - 127)`,
    as where a checkpoint says `ue8m0`: tensors of i8.

    ```mlir
    #moe.fp8
    #moe.fp8<rows = 1, columns = 0>
    #moe.fp8<exponents = true>
    ```
  }];
  let parameters = (ins DefaultValuedParameter<"int64_t", "128">:$rows,
                        DefaultValuedParameter<"int64_t", "128">:$columns,
                        DefaultValuedParameter<"bool", "false">:$exponents);
  let assemblyFormat = "(`<` struct(params)^ `>`)?";
  let genVerifyDecl = 1;
}

def Moe_Int8FormatAttr
    : Moe_CodedFormat<"Int8Format", "int8", ["verifyFormat", "getStorage"]> {
  let summary = "8 bits, one f32 scale for each row";
  let description = [{
    Two tensors: codes with a sign, `tensor<..xNxKxi8>`, and scales,
    `tensor<..xNxf32>`, with K a multiple of 32; a weight is `scale * q`.

    ```mlir
    #moe.int8
    ```
  }];
}

def Moe_Int4Order : I32EnumAttr<"Int4Order", "where files have numbers of 4 bits", [
    I32EnumAttrCase<"Rows", 0, "rows">,
    I32EnumAttrCase<"PackQuantized", 1, "pack_quantized">,
    I32EnumAttrCase<"AWQ", 2, "awq">,
    I32EnumAttrCase<"GPTQ", 3, "gptq">,
    I32EnumAttrCase<"GPTQv2", 4, "gptq_v2">,
    I32EnumAttrCase<"HQQ", 5, "hqq">]> {
  let cppNamespace = "::moe";
}

def Moe_Int4FormatAttr : Moe_CodedFormat<"Int4Format", "int4", ["getStorage"]> {
  let summary = "4 bits, with a scale for each group of a row";
  let description = [{
    Two tensors or three: codes q; scales, one for each `group` of consecutive k, a
    multiple of 32, of the type that `scales` says: f16, bf16 or f32; and with `zeros`
    as many zeros. A weight is `scale * (q - 8)`, or with zeros `scale * q -
    scale * zero`, the last product in f32. Where they are is what `order` says:

    | order | q | scales | zeros |
    |---|---|---|---|
    | `rows` | `NxK/2` i8: byte j has element 2 j in its low, 2 j + 1 in its high bits | `NxK/group` | as scales |
    | `pack_quantized` | the same bytes, `NxK/8` i32 | `NxK/group` | `N/8xK/group` i32: bits 4 i on of a word are row i of its 8 |
    | `awq` | `KxN/8` i32: bits 4 i on are row 0, 2, 4, 6, 1, 3, 5, 7 of 8 for i from 0 on | `K/groupxN` | `K/groupxN/8` i32, as q |
    | `gptq` | `K/8xN` i32: bits 4 i on are k = i of 8 | `K/groupxN` | `K/groupxN/8` i32: bits 4 i on are row i of 8, less 1 |
    | `gptq_v2` | as `gptq` | as `gptq` | as `gptq`, not less 1 |
    | `hqq` | `N/2xK` i8: byte j has element j of row n in its high, of row n + N/2 in its low bits | `NxK/group` | as scales |

    All but the first two have zeros. The dimensions may be joined or taken apart, as
    hqq's `(N*K/group/2)xgroup`. GPTQ with an order of activations (`g_idx` that is not
    k / group) has groups that are not consecutive k: sort k by it, in the weights and
    in the rows that they multiply, before.

    ```mlir
    #moe.int4<group = 128, scales = f16>
    #moe.int4<group = 32, scales = bf16, zeros = true>
    #moe.int4<group = 128, scales = f16, zeros = true, order = awq>
    ```
  }];
  let parameters = (ins "int64_t":$group, "::mlir::Type":$scales,
                        DefaultValuedParameter<"bool", "false">:$zeros,
                        DefaultValuedParameter<"::moe::Int4Order",
                                               "::moe::Int4Order::Rows">:$order);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Moe_MXFP4FormatAttr : Moe_CodedFormat<"MXFP4Format", "mxfp4",
                                          ["getStorage", "buildValues"],
                                          [Moe_FloatBits]> {
  let summary = "blocks of 32 in E2M1, one E8M0 scale, in two tensors";
  let description = [{
    As Hugging Face checkpoints have it: blocks `tensor<..xNx(K/32)x16xi8>`, byte j with
    element 2 j in its low and element 2 j + 1 in its high four bits, and scales
    `tensor<..xNx(K/32)xi8>`. The same numbers as `mxfp4_blocks`.

    ```mlir
    #moe.mxfp4
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
