//===- QuantizedRows.cpp - Rows that products of bytes read ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A value is divided by a 127th of the largest of its block and rounded to
// nearest even. A NaN makes the scale of its block one, so that it reaches the
// result.
//
//===----------------------------------------------------------------------===//

#include "QuantizedRows.h"

#include "Lowerings.h"

using namespace mlir;
using namespace moe;

/// Values with one scale: as many as common formats of weights have.
static constexpr int64_t kValuesOfScale = 32;
static constexpr int64_t kLanes = 16;

QuantizedRows::QuantizedRows(CodedFormatAttrInterface format, int64_t k)
    : k(k) {
  CodeForm form = format.getCodeForm(k);
  subBlock = form.subBlock;
  block = std::max(subBlock, kValuesOfScale);
  zero = form.zero;
  hasMinimum = form.hasMinimum;
  DecodeRounds rounds = format.getRounds(k);
  SmallVector<int64_t> ks;
  for (int64_t word = 0; word < rounds.words; ++word)
    for (int64_t first : rounds.first)
      ks.push_back(first + word * rounds.advance);
  bool isInOrder = true;
  for (size_t i = 0; i + 3 < rounds.first.size(); i += 4)
    for (int64_t j = 1; j < 4; ++j)
      isInOrder &= rounds.first[i + j] == rounds.first[i] + j;
  if (isInOrder)
    return;
  order.assign(ks.begin(), ks.begin() + kValuesOfScale);
  for (size_t i = 0; i < ks.size(); ++i)
    assert(ks[i] == order[i % kValuesOfScale] + static_cast<int64_t>(i) /
                                                    kValuesOfScale *
                                                    kValuesOfScale &&
           "every 32 codes have the same order");
}

int64_t QuantizedRows::pitch() const {
  return (llvm::divideCeil(rowBytes(), 64) | 1) * 64;
}

int64_t QuantizedRows::valueAt(int64_t k) const {
  int64_t within = k % block;
  if (!order.empty())
    within += llvm::find(order, within % kValuesOfScale) - order.begin() -
              within % kValuesOfScale;
  return k / block * blockBytes() + within;
}

int64_t QuantizedRows::scaleAt(int64_t index) const {
  return index * blockBytes() + block;
}

int64_t QuantizedRows::correctionAt(int64_t index) const {
  int64_t perBlock = block / subBlock;
  return scaleAt(index / perBlock) + 4 + index % perBlock * 4;
}

namespace {
/// One row, as vectors of 16 values.
class RowQuantizer {
public:
  RowQuantizer(Emitter &e, const QuantizedRows &rows, Value src, Value from,
               Value weight)
      : e(e), rows(rows), src(src), from(from), weight(weight),
        type(e.vecF32(kLanes)), intType(e.vec(kLanes, e.getI32Type())) {}

  /// The block that begins with value `k` and is written to `block`.
  void emitBlock(Value k, Value block) {
    int64_t vectors = rows.block / kLanes;
    if (vectors > 4)
      return emitLongBlock(k, block, vectors);
    SmallVector<Value> values;
    Value largest;
    for (int64_t i = 0; i < vectors; ++i) {
      values.push_back(load(e.add(k, i * kLanes)));
      largest = max(largest, abs(values.back()));
    }
    setScale(reduceMax(largest), block);
    SmallVector<Value> bytes;
    Value sum;
    int64_t perSub = rows.subBlock / kLanes;
    for (int64_t i = 0; i < vectors; ++i) {
      Value ints = quantize(values[i]);
      bytes.push_back(toBytes(ints));
      sum = i % perSub == 0 ? ints : e.add(sum, ints);
      if (i % perSub == perSub - 1)
        storeCorrection(sum, block, i / perSub);
    }
    for (int64_t i = 0; i < vectors; i += 2)
      storePair(bytes[i], bytes[i + 1], e.displace(block, i * kLanes));
  }

private:
  void emitLongBlock(Value k, Value block, int64_t vectors) {
    auto reduce = [&](Value init, auto &&body) {
      auto loop = scf::ForOp::create(e, e.idx(0), e.idx(vectors * kLanes),
                                     e.idx(2 * kLanes), init);
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      scf::YieldOp::create(
          e, body(loop.getInductionVar(), loop.getRegionIterArg(0)));
      return loop.getResult(0);
    };
    Value largest = reduce(e.zeros(type), [&](Value i, Value most) -> Value {
      Value at = e.add(k, i);
      most = max(most, abs(load(at)));
      return max(most, abs(load(e.add(at, kLanes))));
    });
    setScale(reduceMax(largest), block);
    Value sum = reduce(e.zeros(intType), [&](Value i, Value sum) -> Value {
      Value at = e.add(k, i);
      Value low = quantize(load(at)), high = quantize(load(e.add(at, kLanes)));
      storePair(toBytes(low), toBytes(high), e.displace(block, e.toI64(i)));
      return e.add(sum, e.add(low, high));
    });
    storeCorrection(sum, block, 0);
  }

