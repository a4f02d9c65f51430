//===- ByteProduct.cpp - Instructions that multiply bytes ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ByteProduct.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

Value ByteProduct::call(StringRef intrinsic, Type type, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(e, type, e.getStringAttr(intrinsic),
                                       operands)
      .getResult(0);
}

Value ByteProduct::cast(Value v, int64_t ofLane, Type element) {
  VectorType type = e.vec(ofLane * lanes, element);
  return v.getType() == type ? v : Value(LLVM::BitcastOp::create(e, type, v));
}

Value ByteProduct::withSign(Value codes) {
  if (!rows.hasSign || rows.largest <= 127)
    return codes;
  // 128 less.
  return arith::XOrIOp::create(
      e, codes, e.splat(e.i32(static_cast<int32_t>(0x80808080u)), intType));
}

namespace {
/// Four products and their sum in one instruction: vpdpbusd, of codes without a
/// sign, or sdot, of codes with one.
class DotProduct : public ByteProduct {
public:
  using ByteProduct::ByteProduct;

  void add(int64_t words, int64_t vectors, Codes codes, Bytes bytes,
           MutableArrayRef<Value> sums) override {
    StringRef name = lanes == 16  ? "llvm.x86.avx512.vpdpbusd.512"
                     : lanes == 8 ? "llvm.x86.avx512.vpdpbusd.256"
                                  : "llvm.aarch64.neon.sdot.v4i32.v16i8";
    for (int64_t word = 0; word < words; ++word) {
      // All rows' bytes would take more registers than all vectors' codes.
      SmallVector<Value> ofWord;
      for (int64_t v = 0; v < vectors; ++v)
        ofWord.push_back(asBytes(withSign(codes(word, v))));
      for (size_t row = 0; row < sums.size() / vectors; ++row) {
        Value x = asBytes(e.splatAt(bytes(word, row), intType));
        for (int64_t v = 0; v < vectors; ++v) {
          Value &sum = sums[row * vectors + v];
          sum = call(name, intType, {sum, ofWord[v], x});
        }
      }
    }
  }
};

/// Two products in 16 bits, which are added up while no sum can overflow:
/// vpmaddubsw, then vpmaddwd. Codes for which not even two would fit are
/// multiplied by their halves of four bits.
class MaddProduct : public ByteProduct {
public:
  using ByteProduct::ByteProduct;

  void add(int64_t words, int64_t vectors, Codes codes, Bytes bytes,
           MutableArrayRef<Value> sums) override {
    constexpr int64_t limit = 32767 / (2 * 128), nibble = 15;
    bool isSplit = limit / rows.largest < 2;
    int64_t atOnce = limit / (isSplit ? nibble : rows.largest);
    for (int64_t first = 0; first < words; first += atOnce) {
      int64_t last = std::min(words, first + atOnce);
      SmallVector<Value> low(sums.size()), high(sums.size());
      for (int64_t word = first; word < last; ++word)
        for (int64_t v = 0; v < vectors; ++v) {
          Value code = codes(word, v);
          Value upper;
          if (isSplit) {
            Value mask = e.splat(e.i32(0x0f0f0f0f), intType);
            Value four = e.splat(e.i32(4), intType);
            upper = arith::AndIOp::create(
                e, arith::ShRUIOp::create(e, code, four), mask);
            code = arith::AndIOp::create(e, code, mask);
          }
          for (size_t row = 0; row < sums.size() / vectors; ++row) {
            int64_t i = row * vectors + v;
            Value x = e.splatAt(bytes(word, row), intType);
            addPairs(low[i], code, x);
            if (isSplit)
              addPairs(high[i], upper, x);
          }
        }
      for (auto [i, sum] : llvm::enumerate(sums)) {
        sum = e.add(sum, addUp(low[i], 1));
        if (isSplit)
          sum = e.add(sum, addUp(high[i], 16));
      }
    }
  }

private:
  void addPairs(Value &sum, Value codes, Value bytes) {
    StringRef name = lanes == 16 ? "llvm.x86.avx512.pmaddubs.w.512"
                                 : "llvm.x86.avx2.pmadd.ub.sw";
    Value pairs = call(name, e.vec(2 * lanes, e.getI16Type()),
                       {asBytes(codes), asBytes(bytes)});
    sum = sum ? e.add(sum, pairs) : pairs;
  }
  /// Of each lane, times `factor`.
  Value addUp(Value halves, int64_t factor) {
    StringRef name =
        lanes == 16 ? "llvm.x86.avx512.pmaddw.d.512" : "llvm.x86.avx2.pmadd.wd";
    Value factors = e.splat(e.i32(factor << 16 | factor), intType);
    return call(name, intType, {halves, asHalves(factors)});
  }
};
/// Eight products each of two rows with two columns in one instruction, smmla.
/// Two words are bytes that follow one another.
class MmlaProduct : public ByteProduct {
public:
  using ByteProduct::ByteProduct;

