//===- MoeFormatInterfaces.td - What a weight format says of itself -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// In five parts, each asked by somebody else: storage (verifiers, packers), rounds
// and values (kernels of any kind), codes (kernels of integer products), small floats
// (kernels whose products are of floats of 16 bits). A format says nothing about how kernels want weights: that is a layout of the target.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_FORMAT_INTERFACES_TD
#define MOE_FORMAT_INTERFACES_TD

include "mlir/IR/OpBase.td"

def Moe_WeightFormatAttrInterface : AttrInterface<"WeightFormatAttrInterface"> {
  let cppNamespace = "::moe";
  let description = [{
    How a matrix of weights `[N, K]` is stored in fewer bytes than its values have:
    in blocks of some consecutive k of one row, each with numbers of its own
    (codes, scales, ...). Every method gets K.

    A block is decoded in *rounds*, so that kernels need no more code than one round
    of them: `periods` times `words` of it, by ascending k. Builders make `arith` ops
    on scalars or vectors alike, whatever the reader of the block returns: a lane is
    a row of weights.
  }];
  let methods = [
    InterfaceMethod<"Checks that rows of `k` weights can be stored so",
      "::llvm::LogicalResult", "verifyFormat",
      (ins "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError,
           "int64_t":$k), /*methodBody=*/"", /*defaultImplementation=*/[{
        return ::moe::verifyBlocks(emitError, $_attr, k);
      }]>,
    InterfaceMethod<"Consecutive k of a row that are stored together; a divisor of `k`",
      "int64_t", "getBlockSize", (ins "int64_t":$k)>,
    InterfaceMethod<[{
        The tensors that such weights are stored in, in the order of operands; one
        of bytes, `blocks`, unless the format says otherwise.
      }], "::llvm::SmallVector<::moe::StorageTensor>", "getStorage",
      (ins "int64_t":$k), /*methodBody=*/"", /*defaultImplementation=*/[{
        return ::moe::storeBlocks($_attr, k);
      }]>,
    InterfaceMethod<[{
        The numbers that a block of a row consists of, wherever they are stored. A
        kernel's copy of the weights has nothing else.
      }], "::llvm::SmallVector<::moe::BlockField>", "getFields",
      (ins "int64_t":$k)>,
    InterfaceMethod<"The rounds in which a block is decoded",
      "::moe::DecodeRounds", "getRounds", (ins "int64_t":$k)>,
    InterfaceMethod<[{
        Builds what all rounds of a block share, as f32, such as its scales; the
        reader hands it out to `buildValues` (`readShared`).
      }], "void", "buildShared",
      (ins "::moe::BlockReader &":$reader, "int64_t":$k,
           "::llvm::SmallVectorImpl<::mlir::Value> &":$shared)>,
    InterfaceMethod<[{
        Builds the values of round (`period`, `word`), two indices, as f32: one for
        each of `getRounds().first`, in that order, and each the exact value of
        what is stored, rounded to nearest even. Formats of codes have no need to
        say how.
      }], "void", "buildValues",
      (ins "::moe::BlockReader &":$reader, "int64_t":$k, "::mlir::Value":$period,
           "::mlir::Value":$word,
           "::llvm::SmallVectorImpl<::mlir::Value> &":$values),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        ::moe::buildCodedValues(reader, $_attr, k, period, word, values);
      }]>,
    InterfaceMethod<[{
        The largest error of a value in parts of the largest magnitude in its
        block when numbers are converted to this format and back, which is what
        makes a choice between formats: 1 / 254 for 8 bits.
      }], "double", "getErrorBound">
  ];
}

def Moe_CodedFormatAttrInterface : AttrInterface<"CodedFormatAttrInterface",
    [Moe_WeightFormatAttrInterface]> {
  let cppNamespace = "::moe";
  let description = [{
    A format whose values are `scale * (code - zero) - minimum`, with one scale and
    one minimum for each sub-block of consecutive k, and a code of 0 to 255: weights
    that products of bytes can be formed with. `buildShared` of these gives all
    scales and then all minima of a block. The product of a scale and `zero` is
    exact, and has to be a number of f32.
  }];
  let methods = [
    InterfaceMethod<"What codes and sub-blocks there are",
      "::moe::CodeForm", "getCodeForm", (ins "int64_t":$k)>,
    InterfaceMethod<[{
        Builds four codes of a round, as bytes of an i32, lowest first: those of
        `getRounds().first[4 * stream]` and the three behind it, which need not be
        consecutive k, but have one scale.
      }], "::mlir::Value", "buildCodes",
      (ins "::moe::BlockReader &":$reader, "int64_t":$k, "::mlir::Value":$period,
           "::mlir::Value":$word, "int64_t":$stream)>
  ];
}

def Moe_FloatCodedFormatAttrInterface : AttrInterface<"FloatCodedFormatAttrInterface",
    [Moe_WeightFormatAttrInterface]> {
  let cppNamespace = "::moe";
  let description = [{
    A format whose values are `scale * f`, with one scale for each sub-block of
    consecutive k, and f a number of a small float type whose bits are stored:
    weights that become floats of another type by shifts. The scales are a field of
    the block.
  }];
  let methods = [
    InterfaceMethod<"What floats and sub-blocks there are",
      "::moe::FloatForm", "getFloatForm", (ins "int64_t":$k)>,
    InterfaceMethod<[{
        Builds four floats of a round, each in the lowest bits of a byte of an i32,
        lowest first, with zeros above it: those of `getRounds().first[4 * stream]`
        and the three behind it, which have one scale.
      }], "::mlir::Value", "buildFloats",
      (ins "::moe::BlockReader &":$reader, "int64_t":$k, "::mlir::Value":$period,
           "::mlir::Value":$word, "int64_t":$stream)>
  ];
}

#endif // MOE_FORMAT_INTERFACES_TD
