//===- MicroKernel.h - Register-tiled inner kernels -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_MICROKERNEL_H
#define MOE_LIB_TARGET_CPU_KERNELS_MICROKERNEL_H

#include "moe-mlir/Target/Lanes/Emitter.h"
#include "moe_cpu/MoeCpu.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe {

/// Columns of a panel, and bytes of one step of k over them (32 f32, or 32
/// pairs of bf16; two steps are 32 fours of bf16).
inline constexpr int64_t kPanelColumns = moecpu::PanelsAttr::kColumns;
inline constexpr int64_t kStepBytes = 128;
/// Steps of k in a block; packed panels are padded to whole blocks.
inline constexpr int64_t kBlockSteps = 8;
inline constexpr int64_t kBlockBytes = kStepBytes * kBlockSteps;

/// The least part of k that kernels work on.
struct BlockSizes {
  int64_t panel; ///< Bytes of 32 columns of it.
  int64_t lhs;   ///< Bytes of a row of the left operand.
  int64_t steps; ///< How often a kernel that shares a panel prefetches in it.
  int64_t widened = 2 * panel; ///< Bytes as f32; of floats for bf16.
};
/// Of panels of floats: 8 steps.
BlockSizes getFloatBlock(moecpu::Inner inner);

/// Bytes of one row of the left operand per step of k.
int64_t getLhsStepBytes(moecpu::Inner inner);
/// The same of a block of `format`, of rows of `k`.
int64_t getLhsBlockBytes(moecpu::ScheduleAttr schedule,
                         WeightFormatAttrInterface format, int64_t k);
/// The element type the left operand's rows must have.
mlir::Type getLhsElementType(moecpu::ScheduleAttr schedule);

/// How tiles multiply what a schedule widened for them: f32 by f32. From so
/// many tiles on it does that.
moecpu::ScheduleAttr getWidenedSchedule(moecpu::ScheduleAttr schedule);
inline constexpr int64_t kWidenedTiles = 3;

/// Functions
///
///     acc[0:rows][0:32] += lhs[0:rows] . panel
///
/// over `blocks` blocks of k, for any number of rows from 1 to the
/// schedule's tile; rows of the left operand are `pitch` bytes apart. One
/// accumulator per output, k ascending: all row counts, and both functions,
/// give the same bits.
struct MicroKernels {
  /// (rows, blocks: i64, panel, lhs, acc: ptr). Prefetches its own panel by the
  /// rules of the schedule.
  mlir::func::FuncOp alone;
  /// (rows, blocks: i64, panel, lhs, acc, next: ptr, stride: i64). Prefetches a
  /// line at `next`, which moves on by `stride` bytes, in every step.
  mlir::func::FuncOp shared;
  /// Of schedules with `widened`, else null: `shared` with an argument more,
  /// the address to which it writes what it widens or decodes, rows of 32 f32
  /// (or bf16 as they are multiplied); and `shared` of such rows, with two
  /// steps for each that were widened. The same multiply-adds in the same
  /// order.
  mlir::func::FuncOp widening, widened;
  /// Of schedules with `listed`, else null: for a few rows, by a list of steps;
  /// see ListedRows.h.
  mlir::func::FuncOp listed;
};

/// `kBlock` is the panels' number of k side by side. `codegen` makes the tiles,
/// if it is not null.
MicroKernels getOrCreateMicroKernels(mlir::ModuleOp module,
                                     moecpu::ScheduleAttr schedule,
                                     int64_t pitch, int64_t kBlock = 1,
                                     mlir::StringAttr codegen = {});

/// The same of weights in a format, of rows of `k`.
MicroKernels getOrCreateBlockKernels(mlir::ModuleOp module,
                                     moecpu::ScheduleAttr schedule,
                                     moecpu::BlocksAttr layout, int64_t k,
                                     int64_t pitch);
BlockSizes getBlockSizes(moecpu::ScheduleAttr schedule,
                         moecpu::BlocksAttr layout, int64_t k);
int64_t getBlockPasses(moecpu::ScheduleAttr schedule, int64_t rows);
/// Whether kernels choose values of rows by lane for the weights of `format`
/// that are not zero, instead of decoding the zeros.
bool choosesRowValues(moecpu::ScheduleAttr schedule,
                      WeightFormatAttrInterface format);
/// Whether kernels form no products with the zeros of `format`.
bool skipsZeros(moecpu::ScheduleAttr schedule,
                WeightFormatAttrInterface format);

//===----------------------------------------------------------------------===//
// For those who make kernels
//===----------------------------------------------------------------------===//

/// What kernels do beside multiplying; see MicroKernels.
enum class Role { Alone, Shared, Widening, Widened };

/// What of a schedule is in the code of its kernels.
moecpu::ScheduleAttr getKernelSchedule(moecpu::ScheduleAttr schedule,
                                       Role role);

using KernelBody =
    llvm::function_ref<void(Emitter &, int64_t rows, mlir::ValueRange)>;
/// One kernel for each number of rows up to `maxRows`, with `arguments`, and
/// the function that chooses by its first argument; or what there is for `key`.
mlir::func::FuncOp getOrCreateKernels(mlir::ModuleOp module,
                                      llvm::StringRef stem, mlir::Attribute key,
                                      int64_t maxRows,
                                      llvm::ArrayRef<mlir::Type> arguments,
                                      KernelBody emitBody);

void emitPrefetch(Emitter &e, mlir::Value address, int64_t level);
/// Puts what `emit` makes for each of `count` between the multiplications of
/// the block, evenly: several requests at once would fill the queue to memory,
/// and loads would wait behind them.
void emitBetweenProducts(Emitter &e, int64_t count,
                         llvm::function_ref<void(int64_t)> emit);

/// How often a tile of `rows` rows walks the k of its panel, some columns at a
/// time, so that a chunk of it should stay in the first-level cache; with
/// scalable vectors, of 128 bits.
int64_t getNumPasses(moecpu::ScheduleAttr schedule, int64_t rows);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_MICROKERNEL_H
