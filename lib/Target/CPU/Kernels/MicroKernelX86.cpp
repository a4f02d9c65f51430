//===- MicroKernelX86.cpp - Tiles of AVX2 and AVX-512 -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Multiply-adds take one operand from memory and broadcast it, so a step is
// one value (or pair) of k.
//
//===----------------------------------------------------------------------===//

#include "TileKernel.h"

using namespace mlir;
using namespace moe;
using moecpu::Inner;
using moecpu::ScheduleAttr;

/// Vectors of a panel row that one pass over k covers. All four 8-lane vectors
/// fit beside the accumulators only for one or two rows.
static int64_t getVectors(ScheduleAttr schedule, int64_t rows) {
  if (schedule.getLanes() == 16)
    return 2;
  bool widen = schedule.getInner() == Inner::Widen;
  return rows <= (widen ? 1 : 2) ? 4 : 2;
}

int64_t moe::getX86Passes(ScheduleAttr schedule, int64_t rows) {
  return kPanelColumns / (getVectors(schedule, rows) * schedule.getLanes());
}

namespace {
class X86Kernel : public TileKernel {
public:
  X86Kernel(Emitter &e, ScheduleAttr schedule, int64_t rows, int64_t pitch)
      : TileKernel(e, schedule, rows, pitch), lanes(schedule.getLanes()),
        vectors(getVectors(schedule, rows)),
        passes(getX86Passes(schedule, rows)), vecType(e.vecF32(lanes)) {}

  void forEachPass(PassBody body) override {
    for (int64_t pass = 0; pass < passes; ++pass)
      body(Pass{pass});
  }

  SmallVector<Value> loadTile(const Pass &pass, Value acc) override {
    SmallVector<Value> tile;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        tile.push_back(load(vecType,
                            at(acc, r * kStepBytes + columnBytes(pass, v)),
                            lanes * 4));
    return tile;
  }

  void storeTile(const Pass &pass, Value acc, ValueRange tile) override {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        LLVM::StoreOp::create(e, tile[r * vectors + v],
                              at(acc, r * kStepBytes + columnBytes(pass, v)),
                              lanes * 4);
  }

  int64_t getSteps() const override { return 1; }
  bool isOrdered() const override { return true; }

  void multiply(const Pass &pass, Value panel, Value lhs,
                MutableArrayRef<Value> tile) override {
    switch (inner) {
    case Inner::Fma:
      return multiplyFma(pass, panel, lhs, tile);
    case Inner::Widen:
      return multiplyWiden(pass, panel, lhs, tile);
    case Inner::DotBF16:
      return multiplyDot(pass, panel, lhs, tile);
    default:
      break;
    }
    llvm_unreachable("schedules of 8 and 16 lanes have no such tiles");
  }

private:
  int64_t lanes, vectors, passes;
  VectorType vecType;

  /// Where vector `v` of a pass lies in a row of 32 columns of 4 bytes. With
  /// two passes each takes half of both groups of 16 columns, so that gate and
  /// up columns of one register index still belong together.
  int64_t columnBytes(const Pass &pass, int64_t v) {
    int64_t bytes = lanes * 4;
    return passes > 1 ? v * 64 + pass.index * bytes : v * bytes;
  }

  void multiplyFma(const Pass &pass, Value panel, Value lhs,
                   MutableArrayRef<Value> tile) {
    SmallVector<Value> w;
    for (int64_t v = 0; v < vectors; ++v)
      w.push_back(load(vecType, at(panel, columnBytes(pass, v)), 4));
    for (int64_t r = 0; r < rows; ++r) {
      Value b = e.splat(load(e.getF32Type(), at(lhs, r * pitch), 4), vecType);
      for (int64_t v = 0; v < vectors; ++v) {
        Value &a = tile[r * vectors + v];
        a = vector::FMAOp::create(e, b, w[v], a);
      }
    }
  }

  /// A pair of bf16 is one i32 lane: the even k is its low half, moved up, the
  /// odd k its high half.
  void multiplyWiden(const Pass &pass, Value panel, Value lhs,
                     MutableArrayRef<Value> tile) {
    VectorType intType = e.vec(lanes, e.getI32Type());
    SmallVector<Value> raw;
    for (int64_t v = 0; v < vectors; ++v)
      raw.push_back(load(intType, at(panel, columnBytes(pass, v)), 4));
    for (int64_t half = 0; half < 2; ++half) {
      SmallVector<Value> w;
      for (int64_t v = 0; v < vectors; ++v) {
        w.push_back(emitWidenedHalf(e, raw[v], half, vecType));
        if (widened)
          LLVM::StoreOp::create(
              e, w.back(),
              at(widened, half * kStepBytes + columnBytes(pass, v)), 4);
      }
      for (int64_t r = 0; r < rows; ++r) {
        Value scalar = load(e.getF32Type(), at(lhs, r * pitch + 4 * half), 4);
        Value b = e.splat(scalar, vecType);
        for (int64_t v = 0; v < vectors; ++v) {
          Value &a = tile[r * vectors + v];
          a = vector::FMAOp::create(e, b, w[v], a);
        }
      }
    }
  }

  void multiplyDot(const Pass &pass, Value panel, Value lhs,
                   MutableArrayRef<Value> tile) {
    VectorType pairs = e.vec(2 * lanes, e.getBF16Type());
    VectorType ints = e.vec(lanes, e.getI32Type());
    SmallVector<Value> w;
    for (int64_t v = 0; v < vectors; ++v)
      w.push_back(load(pairs, at(panel, columnBytes(pass, v)), 4));
    for (int64_t r = 0; r < rows; ++r) {
      Value pair = load(e.getI32Type(), at(lhs, r * pitch), 4);
      Value b = LLVM::BitcastOp::create(e, pairs, e.splat(pair, ints));
      for (int64_t v = 0; v < vectors; ++v) {
        Value &a = tile[r * vectors + v];
        a = LLVM::CallIntrinsicOp::create(
                e, vecType, e.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                ValueRange{a, b, w[v]})
                .getResult(0);
      }
    }
  }
};
} // namespace

std::unique_ptr<TileKernel> moe::createX86Kernel(Emitter &e,
                                                 ScheduleAttr schedule,
                                                 int64_t rows, int64_t pitch) {
  return std::make_unique<X86Kernel>(e, schedule, rows, pitch);
}
