//===- DotKernel.cpp - Weights by dot products of bytes --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Codes times bytes of the rows: four k of a column at once, exact sums of a
// sub-block, which then get its scale and that of the row. Sums of integers
// have no order; those of sub-blocks are by ascending k.
//
//===----------------------------------------------------------------------===//

#include "BlockKernel.h"
#include "ByteProduct.h"

using namespace mlir;
using namespace moe;

namespace {
class DotPass : public BlockPass {
public:
  DotPass(Emitter &e, const BlockShape &shape, int64_t pitch, int64_t pass,
          const BlockArguments &arguments)
      : BlockPass(e, shape, pitch, pass, arguments),
        format(cast<CodedFormatAttrInterface>(shape.format)),
        activations(format, shape.k, shape.schedule),
        product(createByteProduct(e, activations, shape.schedule)),
        intType(e.vec(shape.lanes, e.getI32Type())),
        floatType(e.vecF32(shape.lanes)) {}

  void emitBlock(Value lhs, MutableArrayRef<Value> tile) override {
    const DecodeRounds &rounds = shape.rounds;
    if (activations.subBlock > rounds.period)
      return emitLongBlock(lhs, tile);
    emitPeriods(tile, [&](Value period, MutableArrayRef<Value> tile) {
      int64_t perPeriod = rounds.period / activations.subBlock;
      Value at = e.displace(
          lhs, e.toI64(e.mul(period, rounds.period / activations.block *
                                         activations.blockBytes())));
      for (int64_t sub = 0; sub < perPeriod; ++sub)
        emitSubBlock(at, period, sub, tile);
    });
  }

private:
  /// Four codes of each column, and where the bytes for them are in a row.
  struct Word {
    Value index;
    int64_t stream, k;
  };

  CodedFormatAttrInterface format;
  QuantizedRows activations;
  std::unique_ptr<ByteProduct> product;
  VectorType intType, floatType;

  /// What sums of sub-block `sub` begin with: by row, plane and vector.
  SmallVector<Value> beginSums(Value lhs, int64_t sub) {
    SmallVector<Value> sums;
    bool isZero = activations.hasMinimum || activations.zero == 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t plane = 0; plane < activations.planes; ++plane)
        sums.append(
            shape.vectors,
            isZero ? e.zeros(intType)
                   : e.splatAt(
                         e.displace(lhs, r * pitch + activations.correctionAt(
                                                         sub, plane)),
                         intType));
    return sums;
  }

  void addProducts(Value lhs, Value period, ArrayRef<Word> words,
                   MutableArrayRef<Value> sums) {
    product->add(
        words.size(), shape.vectors,
        [&](int64_t word, int64_t v) {
          return format.buildCodes(readers[v], shape.k, period,
                                   words[word].index, words[word].stream);
        },
        [&](int64_t word, int64_t row) {
          int64_t plane = row % activations.planes;
          return e.displace(lhs, row / activations.planes * pitch +
                                     activations.valueAt(words[word].k, plane));
        },
        sums);
  }

  /// The words of sub-block `sub` of a period, or all of them if it is longer.
  SmallVector<Word> getWords(int64_t sub) {
    const DecodeRounds &rounds = shape.rounds;
    SmallVector<Word> words;
    for (int64_t stream = 0; stream < int64_t(rounds.first.size()) / 4;
         ++stream)
      for (int64_t word = 0; word < rounds.words; ++word) {
        int64_t k = rounds.first[4 * stream] + word * rounds.advance;
        if (k / activations.subBlock == sub)
          words.push_back({e.idx(word), stream, k});
      }
    // Integers have no order, but bytes that follow one another may be loaded
    // at once.
    llvm::stable_sort(words, [&](const Word &a, const Word &b) {
      return activations.valueAt(a.k, 0) < activations.valueAt(b.k, 0);
    });
    return words;
  }

  /// Sub-block `sub` of a period; `lhs` is where the period begins in the rows.
  void emitSubBlock(Value lhs, Value period, int64_t sub,
                    MutableArrayRef<Value> tile) {
    SmallVector<Value> sums = beginSums(lhs, sub);
    addProducts(lhs, period, getWords(sub), sums);
    int64_t perPeriod = shape.rounds.period / activations.subBlock;
    Value index = readers[0].indexOf(period, perPeriod, sub);
    addToTile(lhs, index, sub, sums, tile);
  }

  /// One sum of all periods.
  void emitLongBlock(Value lhs, MutableArrayRef<Value> tile) {
    SmallVector<Value> sums = beginSums(lhs, 0);
    emitPeriods(sums, [&](Value period, MutableArrayRef<Value> sums) {
      Value at = e.displace(lhs, e.toI64(e.mul(period, shape.rounds.period)));
      addProducts(at, period, getWords(0), sums);
    });
    addToTile(lhs, e.idx(0), 0, sums, tile);
  }

  /// The sum of row `r` and vector `v`, of all its planes.
  Value toFloat(ArrayRef<Value> sums, int64_t r, int64_t v) {
    auto convert = [&](int64_t plane) -> Value {
      int64_t row = r * activations.planes + plane;
      return arith::SIToFPOp::create(e, floatType,
                                     sums[row * shape.vectors + v]);
    };
    if (activations.planes == 1)
      return convert(0);
    return vector::FMAOp::create(e, convert(1), e.splat(e.f32(256), floatType),
                                 convert(0));
  }

  /// tile += sums times the scale of the weights times that of the rows, less
  /// what is due to minima.
  void addToTile(Value lhs, Value index, int64_t sub, ArrayRef<Value> sums,
                 MutableArrayRef<Value> tile) {
    int64_t scales = format.getBlockSize(shape.k) / activations.subBlock;
    int64_t scaleAt =
        activations.scaleAt(sub * activations.subBlock / activations.block);
    SmallVector<Value> factors, minima;
    for (PanelReader &reader : readers) {
      factors.push_back(reader.readShared(index));
      if (activations.hasMinimum)
        minima.push_back(reader.readShared(reader.indexOf(index, 1, scales)));
    }
    for (int64_t r = 0; r < rows; ++r) {
      Value scale = e.splatAt(e.displace(lhs, r * pitch + scaleAt), floatType);
      Value correction;
      if (activations.hasMinimum)
        correction = e.splatAt(
            e.displace(lhs, r * pitch + activations.correctionAt(sub, 0)),
            floatType);
      for (int64_t v = 0; v < shape.vectors; ++v) {
        Value &sum = tile[r * shape.vectors + v];
        Value scaled =
            arith::MulFOp::create(e, toFloat(sums, r, v), factors[v]);
        sum = vector::FMAOp::create(e, scaled, scale, sum);
        if (correction)
          sum = vector::FMAOp::create(e, minima[v], correction, sum);
      }
    }
  }
};
} // namespace

std::unique_ptr<BlockPass> moe::createDotPass(Emitter &e,
                                              const BlockShape &shape,
                                              int64_t pitch, int64_t pass,
                                              const BlockArguments &arguments) {
  return std::make_unique<DotPass>(e, shape, pitch, pass, arguments);
}
