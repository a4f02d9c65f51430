//===- MXFP4.cpp - Blocks of 32 in E2M1, one E8M0 scale --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// As GGUF files and as other checkpoints have them: the same numbers, other
// bytes.
//
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 32;
/// Of `mxfp4` each is in a tensor of its own.
enum Field { E, Q };
} // namespace

static SmallVector<BlockField> getNumbers(MLIRContext *context) {
  Builder b(context);
  SmallVector<BlockField> fields{{"e", b.getI8Type()},
                                 {"q", b.getI8Type(), kBlock / 2}};
  fields[E].byteFloat = Float8E8M0FNUType::get(context);
  fields[E].range = MadeUpRange::about(1 / 2.93);
  return fields;
}

static CodeForm getForm() {
  return {kBlock, /*zero=*/kE2M1Zero, /*hasMinimum=*/false, /*most=*/12};
}

static FloatForm getBits(MLIRContext *context) {
  return {Float4E2M1FNType::get(context), kBlock, E};
}

/// Half of 2^(e - 127), as codes are twice the values.
static Value buildScale(BlockReader &reader) {
  return buildE8M0(reader, reader.readNumber(E, 0), /*less=*/1);
}

/// Not by one multiply-add: the scale times what codes have too much may be no
/// number of f32.
template <typename FormatT>
static void buildE2M1(FormatT format, BlockReader &reader, int64_t k,
                      Value period, Value word,
                      SmallVectorImpl<Value> &values) {
  Value scale = reader.readShared(reader.indexOf(period, 0));
  Value zero = reader.number(-kE2M1Zero);
  for (int64_t stream : {0, 1}) {
    Value codes = format.buildCodes(reader, k, period, word, stream);
    for (int64_t i = 0; i < 4; ++i) {
      Value code = reader.toFloat(reader.byteOf(codes, i));
      values.push_back(reader.multiply(scale, reader.add(code, zero)));
    }
  }
}

//===----------------------------------------------------------------------===//
// As GGUF files have it
//===----------------------------------------------------------------------===//

int64_t MXFP4BlocksFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> MXFP4BlocksFormatAttr::getFields(int64_t) const {
  return layOut(getNumbers(getContext()));
}

DecodeRounds MXFP4BlocksFormatAttr::getRounds(int64_t) const {
  return halvesOfNibbles(kBlock);
}

CodeForm MXFP4BlocksFormatAttr::getCodeForm(int64_t) const { return getForm(); }

void MXFP4BlocksFormatAttr::buildShared(BlockReader &reader, int64_t,
                                        SmallVectorImpl<Value> &shared) const {
  shared.push_back(buildScale(reader));
}

Value MXFP4BlocksFormatAttr::buildCodes(BlockReader &reader, int64_t, Value,
                                        Value word, int64_t stream) const {
  return lookUpE2M1(reader, buildFloats(reader, 0, {}, word, stream));
}

void MXFP4BlocksFormatAttr::buildValues(BlockReader &reader, int64_t k,
                                        Value period, Value word,
                                        SmallVectorImpl<Value> &values) const {
  buildE2M1(*this, reader, k, period, word, values);
}

FloatForm MXFP4BlocksFormatAttr::getFloatForm(int64_t) const {
  return getBits(getContext());
}

Value MXFP4BlocksFormatAttr::buildFloats(BlockReader &reader, int64_t, Value,
                                         Value word, int64_t stream) const {
  return buildNibbles(reader, reader.readWord(Q, word), stream);
}

double MXFP4BlocksFormatAttr::getErrorBound() const { return 1.0 / 4; }

//===----------------------------------------------------------------------===//
// As other checkpoints have it
//===----------------------------------------------------------------------===//

int64_t MXFP4FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> MXFP4FormatAttr::getFields(int64_t) const {
  SmallVector<BlockField> fields = getNumbers(getContext());
  fields[E].storage = 1;
  return fields;
}

SmallVector<StorageTensor> MXFP4FormatAttr::getStorage(int64_t) const {
  Type byte = IntegerType::get(getContext(), 8);
  return {{"blocks", byte, kBlock / 2}, {"scales", byte}};
}

DecodeRounds MXFP4FormatAttr::getRounds(int64_t) const {
  return pairsOfNibbles(kBlock);
}

CodeForm MXFP4FormatAttr::getCodeForm(int64_t) const { return getForm(); }

void MXFP4FormatAttr::buildShared(BlockReader &reader, int64_t,
                                  SmallVectorImpl<Value> &shared) const {
  shared.push_back(buildScale(reader));
}

Value MXFP4FormatAttr::buildCodes(BlockReader &reader, int64_t, Value,
                                  Value word, int64_t stream) const {
  return lookUpE2M1(reader, buildFloats(reader, 0, {}, word, stream));
}

void MXFP4FormatAttr::buildValues(BlockReader &reader, int64_t k, Value period,
                                  Value word,
                                  SmallVectorImpl<Value> &values) const {
  buildE2M1(*this, reader, k, period, word, values);
}

FloatForm MXFP4FormatAttr::getFloatForm(int64_t) const {
  return getBits(getContext());
}

Value MXFP4FormatAttr::buildFloats(BlockReader &reader, int64_t, Value,
                                   Value word, int64_t stream) const {
  return buildNibbles(reader, reader.readWord(Q, word), stream);
}

double MXFP4FormatAttr::getErrorBound() const { return 1.0 / 4; }
