//===- ScaledProducts.cpp - Products in 8 bits, with scales -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Rows and weights of E4M3 have a scale for 128 values, the depth of a stage.
// So the products of a stage are summed apart, from zero, and what comes out is
// scaled and added to the sums in f32. That also bounds what tensor cores lose,
// which add up products of 8 bits in fewer bits than f32 has.
//
//===----------------------------------------------------------------------===//

#include "WarpgroupProducts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <numeric>

using namespace mlir;
using namespace moe::nvidia;

namespace {
/// Columns that are summed at once: registers have room for twice so many sums,
/// and half of that besides.
constexpr int64_t kColumns = TileBlock::kColumns / 2;
constexpr int64_t kDepth = 32;

/// Reads the scales of a stage's columns.
class ColumnScales {
public:
  ColumnScales(TileBlock &block, const Ring &ring)
      : code(block.code), scales(block.getColumnScales(ring)),
        pair(code.bitAnd(block.lane, 3)) {
    auto format = cast<moe::FP8FormatAttr>(
        Attribute(block.shape.blocks.getPanels().format));
    isByte = format.getExponents();
    // Columns of one scale, of the 32 of a panel.
    shared = std::gcd(format.getRows(), int64_t(32));
  }

  /// Of the two columns that a thread has of these eight.
  std::pair<Value, Value> get(int64_t firstColumn) {
    if (shared < 8)
      return isByte ? getBytes(firstColumn) : getFloats(firstColumn);
    int64_t first = firstColumn / shared * shared;
    if (first != lastFirst) {
      last = isByte ? toFloat(code.bitAnd(
                          code.load(code.i32(), code.at(scales, first)), 0xff))
                    : code.load(code.f32(), code.at(scales, first * 4));
      lastFirst = first;
    }
    return {last, last};
  }

private:
  std::pair<Value, Value> getFloats(int64_t firstColumn) {
    Value own = code.at(scales, code.shl(pair, 3));
    return {code.load(code.f32(), code.at(own, firstColumn * 4)),
            code.load(code.f32(), code.at(own, firstColumn * 4 + 4))};
  }

  /// Two pairs are in a word.
  std::pair<Value, Value> getBytes(int64_t firstColumn) {
    Value own = code.at(scales, code.shl(code.shr(pair, 1), 2));
    Value word = code.load(code.i32(), code.at(own, firstColumn));
    word =
        arith::ShRUIOp::create(code, word, code.shl(code.bitAnd(pair, 1), 4));
    return {toFloat(code.bitAnd(word, 0xff)),
            toFloat(code.bitAnd(code.shr(word, 8), 0xff))};
  }

  /// A power of two, whose byte is the exponent of an f32; 2^-127 has none.
  Value toFloat(Value byte) {
    Value bits = code.select(code.isEqual(byte, 0), code.constant(0x400000),
                             code.shl(byte, 23));
    return LLVM::BitcastOp::create(code, code.f32(), bits);
  }

  Emitter &code;
  Value scales, pair;
  bool isByte;
  int64_t shared, lastFirst = -1;
  Value last;
};
} // namespace

SmallVector<Value> moe::nvidia::addScaledProducts(TileBlock &block,
                                                  const Ring &ring,
                                                  Value firstRow,
                                                  ValueRange sums) {
  Emitter &code = block.code;
  SmallVector<Value> results(sums);
  Value lhs =
      getDescriptor(code, code.at(block.getLhs(ring),
                                  code.mul(firstRow, TileBlock::kRowBytes)));
  // Of a warp's 16 rows a thread has two.
  Value row =
      code.add(firstRow, code.add(code.mul(code.bitAnd(block.warp, 3), 16),
                                  code.shr(block.lane, 2)));
  Value rowScales = code.at(block.getRowScales(ring), code.mul(row, 4));
  Value ofRows[] = {code.load(code.f32(), rowScales),
                    code.load(code.f32(), code.at(rowScales, 8 * 4))};
  ColumnScales columns(block, ring);
  for (int64_t first = 0; first < TileBlock::kColumns; first += kColumns) {
    Value rhs = getDescriptor(
        code, code.at(block.getRhs(ring), first * TileBlock::kRowBytes));
    Value own = getZeroSums(code, kColumns);
    NVVM::WgmmaFenceAlignedOp::create(code);
    for (int64_t k = 0; k < TileBlock::kRowBytes; k += kDepth)
      own = multiply(code, NVVM::WGMMATypes::e4m3, own, code.add(lhs, k / 16),
                     code.add(rhs, k / 16), /*adds=*/k > 0);
    NVVM::WgmmaGroupSyncAlignedOp::create(code);
    NVVM::WgmmaWaitGroupSyncOp::create(code, code.getI64IntegerAttr(0));
    SmallVector<Value> products = settle(code, own);
    for (int64_t i = 0; i < kColumns / 2; i += 4) {
      auto [low, high] = columns.get(first + i * 2);
      for (int64_t half = 0; half < 2; ++half)
        for (int64_t j = 0; j < 2; ++j) {
          Value scale =
              arith::MulFOp::create(code, ofRows[half], j ? high : low);
          Value &sum = results[first / 2 + i + half * 2 + j];
          sum =
              LLVM::FMAOp::create(code, products[i + half * 2 + j], scale, sum);
        }
    }
  }
  return results;
}
