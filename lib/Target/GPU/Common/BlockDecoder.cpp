//===- BlockDecoder.cpp - Weights in a format, decoded by threads -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "BlockDecoder.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;
using gpu::BlockDecoder;
using gpu::Emitter;

/// Entry `index` of a list.
static Value pick(Emitter &code, ArrayRef<Value> list, Value index) {
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

namespace {
/// Reads a block of one column from a panel in memory. All loads are of words,
/// which is what neighbouring threads read together, and what any device can.
class ThreadReader : public BlockReader {
public:
  ThreadReader(Emitter &code, const moek::BlockPanels &panels, int64_t k,
               Value block, Value column)
      : BlockReader(code, code.getLoc()), code(code), panels(panels), k(k),
        block(block), column(column), fields(panels.format.getFields(k)) {}

  Value readNumber(int64_t field, Value index) override {
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

  Value readWord(int64_t field, Value index) override {
    return load(field, index, 4);
  }

  Value lookUp(Value codes, ArrayRef<int8_t> table) override {
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

  Value lookUp(Value indices, ArrayRef<uint16_t> table) override {
    SmallVector<int32_t> pairs;
    for (size_t i = 0; i < table.size(); i += 2)
      pairs.push_back(static_cast<int32_t>(
          table[i] |
          (i + 1 < table.size() ? uint32_t(table[i + 1]) << 16 : 0)));
    Value pair = moegpu::LookUpOp::create(
        code, code.getDenseI32ArrayAttr(pairs), code.shr(indices, 1));
    Value bits = code.shl(code.bitAnd(indices, 1), 4);
    return bitAnd(arith::ShRUIOp::create(code, pair, bits), 0xffff);
  }

  void setShared(ArrayRef<Value> values) { shared.assign(values); }
  Value readShared(Value index) override {
    APInt constant;
    if (matchPattern(index, m_ConstantInt(&constant)))
      return shared[constant.getSExtValue()];
    return pick(code, shared, toLanes(index));
  }

  Type getIntType() override { return code.i32(); }
  Type getFloatType() override { return code.f32(); }

private:
  /// A number of `size` bytes: a word, or what a word has of it.
  Value load(int64_t field, Value index, int64_t size) {
    int64_t offset = panels.getFieldOffset(k, field);
    int64_t ofAll = panels.columns * size;
    Value bytes = code.mul(column, size), place = bytes;
    if (size < 4)
      place = code.bitAnd(bytes, ~int64_t(3));
    APInt constant;
    if (matchPattern(index, m_ConstantInt(&constant)))
      offset += constant.getSExtValue() * ofAll;
    else
      place = code.add(place, code.mul(toLanes(index), ofAll));
    if (offset)
      place = code.add(place, offset);
    Value word = code.load(code.i32(), code.at(block, place));
    if (size == 4)
      return word;
    Value bits = code.shl(code.bitAnd(bytes, 3), 3);
    return bitAnd(arith::ShRUIOp::create(code, word, bits),
                  (int64_t(1) << (8 * size)) - 1);
  }

  Emitter &code;
  const moek::BlockPanels &panels;
  int64_t k;
  Value block, column;
  SmallVector<BlockField> fields;
  SmallVector<Value> shared;
};
} // namespace

/// Values of codes without a minimum, by a product alone: not all devices have
/// multiply-adds that are rounded once.
static void buildProducts(ThreadReader &reader, CodedFormatAttrInterface format,
                          int64_t k, Value period, Value word,
                          SmallVectorImpl<Value> &values) {
  Value zero = reader.integer(-format.getCodeForm(k).zero);
  int64_t streams = format.getRounds(k).first.size() / 4;
  for (int64_t stream = 0; stream < streams; ++stream) {
    Value scale = reader.readShared(
        buildSubBlockIndex(reader, format, k, period, word, stream));
    Value codes = format.buildCodes(reader, k, period, word, stream);
    for (int64_t i = 0; i < 4; ++i) {
      Value code = reader.add(reader.byteOf(codes, i), zero);
      values.push_back(reader.multiply(scale, reader.toFloat(code)));
    }
  }
}

BlockDecoder::BlockDecoder(Emitter &code, const moek::BlockPanels &panels,
                           int64_t k, int64_t mostDepth)
    : code(code), panels(panels), k(k), block(panels.format.getBlockSize(k)),
      rounds(panels.format.getRounds(k)), ofStep(1), chunk(1) {
  for (int64_t i = 0, e = rounds.first.size(); i < e; ++i)
    order.push_back(i);
  llvm::stable_sort(order, [&](int64_t a, int64_t b) {
    return rounds.first[a] < rounds.first[b];
  });
  for (int64_t count = 2; count <= rounds.words; ++count)
    if (rounds.words % count == 0 && count * getValues() <= mostDepth)
      ofStep = count;
  for (int64_t width : {4, 2}) {
    bool fits = getValues() % width == 0 && block % width == 0 &&
                rounds.period % width == 0 && rounds.advance % width == 0;
    for (int64_t i = 0; fits && i < getValues(); ++i)
      fits = rounds.first[order[i]] ==
                 rounds.first[order[i / width * width]] + i % width &&
             rounds.first[order[i / width * width]] % width == 0;
    if (!fits)
      continue;
    chunk = width;
    break;
  }
}

BlockDecoder::Step BlockDecoder::find(Value step) {
  int64_t ofPeriod = rounds.words / ofStep;
  int64_t ofBlock = ofPeriod * rounds.periods;
  Value zero = code.constant(0);
  auto split = [&](Value value, int64_t size) -> std::pair<Value, Value> {
    if (size == 1)
      return {value, zero};
    Value high = code.div(value, code.constant(size));
    return {high, code.sub(value, code.mul(high, size))};
  };
  auto [block, within] = split(step, ofBlock);
  auto [period, word] = split(within, ofPeriod);
  return {block, rounds.periods == 1 ? zero : period, code.mul(word, ofStep)};
}

Value BlockDecoder::getK(Value step, Value place) {
  Step at = find(step);
  Value round = code.div(place, code.constant(getValues()));
  Value within = code.sub(place, code.mul(round, getValues()));
  SmallVector<Value> firsts;
  for (int64_t i = 0; i < getValues(); i += chunk)
    firsts.push_back(code.constant(rounds.first[order[i]]));
  Value first = pick(code, firsts, code.div(within, code.constant(chunk)));
  Value ofBlock = code.add(code.mul(at.period, rounds.period),
                           code.mul(code.add(at.word, round), rounds.advance));
  return code.add(code.add(code.mul(at.block, block), ofBlock), first);
}

SmallVector<Value> BlockDecoder::decode(Value panel, Value column, Value step,
                                        Value round) {
  Step at = find(step);
  auto toIndex = [&](int64_t count, Value value) -> Value {
    if (count == 1)
      return arith::ConstantIndexOp::create(code, 0);
    return arith::IndexCastOp::create(code, code.getIndexType(), value);
  };
  Value from =
      code.at(panel, code.mul(code.widen(at.block), panels.getBlockBytes(k)));
  ThreadReader reader(code, panels, k, from, column);
  SmallVector<Value> shared, values, sorted;
  panels.format.buildShared(reader, k, shared);
  reader.setShared(shared);
  Value period = toIndex(rounds.periods, at.period);
  Value word = toIndex(rounds.words, code.add(at.word, round));
  auto coded = dyn_cast<CodedFormatAttrInterface>(Attribute(panels.format));
  if (coded && !coded.getCodeForm(k).hasMinimum)
    buildProducts(reader, coded, k, period, word, values);
  else
    panels.format.buildValues(reader, k, period, word, values);
  for (int64_t i : order)
    sorted.push_back(values[i]);
  return sorted;
}
