//===- NVFP4.cpp - Blocks of 64 in E2M1 ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 64, kSubBlock = 16, kSubBlocks = kBlock / kSubBlock;
enum Field { D, Q };
} // namespace

int64_t NVFP4FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> NVFP4FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields = layOut(
      {{"d", b.getI8Type(), kSubBlocks}, {"q", b.getI8Type(), kBlock / 2}});
  fields[D].range = MadeUpRange::about(1 / 2.93);
  fields[D].byteFloat = Float8E4M3FNType::get(getContext());
  return fields;
}

DecodeRounds NVFP4FormatAttr::getRounds(int64_t) const {
  // Two sub-blocks a period.
  return {/*period=*/2 * kSubBlock, /*periods=*/kSubBlocks / 2, /*advance=*/4,
          /*words=*/kSubBlock / 8,
          fours({0, kSubBlock / 2, kSubBlock, 3 * kSubBlock / 2})};
}

CodeForm NVFP4FormatAttr::getCodeForm(int64_t) const {
  return {kSubBlock, /*zero=*/kE2M1Zero, /*hasMinimum=*/false, /*most=*/12};
}

void NVFP4FormatAttr::buildShared(BlockReader &reader, int64_t,
                                  SmallVectorImpl<Value> &shared) const {
  // Without a sign; half of it, as codes are twice the values.
  Value word = reader.bitAnd(reader.readWord(D, 0), 0x7f7f7f7f);
  for (int64_t i = 0; i < kSubBlocks; ++i)
    shared.push_back(reader.multiply(buildE4M3(reader, reader.byteOf(word, i)),
                                     reader.number(0.5)));
}

FloatForm NVFP4FormatAttr::getFloatForm(int64_t) const {
  return {Float4E2M1FNType::get(getContext()), kSubBlock, D};
}

Value NVFP4FormatAttr::buildFloats(BlockReader &reader, int64_t, Value period,
                                   Value word, int64_t stream) const {
  Value at = reader.indexOf(period, kSubBlock / 4, stream / 2 * kSubBlock / 8);
  Value bytes = reader.readWord(Q, reader.sum(at, word));
  return buildNibbles(reader, bytes, stream % 2);
}

Value NVFP4FormatAttr::buildCodes(BlockReader &reader, int64_t k, Value period,
                                  Value word, int64_t stream) const {
  return lookUpE2M1(reader, buildFloats(reader, k, period, word, stream));
}

double NVFP4FormatAttr::getErrorBound() const { return 1.0 / 6; }
