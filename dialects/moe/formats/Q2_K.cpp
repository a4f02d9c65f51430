//===- Q2_K.cpp - Blocks of 256 in 2 bits ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 256, kSubBlock = 16, kHalf = 128, kRow = 32;
enum Field { S, Q, D, DMin };
} // namespace

int64_t Q2_KFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q2_KFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"s", b.getI8Type(), kBlock / kSubBlock},
              {"q", b.getI8Type(), kBlock / 4},
              {"d", b.getF16Type()},
              {"dmin", b.getF16Type()}});
  fields[D].range = MadeUpRange::about(1 / 13.9);
  fields[DMin].range = MadeUpRange::about(1.5 / 13.9);
  return fields;
}

DecodeRounds Q2_KFormatAttr::getRounds(int64_t) const {
  return {/*period=*/kHalf, /*periods=*/2, /*advance=*/4, /*words=*/kRow / 4,
          fours({0, kRow, 2 * kRow, 3 * kRow})};
}

CodeForm Q2_KFormatAttr::getCodeForm(int64_t) const {
  return {kSubBlock, /*zero=*/0, /*hasMinimum=*/true, /*most=*/3};
}

void Q2_KFormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  // The low four bits of a byte are the scale, the high ones the minimum.
  for (int64_t nibble : {0, 1}) {
    Value factor = reader.readNumber(nibble == 0 ? D : DMin, 0);
    for (int64_t i = 0; i < kBlock / kSubBlock; ++i) {
      Value word = buildNibbles(reader, reader.readWord(S, i / 4), nibble);
      shared.push_back(
          reader.multiply(factor, reader.toFloat(reader.byteOf(word, i % 4))));
    }
  }
}

Value Q2_KFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                 Value word, int64_t stream) const {
  Value bytes =
      reader.readWord(Q, reader.sum(reader.indexOf(period, kRow / 4), word));
  return reader.bitAnd(reader.shiftRight(bytes, 2 * stream), 0x03030303);
}

double Q2_KFormatAttr::getErrorBound() const { return 1.0 / 3; }