  Value load(Value column) {
    Type element = cast<MemRefType>(src.getType()).getElementType();
    Value v = vector::LoadOp::create(e, e.vec(kLanes, element), src,
                                     ValueRange{from, column});
    if (!element.isF32())
      v = arith::ExtFOp::create(e, type, v);
    return weight ? Value(arith::MulFOp::create(e, v, weight)) : v;
  }
  Value abs(Value v) { return math::AbsFOp::create(e, v); }
  Value max(Value a, Value b) {
    return a ? Value(arith::MaximumFOp::create(e, a, b)) : b;
  }
  Value reduceMax(Value v) {
    return vector::ReductionOp::create(e, vector::CombiningKind::MAXIMUMF, v);
  }
  void setScale(Value largest, Value block) {
    scale = arith::MulFOp::create(e, largest, e.f32(1.0 / 127));
    LLVM::StoreOp::create(e, scale, e.displace(block, rows.block), 4);
    Value some =
        arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, largest, e.f32(0));
    Value factor =
        e.select(some, arith::DivFOp::create(e, e.f32(127), largest), e.f32(0));
    inverse = e.splat(factor, type);
  }
  /// As i32. What is no number becomes some byte: the scale says it.
  Value quantize(Value v) {
    Value x =
        math::RoundEvenOp::create(e, arith::MulFOp::create(e, v, inverse));
    x = arith::MaxNumFOp::create(
        e, arith::MinNumFOp::create(e, x, e.splat(e.f32(127), type)),
        e.splat(e.f32(-127), type));
    return arith::FPToSIOp::create(e, intType, x);
  }
  Value toBytes(Value ints) {
    return arith::TruncIOp::create(e, e.vec(kLanes, e.getI8Type()), ints);
  }
  /// 32 bytes, in the order of codes.
  void storePair(Value low, Value high, Value to) {
    SmallVector<int64_t> order(rows.order);
    if (order.empty())
      order = llvm::to_vector(llvm::seq<int64_t>(0, 2 * kLanes));
    LLVM::StoreOp::create(e, vector::ShuffleOp::create(e, low, high, order), to,
                          1);
  }
  void storeCorrection(Value sums, Value block, int64_t sub) {
    Value sum =
        vector::ReductionOp::create(e, vector::CombiningKind::ADD, sums);
    Value correction;
    if (rows.hasMinimum)
      correction = arith::NegFOp::create(
          e, arith::MulFOp::create(
                 e, scale, arith::SIToFPOp::create(e, e.getF32Type(), sum)));
    else
      correction = e.mul(sum, e.i32(-rows.zero));
    LLVM::StoreOp::create(e, correction,
                          e.displace(block, rows.block + 4 + sub * 4), 4);
  }
  Emitter &e;
  const QuantizedRows &rows;
  Value src, from, weight;
  VectorType type, intType;
  Value scale, inverse;
};
} // namespace

void moe::emitQuantizeRows(Emitter &e, const QuantizedRows &rows, Value src,
                           Value tokens, Value weights, Value begin, Value end,
                           Value dst) {
  Value count = e.sub(end, begin);
  Value size = emitItemSize(e, count, unitsOfItem(rows.k * 4));
  Value base = e.address(dst);
  e.parallel(e.ceilDiv(count, size), [&](Emitter &e, Value item) {
    Value first = e.add(begin, e.mul(item, size));
    Value last = e.min(e.add(first, size), end);
    e.loop(first, last, 1, [&](Emitter &e, Value r) {
      Value from = tokens ? e.loadIndex(tokens, ValueRange{r}) : r;
      Value weight;
      if (weights)
        weight = e.splat(e.load(weights, ValueRange{r}), e.vecF32(kLanes));
      Value to = e.add(base, e.mul(r, rows.pitch()));
      e.loop(e.idx(rows.k / rows.block), [&](Emitter &e, Value block) {
        Value out = e.toPtr(e.add(to, e.mul(block, rows.blockBytes())));
        RowQuantizer(e, rows, src, from, weight)
            .emitBlock(e.mul(block, rows.block), out);
      });
    });
  });
}
