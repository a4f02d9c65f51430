//===- TableReader.cpp - Tables are looked up by permutations ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "TableReader.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;
using moe::nvidia::TableReader;

/// Permutations choose bytes by three bits and give the sign by a fourth.
std::array<Value, 2> TableReader::lookUpNibbles(Value word,
                                                ArrayRef<int8_t> table) {
  Value words[4];
  for (size_t i = 0; i < 4; ++i) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 4; ++j)
      if (4 * i + j < table.size())
        bits |= uint32_t(static_cast<uint8_t>(table[4 * i + j])) << (8 * j);
    words[i] = code.word(bits);
  }
  Value low = code.bitAnd(word, 0x77777777), up = code.shl(word, 4);
  // For each half of the word: of the low four bits of its bytes the signs of
  // the word moved up, of the high ones those of the word.
  constexpr uint32_t kSigns[] = {0xd9c8, 0xfbea};
  constexpr int64_t kSelect = (0xf0 & 0xcc) | (0x0f & 0xaa);
  std::array<Value, 2> result;
  for (int64_t half = 0; half < 2; ++half) {
    Value which = half ? code.shr(low, 16) : low;
    Value below = code.permute(words[0], words[1], which);
    if (table.size() <= 8) {
      result[half] = below;
      continue;
    }
    Value signs = code.permute(up, word, code.word(kSigns[half]));
    result[half] = code.logic(signs, code.permute(words[2], words[3], which),
                              below, kSelect);
  }
  return result;
}

Value TableReader::lookUp(Value codes, ArrayRef<int8_t> table) {
  if (table.size() > 16)
    return ThreadReader::lookUp(codes, table);
  // Most are the low or the high four bits of the bytes of a word, and the
  // others are wanted, too.
  constexpr uint32_t kNibbles = 0x0f0f0f0f;
  Value word = codes;
  APInt constant;
  bool isHigh = false;
  auto mask = codes.getDefiningOp<arith::AndIOp>();
  if (mask && matchPattern(mask.getRhs(), m_ConstantInt(&constant)) &&
      constant == APInt(32, kNibbles)) {
    word = mask.getLhs();
    auto shift = word.getDefiningOp<arith::ShRUIOp>();
    if (shift && matchPattern(shift.getRhs(), m_ConstantInt(&constant)) &&
        constant == APInt(32, 4)) {
      isHigh = true;
      word = shift.getLhs();
    }
  }
  auto [first, second] = lookUpNibbles(word, table);
  return code.permute(first, second, code.word(isHigh ? 0x7531 : 0x6420));
}
