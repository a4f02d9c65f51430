//===- DotKernel.cpp - Weights by dot products of bytes --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Codes, without a sign, times bytes of the rows: four k of a column at once,
// exact sums of a sub-block, which then get its scale and that of the row. Sums
// of integers have no order; those of sub-blocks are by ascending k.
//
//===----------------------------------------------------------------------===//

#include "BlockKernel.h"
#include "QuantizedRows.h"

using namespace mlir;
using namespace moe;

namespace {
class DotPass : public BlockPass {
public:
  DotPass(Emitter &e, const BlockShape &shape, int64_t rows, int64_t pitch,
          int64_t pass, const BlockArguments &arguments)
      : BlockPass(e, shape, rows, pitch, pass, arguments),
        format(cast<CodedFormatAttrInterface>(shape.format)),
        activations(format, shape.k),
        intType(e.vec(shape.lanes, e.getI32Type())),
        floatType(e.vecF32(shape.lanes)) {}

  void emitBlock(Value lhs, MutableArrayRef<Value> tile) override {
    const DecodeRounds &rounds = shape.rounds;
    if (activations.subBlock > rounds.period ||
        (rounds.periods == 1 && rounds.words > 16))
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
  CodedFormatAttrInterface format;
  QuantizedRows activations;
  VectorType intType, floatType;

  Value intsOf(Value lhs, int64_t r, int64_t sub) {
    if (activations.hasMinimum || activations.zero == 0)
      return e.zeros(intType);
    return splatAt(e.getI32Type(),
                   e.displace(lhs, r * pitch + activations.correctionAt(sub)),
                   intType);
  }

  /// ints += codes of one word of a stream times the bytes of each row.
  void addProducts(Value lhs, Value period, Value word, int64_t stream,
                   int64_t at, MutableArrayRef<Value> ints) {
    for (int64_t v = 0; v < shape.vectors; ++v) {
      Value codes =
          format.buildCodes(readers[v], shape.k, period, word, stream);
      for (int64_t r = 0; r < rows; ++r) {
        Value bytes =
            splatAt(e.getI32Type(), e.displace(lhs, r * pitch + at), intType);
        Value &sum = ints[r * shape.vectors + v];
        sum = dot(sum, codes, bytes);
      }
    }
  }

  Value dot(Value sum, Value codes, Value bytes) {
    VectorType type = e.vec(4 * shape.lanes, e.getI8Type());
    StringRef name = shape.lanes == 16 ? "llvm.x86.avx512.vpdpbusd.512"
                                       : "llvm.x86.avx512.vpdpbusd.256";
    return LLVM::CallIntrinsicOp::create(
               e, intType, e.getStringAttr(name),
               ValueRange{sum, LLVM::BitcastOp::create(e, type, codes),
                          LLVM::BitcastOp::create(e, type, bytes)})
        .getResult(0);
  }

  /// Sub-block `sub` of a period; `lhs` is where the period begins in the rows.
  void emitSubBlock(Value lhs, Value period, int64_t sub,
                    MutableArrayRef<Value> tile) {
    const DecodeRounds &rounds = shape.rounds;
    SmallVector<Value> ints;
    for (int64_t r = 0; r < rows; ++r)
      ints.append(shape.vectors, intsOf(lhs, r, sub));
    for (int64_t stream = 0; stream < int64_t(rounds.first.size()) / 4;
         ++stream)
      for (int64_t word = 0; word < rounds.words; ++word) {
        int64_t k = rounds.first[4 * stream] + word * rounds.advance;
        if (k / activations.subBlock == sub)
          addProducts(lhs, period, e.idx(word), stream, activations.valueAt(k),
                      ints);
      }
    int64_t perPeriod = rounds.period / activations.subBlock;
    Value index = readers[0].indexOf(period, perPeriod, sub);
    addToTile(lhs, index, sub, ints, tile);
  }

  /// One sum of all rounds.
  void emitLongBlock(Value lhs, MutableArrayRef<Value> tile) {
    const DecodeRounds &rounds = shape.rounds;
    SmallVector<Value> ints;
    for (int64_t r = 0; r < rows; ++r)
      ints.append(shape.vectors, intsOf(lhs, r, 0));
    emitRounds(ints, [&](Value period, Value word,
                         MutableArrayRef<Value> ints) {
      Value at = e.displace(lhs, e.toI64(e.add(e.mul(period, rounds.period),
                                               e.mul(word, rounds.advance))));
      for (int64_t stream = 0; stream < int64_t(rounds.first.size()) / 4;
           ++stream)
        addProducts(at, period, word, stream,
                    activations.valueAt(rounds.first[4 * stream]), ints);
    });
    addToTile(lhs, e.idx(0), 0, ints, tile);
  }

  /// tile += ints times the scale of the weights times that of the rows, less
  /// what is due to minima.
  void addToTile(Value lhs, Value index, int64_t sub, ArrayRef<Value> ints,
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
      Value scale = splatAt(e.getF32Type(),
                            e.displace(lhs, r * pitch + scaleAt), floatType);
      Value correction;
      if (activations.hasMinimum)
        correction =
            splatAt(e.getF32Type(),
                    e.displace(lhs, r * pitch + activations.correctionAt(sub)),
                    floatType);
      for (int64_t v = 0; v < shape.vectors; ++v) {
        Value &sum = tile[r * shape.vectors + v];
        Value product = arith::MulFOp::create(
            e,
            arith::SIToFPOp::create(e, floatType, ints[r * shape.vectors + v]),
            factors[v]);
        sum = vector::FMAOp::create(e, product, scale, sum);
        if (correction)
          sum = vector::FMAOp::create(e, minima[v], correction, sum);
      }
    }
  }
};
} // namespace

std::unique_ptr<BlockPass> moe::createDotPass(Emitter &e,
                                              const BlockShape &shape,
                                              int64_t rows, int64_t pitch,
                                              int64_t pass,
                                              const BlockArguments &arguments) {
  return std::make_unique<DotPass>(e, shape, rows, pitch, pass, arguments);
}
