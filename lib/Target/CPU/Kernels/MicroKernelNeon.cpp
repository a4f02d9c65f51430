//===- MicroKernelNeon.cpp - Tiles of NEON -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// f32 multiply-adds by lane, and bfmmla.
//
//===----------------------------------------------------------------------===//

#include "LaneKernel.h"
#include "RowPairs.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

static constexpr int64_t kLanes = 4;
static constexpr int64_t kVectorBytes = 16;

/// Vectors of a panel row that one pass over k covers: as many as fit the
/// registers beside the accumulators, and enough of them with few rows.
static int64_t getVectors(ScheduleAttr schedule, int64_t rows) {
  if (rows <= 2)
    return 8;
  switch (schedule.getInner()) {
  case Inner::MmlaBF16:
    return 4;
  case Inner::Widen:
    return rows <= 4 ? 4 : 2;
  default:
    return rows <= 5 ? 4 : 2;
  }
}

int64_t moe::getNeonPasses(ScheduleAttr schedule, int64_t rows) {
  return kPanelColumns / (getVectors(schedule, rows) * kLanes);
}

/// Passes of 16 columns or less are within a line.
static SmallVector<int64_t> getNeonLines(int64_t vectors) {
  return vectors * kVectorBytes > 64 ? SmallVector<int64_t>{0, 64}
                                     : SmallVector<int64_t>{0};
}

namespace {
/// f32 multiply-adds.
class NeonFmaKernel : public LaneKernel {
public:
  NeonFmaKernel(Emitter &e, ScheduleAttr schedule, int64_t rows, int64_t pitch)
      : LaneKernel(e, schedule, rows, pitch, getVectors(schedule, rows),
                   e.vecF32(kLanes)) {}

  void forEachPass(PassBody body) override {
    emitPassLoop(e.idx(vectors * kLanes), [&](Pass &pass, Value column) {
      pass.offset = pass.panelOffset = e.toI64(e.mul(column, 4));
      body(pass);
    });
  }
  SmallVector<int64_t> getOwnLines(const Pass &) const override {
    return getNeonLines(vectors);
  }

protected:
  Value loadColumns(VectorType type, const Pass &, Value base,
                    int64_t v) override {
    return load(type, at(base, v * kVectorBytes), 4);
  }
  void storeColumns(Value vector, const Pass &, Value base,
                    int64_t v) override {
    LLVM::StoreOp::create(e, vector, at(base, v * kVectorBytes), 4);
  }
  Value loadQuad(Value pointer) override { return load(vecType, pointer, 4); }
  Value multiplyLane(Value x, Value weights, Value quad,
                     int64_t lane) override {
    Value b = e.splat(vector::ExtractOp::create(e, quad, lane), vecType);
    return vector::FMAOp::create(e, b, weights, x);
  }
};

/// The same of steps of k that do not follow one another: a value of a row is
/// loaded for all lanes.
class NeonStepKernel : public NeonFmaKernel {
public:
  using NeonFmaKernel::NeonFmaKernel;

  int64_t getSteps() const override { return 1; }

  void multiply(const Pass &pass, Value panel, Value lhs,
                MutableArrayRef<Value> tile) override {
    bool isWide = inner == Inner::Fma;
    SmallVector<Value> loaded;
    for (int64_t v = 0; v < vectors; ++v)
      loaded.push_back(loadColumns(
          isWide ? vecType : vecType.clone(e.getI32Type()), pass, panel, v));
    for (int64_t half = 0; half < (isWide ? 1 : 2); ++half) {
      SmallVector<Value> weights;
      for (Value columns : loaded)
        weights.push_back(isWide ? columns
                                 : emitWidenedHalf(e, columns, half, vecType));
      for (int64_t r = 0; r < rows; ++r) {
        Value b = e.splatAt(at(lhs, r * pitch + 4 * half), vecType);
        for (int64_t v = 0; v < vectors; ++v) {
          Value &sum = tile[r * vectors + v];
          sum = vector::FMAOp::create(e, b, weights[v], sum);
        }
      }
    }
  }
};

/// bfmmla.
class NeonMmlaKernel : public TileKernel {
public:
  NeonMmlaKernel(Emitter &e, ScheduleAttr schedule, int64_t kBlock,
                 int64_t rows, int64_t pitch)
      : TileKernel(e, schedule, rows, pitch), kBlock(kBlock),
        // Putting weights together takes registers, too.
        vectors(kBlock < 4 && rows > 4 ? 2 : getVectors(schedule, rows)),
        pairs(e, rows, vectors) {}

  void forEachPass(PassBody body) override {
    emitPassLoop(e.idx(vectors * kLanes), [&](Pass &pass, Value column) {
      pass.offset = e.toI64(e.mul(column, 4));
      pass.panelOffset = e.toI64(e.mul(column, kBlock * 2));
      body(pass);
    });
  }
  SmallVector<int64_t> getOwnLines(const Pass &) const override {
    return getNeonLines(vectors);
  }

  SmallVector<Value> loadTile(const Pass &pass, Value acc) override {
    return pairs.loadTile(e.displace(acc, pass.offset));
  }

  void storeTile(const Pass &pass, Value acc, ValueRange tile) override {
    pairs.storeTile(e.displace(acc, pass.offset), tile);
  }

  /// Four k.
  int64_t getSteps() const override { return 2; }

  void multiply(const Pass &pass, Value panel, Value lhs,
                MutableArrayRef<Value> tile) override {
    SmallVector<Value> rows = pairs.loadRows(lhs, pitch);
    // 4 f32 of a row of the tile are two vectors of 2 columns x 4 k here.
    for (int64_t v = 0; v < vectors; ++v) {
      Value first, second;
      for (int64_t side = 0; side < 2; ++side)
        pairs.multiply(rows, loadWeights(panel, v, side, first, second), v,
                       side, tile);
    }
  }

private:
  int64_t kBlock, vectors;
  RowPairs pairs;

  /// Four k of columns 4v and 4v + 1, or of the two after them. Where only
  /// pairs of k are together, `first` and `second` keep these of all four.
  Value loadWeights(Value panel, int64_t v, int64_t side, Value &first,
                    Value &second) {
    VectorType type = e.vec(8, e.getBF16Type());
    if (kBlock == 4)
      return load(type, at(panel, (2 * v + side) * kVectorBytes), 2);
    VectorType words = e.vec(kLanes, e.getI32Type());
    if (side == 0) {
      first = load(words, at(panel, v * kVectorBytes), 4);
      second = load(words, at(panel, kStepBytes + v * kVectorBytes), 4);
    }
    int64_t c = 2 * side;
    return LLVM::BitcastOp::create(
        e, type,
        vector::ShuffleOp::create(e, first, second,
                                  ArrayRef<int64_t>{c, c + 4, c + 1, c + 5}));
  }
};
} // namespace

std::unique_ptr<TileKernel> moe::createNeonStepKernel(Emitter &e,
                                                      ScheduleAttr schedule,
                                                      int64_t rows,
                                                      int64_t pitch) {
  return std::make_unique<NeonStepKernel>(e, schedule, rows, pitch);
}

std::unique_ptr<TileKernel> moe::createNeonKernel(Emitter &e,
                                                  ScheduleAttr schedule,
                                                  int64_t kBlock, int64_t rows,
                                                  int64_t pitch) {
  if (schedule.getInner() == Inner::MmlaBF16)
    return std::make_unique<NeonMmlaKernel>(e, schedule, kBlock, rows, pitch);
  return std::make_unique<NeonFmaKernel>(e, schedule, rows, pitch);
}
