//===- BlockDecoder.cpp - Weights in a format, decoded by threads -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "BlockDecoder.h"

#include "moe-mlir/Target/GPU/Common/ThreadReader.h"

using namespace mlir;
using namespace moe;
using gpu::BlockDecoder;
using gpu::pick;
using gpu::ThreadReader;

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
