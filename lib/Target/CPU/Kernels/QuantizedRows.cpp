//===- QuantizedRows.cpp - Rows that products of bytes read ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A value is divided by a 127th of the largest of its block, or by so many
// 256th of that as there are values of a byte more, and rounded to nearest
// even. A NaN makes the scale of its block one, so that it reaches the result.
//
//===----------------------------------------------------------------------===//

#include "QuantizedRows.h"

#include "Lowerings.h"

using namespace mlir;
using namespace moe;

/// Values with one scale: as many as common formats of weights have.
static constexpr int64_t kValuesOfScale = 32;
static constexpr int64_t kLanes = 16;

QuantizedRows::QuantizedRows(CodedFormatAttrInterface format, int64_t k,
                             moecpu::ScheduleAttr schedule)
    : k(k), planes(schedule.getPlanes()) {
  CodeForm form = format.getCodeForm(k);
  subBlock = form.subBlock;
  block = std::max(subBlock, kValuesOfScale);
  zero = form.zero;
  largest = std::min<int64_t>(255, form.zero + form.most);
  hasMinimum = form.hasMinimum;
  // AArch64 multiplies numbers with a sign.
  hasSign = schedule.getLanes() == 4;
  if (hasSign && largest > 127)
    zero -= 128;
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

int64_t QuantizedRows::valueAt(int64_t k, int64_t plane) const {
  int64_t within = k % block;
  if (!order.empty())
    within += llvm::find(order, within % kValuesOfScale) - order.begin() -
              within % kValuesOfScale;
  return k / block * blockBytes() + plane * block + within;
}

int64_t QuantizedRows::scaleAt(int64_t index) const {
  return index * blockBytes() + planes * block;
}

int64_t QuantizedRows::correctionAt(int64_t index, int64_t plane) const {
  int64_t perBlock = block / subBlock, ofSub = hasMinimum ? 1 : planes;
  return scaleAt(index / perBlock) + 4 + (index % perBlock * ofSub + plane) * 4;
}

namespace {
/// One row, as vectors of 16 values.
class RowQuantizer {
public:
  RowQuantizer(Emitter &e, const QuantizedRows &rows, Value src, Value from,
               Value weight)
      : e(e), rows(rows), src(src), from(from), weight(weight),
        type(e.vecF32(kLanes)), intType(e.vec(kLanes, e.getI32Type())),
        steps(rows.planes == 1 ? 127 : 127 * 256) {}

  /// The block that begins with value `k` and is written to `block`.
  void emitBlock(Value k, Value block) {
    int64_t vectors = rows.block / kLanes;
    if (vectors > 4)
      return emitLongBlock(k, block, vectors);
    SmallVector<Value> values;
    Value largest;
    for (int64_t i = 0; i < vectors; ++i) {
      values.push_back(load(e.add(k, i * kLanes)));
      largest = max(largest, magnitude(values.back()));
    }
    setScale(largest, block);
    SmallVector<Value> ints;
    for (Value v : values)
      ints.push_back(quantize(v));
    for (int64_t i = 0; i < vectors; i += 2)
      storePair(ints[i], ints[i + 1], e.displace(block, i * kLanes));
    int64_t perSub = rows.subBlock / kLanes;
    for (int64_t sub = 0; sub < vectors / perSub; ++sub)
      storeCorrections(sumsOf(ArrayRef(ints).slice(sub * perSub, perSub)),
                       block, sub);
  }

private:
  void emitLongBlock(Value k, Value block, int64_t vectors) {
    auto reduce = [&](ValueRange init, auto &&body) {
      auto loop = scf::ForOp::create(e, e.idx(0), e.idx(vectors * kLanes),
                                     e.idx(2 * kLanes), init);
      OpBuilder::InsertionGuard guard(e);
      e.setInsertionPointToStart(loop.getBody());
      SmallVector<Value> carried(loop.getRegionIterArgs());
      body(loop.getInductionVar(), carried);
      scf::YieldOp::create(e, carried);
      return SmallVector<Value>(loop.getResults());
    };
    Value largest =
        reduce(e.zeros(intType), [&](Value i, SmallVectorImpl<Value> &most) {
          for (int64_t half = 0; half < 2; ++half)
            most[0] = max(most[0],
                          magnitude(load(e.add(e.add(k, i), half * kLanes))));
        })[0];
    setScale(largest, block);
    SmallVector<Value> zeros(rows.hasMinimum ? 1 : rows.planes,
                             e.zeros(intType));
    SmallVector<Value> sums = reduce(zeros, [&](Value i,
                                                SmallVectorImpl<Value> &sums) {
      Value at = e.add(k, i);
      Value ints[] = {quantize(load(at)), quantize(load(e.add(at, kLanes)))};
      storePair(ints[0], ints[1], e.displace(block, e.toI64(i)));
      for (auto [sum, more] : llvm::zip_equal(sums, sumsOf(ints)))
        sum = e.add(sum, more);
    });
    storeCorrections(sums, block, 0);
  }

  Value load(Value column) {
    Type element = cast<MemRefType>(src.getType()).getElementType();
    Value v = vector::LoadOp::create(e, e.vec(kLanes, element), src,
                                     ValueRange{from, column});
    if (!element.isF32())
      v = arith::ExtFOp::create(e, type, v);
    return weight ? Value(arith::MulFOp::create(e, v, weight)) : v;
  }
  /// The bits without the sign: as integers they are in the order of
  /// magnitudes, a NaN above all.
  Value magnitude(Value v) {
    return arith::AndIOp::create(e, arith::BitcastOp::create(e, intType, v),
                                 e.splat(e.i32(0x7fffffff), intType));
  }
  Value max(Value a, Value b) {
    return a ? Value(arith::MaxUIOp::create(e, a, b)) : b;
  }
  void setScale(Value magnitudes, Value block) {
    Value largest = arith::BitcastOp::create(
        e, e.getF32Type(),
        vector::ReductionOp::create(e, vector::CombiningKind::MAXUI,
                                    magnitudes));
    scale = arith::MulFOp::create(e, largest, e.f32(1.0 / steps));
    LLVM::StoreOp::create(e, scale, e.displace(block, rows.planes * rows.block),
                          4);
    // Blocks of values so small that a scale would be none are zeros.
    Value some = arith::CmpFOp::create(e, arith::CmpFPredicate::OGT, largest,
                                       e.f32(0x1p-110));
    Value factor = e.select(
        some, arith::DivFOp::create(e, e.f32(steps), largest), e.f32(0));
    inverse = e.splat(factor, type);
  }
  /// As i32. 1.5 * 2^23 more has the integer in its lowest bits, rounded to
  /// nearest even; what is no number becomes some integer, and the scale says
  /// it.
  Value quantize(Value v) {
    constexpr double shift = 0x1.8p23;
    Value x = arith::AddFOp::create(e, arith::MulFOp::create(e, v, inverse),
                                    e.splat(e.f32(shift), type));
    return e.sub(arith::BitcastOp::create(e, intType, x),
                 e.splat(e.i32(0x4B400000), intType));
  }
  /// The plane `plane` of integers, as bytes in the lowest bits.
  Value planeOf(Value ints, int64_t plane) {
    if (plane == 0)
      return ints;
    return arith::ShRSIOp::create(e, e.add(ints, e.splat(e.i32(128), intType)),
                                  e.splat(e.i32(8), intType));
  }
  Value toBytes(Value ints) {
    return arith::TruncIOp::create(e, e.vec(kLanes, e.getI8Type()), ints);
  }
  /// What corrections need of integers, lane by lane: their sum where weights
  /// have minima, else that of each plane.
  SmallVector<Value> sumsOf(ArrayRef<Value> ints) {
    auto total = [&](auto &&of) {
      Value sum;
      for (Value v : ints)
        sum = sum ? e.add(sum, of(v)) : of(v);
      return sum;
    };
    Value all = total([](Value v) { return v; });
    if (rows.hasMinimum || rows.planes == 1)
      return {all};
    // The low plane is what the high one leaves.
    Value high = total([&](Value v) { return planeOf(v, 1); });
    Value ofHigh = arith::ShLIOp::create(e, high, e.splat(e.i32(8), intType));
    return {e.sub(all, ofHigh), high};
  }
  /// 32 values, in the order of codes.
  void storePair(Value low, Value high, Value to) {
    SmallVector<int64_t> order(rows.order);
    if (order.empty())
      order = llvm::to_vector(llvm::seq<int64_t>(0, 2 * kLanes));
    for (int64_t plane = 0; plane < rows.planes; ++plane)
      LLVM::StoreOp::create(
          e,
          vector::ShuffleOp::create(e, toBytes(planeOf(low, plane)),
                                    toBytes(planeOf(high, plane)), order),
          e.displace(to, plane * rows.block), 1);
  }
  void storeCorrections(ArrayRef<Value> sums, Value block, int64_t sub) {
    for (auto [plane, lanes] : llvm::enumerate(sums)) {
      Value sum =
          vector::ReductionOp::create(e, vector::CombiningKind::ADD, lanes);
      Value correction;
      if (rows.hasMinimum)
        correction = arith::NegFOp::create(
            e, arith::MulFOp::create(
                   e, scale, arith::SIToFPOp::create(e, e.getF32Type(), sum)));
      else
        correction = e.mul(sum, e.i32(-rows.zero));
      LLVM::StoreOp::create(
          e, correction, e.displace(block, rows.correctionAt(sub, plane)), 4);
    }
  }
  Emitter &e;
  const QuantizedRows &rows;
  Value src, from, weight;
  VectorType type, intType;
  double steps;
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
