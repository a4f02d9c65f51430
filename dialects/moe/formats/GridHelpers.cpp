//===- GridHelpers.cpp - What formats with grids share ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "GridHelpers.h"

using namespace mlir;
using namespace moe;

DecodeRounds moe::getGridRounds() {
  return {/*period=*/32, /*periods=*/kGridSubBlocks, /*advance=*/16,
          /*words=*/2, fours({0, 4, 8, 12})};
}

Value moe::buildGridCodes(BlockReader &reader, Value levels,
                          int64_t bitsOfLevel, ArrayRef<int8_t> table,
                          Value signs) {
  // From the bits of level i to byte i.
  Value bytes;
  for (int64_t i = 0; i < 4; ++i) {
    int64_t mask = ((int64_t(1) << bitsOfLevel) - 1) << i * bitsOfLevel;
    Value byte =
        reader.shiftLeft(reader.bitAnd(levels, mask), i * (8 - bitsOfLevel));
    bytes = bytes ? reader.bitOr(bytes, byte) : byte;
  }
  Value magnitudes = reader.lookUp(bytes, table);
  // Copies 7 bits apart have bit i at 8 i, and no two of their bits meet.
  Value ones = reader.bitAnd(
      reader.multiply(reader.bitAnd(signs, 15), reader.integer(0x00204081)),
      0x01010101);
  Value mask = reader.multiply(ones, reader.integer(255));
  // 64 - m is (m ^ 63) + 1, and 64 + m has no bit in common: no byte overflows.
  Value flipped = reader.bitAnd(mask, 0x3f3f3f3f);
  flipped =
      arith::XOrIOp::create(reader.builder, reader.loc, magnitudes, flipped);
  Value positive = reader.bitXor(reader.bitAnd(mask, 0x40404040), 0x40404040);
  return reader.add(flipped, reader.add(ones, positive));
}

Value moe::buildEvenSigns(BlockReader &reader, Value seven, int64_t half) {
  if (half == 0)
    return seven;
  Value parity = seven;
  for (int64_t bits : {4, 2, 1})
    parity = arith::XOrIOp::create(reader.builder, reader.loc, parity,
                                   reader.shiftRight(parity, bits));
  return reader.bitOr(reader.shiftRight(seven, 4),
                      reader.shiftLeft(reader.bitAnd(parity, 1), 3));
}

void moe::buildNibbleScales(BlockReader &reader, Value d, int64_t s,
                            int64_t count, double offset, double factor,
                            SmallVectorImpl<Value> &shared) {
  for (int64_t i = 0; i < count; ++i) {
    Value four = reader.bitAnd(
        reader.shiftRight(reader.readWord(s, i / 8), i % 8 * 4), 15);
    Value scale = reader.add(reader.toFloat(four), reader.number(offset));
    shared.push_back(
        reader.multiply(reader.multiply(d, scale), reader.number(factor)));
  }
}

void moe::buildTopScales(BlockReader &reader, Value d, int64_t s, int64_t first,
                         int64_t stride, double factor,
                         SmallVectorImpl<Value> &shared) {
  for (int64_t i = 0; i < kGridSubBlocks; ++i) {
    Value four = reader.shiftRight(reader.readWord(s, stride * i + first), 28);
    Value scale = reader.add(reader.toFloat(four), reader.number(0.5));
    shared.push_back(
        reader.multiply(reader.multiply(d, scale), reader.number(factor)));
  }
}