  void add(int64_t words, int64_t vectors, Codes codes, Bytes bytes,
           MutableArrayRef<Value> sums) override {
    int64_t count = sums.size() / vectors;
    // Of two rows and two columns each; a row without another one is its own.
    SmallVector<Value> products(llvm::divideCeil(count, 2) * vectors * 2,
                                e.zeros(intType));
    auto at = [&](int64_t row, int64_t v, int64_t half) -> Value & {
      return products[(row / 2 * vectors + v) * 2 + half];
    };
    for (int64_t word = 0; word < words; word += 2) {
      SmallVector<Value> pairs;
      for (int64_t row = 0; row < count; row += 2)
        pairs.push_back(eightOf(bytes(word, row),
                                bytes(word, std::min(row + 1, count - 1))));
      for (int64_t v = 0; v < vectors; ++v) {
        // A word alone is followed by codes of zero.
        Value first = withSign(codes(word, v));
        Value second =
            word + 1 < words ? withSign(codes(word + 1, v)) : e.zeros(intType);
        for (int64_t half = 0; half < 2; ++half) {
          int64_t c = 2 * half;
          Value columns = asBytes(vector::ShuffleOp::create(
              e, first, second,
              ArrayRef<int64_t>{c, lanes + c, c + 1, lanes + c + 1}));
          for (int64_t row = 0; row < count; row += 2) {
            Value &sum = at(row, v, half);
            sum = call("llvm.aarch64.neon.smmla.v4i32.v16i8", intType,
                       {sum, pairs[row / 2], columns});
          }
        }
      }
    }
    for (int64_t row = 0; row < count; ++row)
      for (int64_t v = 0; v < vectors; ++v) {
        int64_t c = row % 2 * 2;
        Value own = vector::ShuffleOp::create(
            e, at(row, v, 0), at(row, v, 1),
            ArrayRef<int64_t>{c, c + 1, lanes + c, lanes + c + 1});
        Value &sum = sums[row * vectors + v];
        sum = e.add(sum, own);
      }
  }

private:
  /// Eight bytes of one row, then of another one.
  Value eightOf(Value low, Value high) {
    VectorType type = e.vec(2, e.getI32Type());
    auto load = [&](Value pointer) {
      return LLVM::LoadOp::create(e, type, pointer, /*alignment=*/1);
    };
    return asBytes(vector::ShuffleOp::create(e, load(low), load(high),
                                             ArrayRef<int64_t>{0, 1, 2, 3}));
  }
};
} // namespace

std::unique_ptr<ByteProduct> moe::createByteProduct(Emitter &e,
                                                    const QuantizedRows &rows,
                                                    ScheduleAttr schedule) {
  if (schedule.getInner() == Inner::MaddInt8)
    return std::make_unique<MaddProduct>(e, rows, schedule.getLanes());
  if (schedule.getInner() == Inner::MmlaInt8)
    return std::make_unique<MmlaProduct>(e, rows, schedule.getLanes());
  return std::make_unique<DotProduct>(e, rows, schedule.getLanes());
}
