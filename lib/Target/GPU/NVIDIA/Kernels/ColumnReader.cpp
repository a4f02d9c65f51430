//===- ColumnReader.cpp - What a lane reads of a step -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ColumnReader.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;
using moe::nvidia::ColumnReader;
using moe::nvidia::RowReader;

SmallVector<Value> ColumnReader::buildShared() {
  SmallVector<Value> all;
  panels.format.buildShared(*this, k, all);
  return all;
}

Value ColumnReader::load(int64_t field, Value index, int64_t size) {
  SmallVector<Value> words = loadWords(field, index, size);
  Value word = words[own * size / 4];
  if (size == 4)
    return word;
  int64_t first = own * size % 4 * 8;
  Value bits = BlockReader::shiftRight(word, first);
  return first + size * 8 == 32 ? bits
                                : bitAnd(bits, (int64_t(1) << (8 * size)) - 1);
}

SmallVector<Value> ColumnReader::loadWords(int64_t field, Value index,
                                           int64_t size) {
  APInt constant;
  bool isKnown = matchPattern(index, m_ConstantInt(&constant));
  auto key =
      std::make_pair(field, isKnown ? constant.getSExtValue() : int64_t(-1));
  if (isKnown)
    if (auto found = loaded.find(key); found != loaded.end())
      return found->second;
  Value at =
      code.at(block, getPlace(field, index, size, code.mul(column, size)));
  SmallVector<Value> words;
  if (size == 1)
    words = {code.load(code.i32(), at)};
  else
    words = code.unpack(code.load(VectorType::get({size}, code.i32()), at));
  if (isKnown)
    loaded[key] = words;
  return words;
}

/// Permutations choose bytes by three bits and give the sign by a fourth.
std::array<Value, 2> ColumnReader::lookUpNibbles(Value word,
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

Value ColumnReader::lookUp(Value codes, ArrayRef<int8_t> table) {
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

/// How many values follow one another everywhere, and are aligned so.
static int64_t getWidth(const DecodeRounds &rounds, int64_t block,
                        ArrayRef<int64_t> sorted) {
  for (int64_t width : {8, 4, 2}) {
    bool fits = sorted.size() % width == 0 && block % width == 0 &&
                rounds.period % width == 0 && rounds.advance % width == 0;
    for (size_t i = 0; fits && i < sorted.size(); ++i) {
      int64_t first = sorted[i / width * width];
      fits = first % width == 0 && sorted[i] == first + int64_t(i % width);
    }
    if (fits)
      return width;
  }
  return 1;
}

RowReader::RowReader(Emitter &code, const DecodeRounds &rounds, int64_t block,
                     Value at)
    : code(&code) {
  SmallVector<int64_t> sorted(rounds.first);
  llvm::sort(sorted);
  int64_t width = getWidth(rounds, block, sorted);
  for (size_t i = 0; i < sorted.size(); i += width) {
    Value from = code.at(at, sorted[i] * 2);
    SmallVector<Value> words;
    if (width == 1)
      words = {arith::ExtUIOp::create(code, code.i32(),
                                      code.load(code.getI16Type(), from))};
    else if (width == 2)
      words = {code.load(code.i32(), from)};
    else
      words = code.unpack(
          code.load(VectorType::get({width / 2}, code.i32()), from));
    for (int64_t j = 0; j < width; ++j)
      halves[sorted[i] + j] = {words[j / 2], j % 2};
  }
}

Value RowReader::getPair(int64_t a, int64_t b) const {
  auto [low, isLowOdd] = halves.lookup(a);
  auto [high, isHighOdd] = halves.lookup(b);
  if (low == high && !isLowOdd && isHighOdd)
    return low;
  return code->bitOr(isLowOdd ? code->shr(low, 16) : code->bitAnd(low, 0xffff),
                     isHighOdd ? code->bitAnd(high, 0xffff0000)
                               : code->shl(high, 16));
}
