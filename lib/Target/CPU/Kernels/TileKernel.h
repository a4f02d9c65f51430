//===- TileKernel.h - What instruction sets do differently -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A micro-kernel is loops, which are the same everywhere (MicroKernel.cpp),
// around the multiplications of one register tile, which are not. Each family
// of instructions is a class of its own in a file of its own.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_TILEKERNEL_H
#define MOE_LIB_TARGET_CPU_KERNELS_TILEKERNEL_H

#include "MicroKernel.h"

#include <memory>

namespace moe {

/// The exact tile of one number of rows.
class TileKernel {
public:
  using Value = mlir::Value;

  TileKernel(Emitter &e, moecpu::ScheduleAttr schedule, int64_t rows,
             int64_t pitch)
      : e(e), inner(schedule.getInner()), rows(rows), pitch(pitch) {}
  virtual ~TileKernel() = default;

  /// Some columns of the panel, which the tile covers at a time.
  struct Pass {
    int64_t index = 0;
    /// Where a loop walks the passes: the byte of the first column in a row of
    /// 32 f32 and in a step of the panel, and whether this is the first.
    Value offset = {}, panelOffset = {}, isFirst = {};
    /// Which lanes of the vectors are columns, where not all are.
    llvm::SmallVector<Value> masks = {};
  };
  using PassBody = llvm::function_ref<void(const Pass &)>;

  /// Calls `body` where the code of each pass goes.
  virtual void forEachPass(PassBody body) = 0;
  /// Where the cache lines begin, in a step of the panel, that a pass
  /// prefetches for itself, if that is not done by the first one for all.
  virtual llvm::SmallVector<int64_t> getOwnLines(const Pass &pass) const {
    return pass.index == 0 ? llvm::SmallVector<int64_t>{0, 64}
                           : llvm::SmallVector<int64_t>{};
  }
  /// The accumulators of a pass, from and to their parked form of rows of 32
  /// f32.
  virtual llvm::SmallVector<Value> loadTile(const Pass &pass, Value acc) = 0;
  virtual void storeTile(const Pass &pass, Value acc,
                         mlir::ValueRange tile) = 0;
  /// Steps of k that one call of `multiply` takes; a divisor of kBlockSteps.
  virtual int64_t getSteps() const = 0;
  /// Whether prefetches may stand between its multiplications, in whose order
  /// they hold them; otherwise they come behind.
  virtual bool isOrdered() const { return false; }
  /// Where `multiply` leaves what it widens of the panel, as rows of 32 f32, if
  /// not null.
  void setWidened(Value address) { widened = address; }
  /// Adds the products of these steps.
  virtual void multiply(const Pass &pass, Value panel, Value lhs,
                        llvm::MutableArrayRef<Value> tile) = 0;

protected:
  Emitter &e;
  moecpu::Inner inner;
  int64_t rows, pitch;
  Value widened;

  /// Passes as a loop, `columns` a pass; a function that makes one body and is
  /// given the column that the pass begins with.
  void emitPassLoop(Value columns,
                    llvm::function_ref<void(Pass &pass, Value column)> body);

  Value at(Value base, int64_t bytes) { return e.displace(base, bytes); }
  Value load(mlir::Type type, Value pointer, unsigned alignment) {
    return mlir::LLVM::LoadOp::create(e, type, pointer, alignment);
  }
};

/// The even (0) or odd (1) k of pairs of bf16, one pair an i32 lane, as f32.
mlir::Value emitWidenedHalf(Emitter &e, mlir::Value pairs, int64_t half,
                            mlir::VectorType f32Type);

/// AVX2 and AVX-512: 8 or 16 lanes.
std::unique_ptr<TileKernel> createX86Kernel(Emitter &e,
                                            moecpu::ScheduleAttr schedule,
                                            int64_t rows, int64_t pitch);
int64_t getX86Passes(moecpu::ScheduleAttr schedule, int64_t rows);

/// NEON: 4 lanes.
std::unique_ptr<TileKernel> createNeonKernel(Emitter &e,
                                             moecpu::ScheduleAttr schedule,
                                             int64_t kBlock, int64_t rows,
                                             int64_t pitch);
/// The same of single steps of k, one call of `multiply` each.
std::unique_ptr<TileKernel> createNeonStepKernel(Emitter &e,
                                                 moecpu::ScheduleAttr schedule,
                                                 int64_t rows, int64_t pitch);
int64_t getNeonPasses(moecpu::ScheduleAttr schedule, int64_t rows);

/// SVE: 4 lanes times whatever the machine has.
std::unique_ptr<TileKernel> createSveKernel(Emitter &e,
                                            moecpu::ScheduleAttr schedule,
                                            int64_t rows, int64_t pitch);
/// At 128 bits; longer vectors take fewer.
int64_t getSvePasses(moecpu::ScheduleAttr schedule, int64_t rows);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_TILEKERNEL_H
