//===- Q3_K.cpp - Blocks of 256 in 3 bits ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 256, kSubBlock = 16, kHalf = 128, kRow = 32;
enum Field { HMask, Q, S, D };
} // namespace

int64_t Q3_KFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q3_KFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields = layOut({{"hmask", b.getI8Type(), kBlock / 8},
                                           {"q", b.getI8Type(), kBlock / 4},
                                           {"s", b.getI8Type(), 12},
                                           {"d", b.getF16Type()}});
  fields[D].range = MadeUpRange::about(1 / 43.3);
  return fields;
}

DecodeRounds Q3_KFormatAttr::getRounds(int64_t) const {
  return {/*period=*/kHalf, /*periods=*/2, /*advance=*/4, /*words=*/kRow / 4,
          fours({0, kRow, 2 * kRow, 3 * kRow})};
}

CodeForm Q3_KFormatAttr::getCodeForm(int64_t) const {
  return {kSubBlock, /*zero=*/4, /*hasMinimum=*/false, /*most=*/4};
}

void Q3_KFormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  // Scale i has the low four bits in half i / 8 of byte i % 8, and two more in
  // byte 8 + i % 4.
  Value d = reader.readNumber(D, 0);
  for (int64_t four = 0; four < 4; ++four) {
    Value low = buildNibbles(reader, reader.readWord(S, four % 2), four / 2);
    Value high = reader.bitAnd(
        reader.shiftRight(reader.readWord(S, 2), 2 * four), 0x03030303);
    Value six = reader.bitOr(low, reader.shiftLeft(high, 4));
    for (int64_t i = 0; i < 4; ++i)
      shared.push_back(
          reader.multiply(d, reader.add(reader.toFloat(reader.byteOf(six, i)),
                                        reader.number(-32))));
  }
}

Value Q3_KFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                 Value word, int64_t stream) const {
  Value low =
      reader.readWord(Q, reader.sum(reader.indexOf(period, kRow / 4), word));
  low = reader.bitAnd(reader.shiftRight(low, 2 * stream), 0x03030303);
  // Byte l has bit i of elements 32 i + l; without it, a code is 4 less.
  Value high = reader.shiftRight(reader.readWord(HMask, word),
                                 reader.indexOf(period, 4, stream));
  return reader.bitOr(low,
                      reader.shiftLeft(reader.bitAnd(high, 0x01010101), 2));
}

double Q3_KFormatAttr::getErrorBound() const { return 1.0 / 4; }
