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
  int64_t bytes = size * columns;
  if (bytes == 2)
    words = {arith::ExtUIOp::create(code, code.i32(),
                                    code.load(code.getI16Type(), at))};
  else if (bytes == 4)
    words = {code.load(code.i32(), at)};
  else
    words =
        code.unpack(code.load(VectorType::get({bytes / 4}, code.i32()), at));
  if (isKnown)
    loaded[key] = words;
  return words;
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
                     Value at, Type element)
    : code(&code) {
  SmallVector<int64_t> sorted(rounds.first);
  llvm::sort(sorted);
  int64_t width = getWidth(rounds, block, sorted);
  if (element.isF32()) {
    width = std::min<int64_t>(width, 4);
    for (size_t i = 0; i < sorted.size(); i += width) {
      Value from = code.at(at, sorted[i] * 4);
      SmallVector<Value> values;
      if (width == 1)
        values = {code.load(code.f32(), from)};
      else
        values =
            code.unpack(code.load(VectorType::get({width}, code.f32()), from));
      for (int64_t j = 0; j < width; ++j)
        halves[sorted[i] + j] = {values[j], false};
    }
    return;
  }
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
  if (low.getType().isF32())
    return code->toBF16(low, high);
  if (low == high && !isLowOdd && isHighOdd)
    return low;
  return code->bitOr(isLowOdd ? code->shr(low, 16) : code->bitAnd(low, 0xffff),
                     isHighOdd ? code->bitAnd(high, 0xffff0000)
                               : code->shl(high, 16));
}
