//===- RowPairs.cpp - Rows in pairs, as bfmmla takes them ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "RowPairs.h"

using namespace mlir;
using namespace moe;

static constexpr int64_t kVectorBytes = 16;

SmallVector<Value> RowPairs::loadTile(Value acc) {
  SmallVector<Value> tile;
  VectorType type = e.vecF32(4);
  for (int64_t r = 0; r < rows; r += 2)
    for (int64_t v = 0; v < vectors; ++v) {
      int64_t column = v * kVectorBytes;
      Value top = load(type, e.displace(acc, r * kStepBytes + column), 4);
      Value bottom =
          load(type, e.displace(acc, second(r) * kStepBytes + column), 4);
      tile.push_back(shuffle(top, bottom, {0, 1, 4, 5}));
      tile.push_back(shuffle(top, bottom, {2, 3, 6, 7}));
    }
  return tile;
}

void RowPairs::storeTile(Value acc, ValueRange tile) {
  for (int64_t r = 0, i = 0; r < rows; r += 2)
    for (int64_t v = 0; v < vectors; ++v, i += 2) {
      int64_t column = v * kVectorBytes;
      LLVM::StoreOp::create(e, shuffle(tile[i], tile[i + 1], {0, 1, 4, 5}),
                            e.displace(acc, r * kStepBytes + column), 4);
      if (r + 1 < rows)
        LLVM::StoreOp::create(e, shuffle(tile[i], tile[i + 1], {2, 3, 6, 7}),
                              e.displace(acc, (r + 1) * kStepBytes + column),
                              4);
    }
}

SmallVector<Value> RowPairs::loadRows(Value lhs, int64_t pitch) {
  VectorType half = e.vec(4, e.getBF16Type());
  SmallVector<Value> pairs;
  for (int64_t r = 0; r < rows; r += 2) {
    Value top = load(half, e.displace(lhs, r * pitch), 2);
    Value bottom = load(half, e.displace(lhs, second(r) * pitch), 2);
    pairs.push_back(shuffle(top, bottom, {0, 1, 2, 3, 4, 5, 6, 7}));
  }
  return pairs;
}

void RowPairs::multiply(ArrayRef<Value> pairs, Value weights, int64_t v,
                        int64_t side, MutableArrayRef<Value> tile) {
  for (auto [p, pair] : llvm::enumerate(pairs)) {
    Value &x = tile[(p * vectors + v) * 2 + side];
    x = LLVM::CallIntrinsicOp::create(
            e, e.vecF32(4), e.getStringAttr("llvm.aarch64.neon.bfmmla"),
            ValueRange{x, pair, weights})
            .getResult(0);
  }
}
