//===- ThreadReader.cpp - A thread reads blocks of weights ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/ThreadReader.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::ThreadReader;

Value gpu::pick(Emitter &code, ArrayRef<Value> list, Value index) {
  SmallVector<Value> values(list);
  for (int64_t bit = 1; values.size() > 1; bit *= 2) {
    Value isOdd = code.isEqual(code.bitAnd(index, bit), bit);
    SmallVector<Value> next;
    for (size_t i = 0; i < values.size(); i += 2)
      next.push_back(i + 1 < values.size()
                         ? code.select(isOdd, values[i + 1], values[i])
                         : values[i]);
    values = next;
  }
  return values.front();
}

Value ThreadReader::readNumber(int64_t field, Value index) {
  const BlockField &from = fields[field];
  APInt constant;
  if (from.isWords()) {
    Value word = readWord(field, quotient(index, 4));
    if (matchPattern(index, m_ConstantInt(&constant)))
      return byteOf(word, constant.getSExtValue() % 4);
    Value bits = code.shl(code.bitAnd(toLanes(index), 3), 3);
    return bitAnd(arith::ShRUIOp::create(code, word, bits), 255);
  }
  Value bits = load(field, index, from.getBytes() / from.count);
  if (from.element.isF16())
    return halfToFloat(bits);
  if (from.element.isBF16())
    return asFloat(BlockReader::shiftLeft(bits, 16));
  return from.element.isF32() ? asFloat(bits) : bits;
}

Value ThreadReader::lookUp(Value codes, ArrayRef<int8_t> table) {
  SmallVector<Value> words;
  for (size_t i = 0; i < table.size(); i += 4) {
    int64_t word = 0;
    for (size_t j = 0; j < 4; ++j)
      word |= int64_t(static_cast<uint8_t>(table[i + j])) << (8 * j);
    words.push_back(integer(word));
  }
  Value result;
  for (int64_t i = 0; i < 4; ++i) {
    Value own = byteOf(codes, i);
    Value word = pick(code, words, code.shr(own, 2));
    Value bits = code.shl(code.bitAnd(own, 3), 3);
    Value byte = bitAnd(arith::ShRUIOp::create(code, word, bits), 255);
    byte = BlockReader::shiftLeft(byte, 8 * i);
    result = result ? bitOr(result, byte) : byte;
  }
  return result;
}

Value ThreadReader::lookUp(Value indices, ArrayRef<uint16_t> table) {
  SmallVector<int32_t> pairs;
  for (size_t i = 0; i < table.size(); i += 2)
    pairs.push_back(static_cast<int32_t>(
        table[i] | (i + 1 < table.size() ? uint32_t(table[i + 1]) << 16 : 0)));
  Value pair = moegpu::LookUpOp::create(code, code.getDenseI32ArrayAttr(pairs),
                                        code.shr(indices, 1));
  Value bits = code.shl(code.bitAnd(indices, 1), 4);
  return bitAnd(arith::ShRUIOp::create(code, pair, bits), 0xffff);
}

Value ThreadReader::readShared(Value index) {
  APInt constant;
  if (matchPattern(index, m_ConstantInt(&constant)))
    return shared[constant.getSExtValue()];
  return pick(code, shared, toLanes(index));
}

Value ThreadReader::getPlace(int64_t field, Value index, int64_t size,
                             Value place) {
  int64_t offset = panels.getFieldOffset(k, field);
  int64_t ofAll = panels.columns * size;
  APInt constant;
  if (matchPattern(index, m_ConstantInt(&constant)))
    offset += constant.getSExtValue() * ofAll;
  else
    place = code.add(place, code.mul(toLanes(index), ofAll));
  return offset ? code.add(place, offset) : place;
}

/// A word, or what a word has of it.
Value ThreadReader::load(int64_t field, Value index, int64_t size) {
  Value bytes = code.mul(column, size), place = bytes;
  if (size < 4)
    place = code.bitAnd(bytes, ~int64_t(3));
  Value word = code.load(code.i32(),
                         code.at(block, getPlace(field, index, size, place)));
  if (size == 4)
    return word;
  Value bits = code.shl(code.bitAnd(bytes, 3), 3);
  return bitAnd(arith::ShRUIOp::create(code, word, bits),
                (int64_t(1) << (8 * size)) - 1);
}
