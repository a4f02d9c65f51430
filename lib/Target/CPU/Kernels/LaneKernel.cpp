//===- LaneKernel.cpp - Tiles that multiply by a lane -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The order of a step's instructions is what decides whether they fit into 32
// registers; see docs/performance.md.
//
//===----------------------------------------------------------------------===//

#include "LaneKernel.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;

/// k of one load of the left operand.
static constexpr int64_t kQuad = 4;
/// Up to so many rows hold their quads in registers all at once. (SVE takes
/// lanes from registers 0 to 7 only, too.)
static constexpr int64_t kMaxQuads = 8;

SmallVector<Value> LaneKernel::loadTile(const Pass &pass, Value acc) {
  SmallVector<Value> tile;
  acc = e.displace(acc, pass.offset);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      tile.push_back(loadColumns(vecType, pass, at(acc, r * kStepBytes), v));
  return tile;
}

void LaneKernel::storeTile(const Pass &pass, Value acc, ValueRange tile) {
  acc = e.displace(acc, pass.offset);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      storeColumns(tile[r * vectors + v], pass, at(acc, r * kStepBytes), v);
}

int64_t LaneKernel::getSteps() const {
  return inner == Inner::Widen ? kQuad / 2 : kQuad;
}

void LaneKernel::multiply(const Pass &pass, Value panel, Value lhs,
                          MutableArrayRef<Value> tile) {
  auto multiplyRow = [&](int64_t r, Value quad, int64_t u,
                         ArrayRef<Value> weights) {
    for (int64_t v = 0; v < vectors; ++v) {
      Value &x = tile[r * vectors + v];
      x = multiplyLane(x, weights[v], quad, u);
    }
  };
  SmallVector<Value> raw;
  // Many rows by few columns: the weights of all four k fit beside the
  // accumulators, the quads of all rows do not.
  if (rows > kMaxQuads || vectors < 4) {
    SmallVector<SmallVector<Value>> weights;
    for (int64_t u = 0; u < kQuad; ++u)
      weights.push_back(loadWeights(pass, panel, u, raw));
    for (int64_t r = 0; r < rows; ++r) {
      Value quad = loadQuad(at(lhs, r * pitch));
      for (int64_t u = 0; u < kQuad; ++u)
        multiplyRow(r, quad, u, weights[u]);
    }
    return;
  }
  SmallVector<Value> quads;
  for (int64_t r = 0; r < rows; ++r)
    quads.push_back(loadQuad(at(lhs, r * pitch)));
  for (int64_t u = 0; u < kQuad; ++u) {
    SmallVector<Value> weights = loadWeights(pass, panel, u, raw);
    for (int64_t r = 0; r < rows; ++r)
      multiplyRow(r, quads[r], u, weights);
  }
}

/// The weights of the `u`th k. Two k of bf16 are in one vector, which `raw`
/// keeps.
SmallVector<Value> LaneKernel::loadWeights(const Pass &pass, Value panel,
                                           int64_t u,
                                           SmallVectorImpl<Value> &raw) {
  SmallVector<Value> weights;
  if (inner == Inner::Fma) {
    for (int64_t v = 0; v < vectors; ++v)
      weights.push_back(
          loadColumns(vecType, pass, at(panel, u * kStepBytes), v));
    return weights;
  }
  if (u % 2 == 0) {
    raw.clear();
    for (int64_t v = 0; v < vectors; ++v)
      raw.push_back(loadColumns(vecType.clone(e.getI32Type()), pass,
                                at(panel, u / 2 * kStepBytes), v));
  }
  for (int64_t v = 0; v < vectors; ++v) {
    weights.push_back(emitWidenedHalf(e, raw[v], u % 2, vecType));
    if (widened)
      storeColumns(weights.back(), pass, at(widened, u * kStepBytes), v);
  }
  return weights;
}
