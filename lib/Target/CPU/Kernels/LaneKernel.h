//===- LaneKernel.h - Tiles that multiply by a lane -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What NEON and SVE share: an f32 multiply-add takes one operand from a lane of
// a register, so that four consecutive k of a row are one load, and step u
// takes lane u. bf16 weights are widened first.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_LANEKERNEL_H
#define MOE_LIB_TARGET_CPU_KERNELS_LANEKERNEL_H

#include "TileKernel.h"

namespace moe {

/// A tile holds accumulators row by row.
class LaneKernel : public TileKernel {
public:
  LaneKernel(Emitter &e, moecpu::ScheduleAttr schedule, int64_t rows,
             int64_t pitch, int64_t vectors, mlir::VectorType vecType)
      : TileKernel(e, schedule, rows, pitch), vectors(vectors),
        vecType(vecType) {}

  llvm::SmallVector<Value> loadTile(const Pass &pass, Value acc) override;
  void storeTile(const Pass &pass, Value acc, mlir::ValueRange tile) override;
  int64_t getSteps() const override;
  void multiply(const Pass &pass, Value panel, Value lhs,
                llvm::MutableArrayRef<Value> tile) override;

protected:
  int64_t vectors;
  mlir::VectorType vecType;

  /// Vector `v` of those at `base`, where the pass's first column is.
  virtual Value loadColumns(mlir::VectorType type, const Pass &pass, Value base,
                            int64_t v) = 0;
  virtual void storeColumns(Value vector, const Pass &pass, Value base,
                            int64_t v) = 0;
  /// Four consecutive f32, in every 128 bits of a vector.
  virtual Value loadQuad(Value pointer) = 0;
  /// x + weights * lane of every quad.
  virtual Value multiplyLane(Value x, Value weights, Value quad,
                             int64_t lane) = 0;

private:
  llvm::SmallVector<Value> loadWeights(const Pass &pass, Value panel, int64_t u,
                                       llvm::SmallVectorImpl<Value> &raw);
};

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_LANEKERNEL_H
