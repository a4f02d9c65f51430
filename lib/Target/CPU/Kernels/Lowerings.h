//===- Lowerings.h - One function per moek op -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_LOWERINGS_H
#define MOE_LIB_TARGET_CPU_KERNELS_LOWERINGS_H

#include "MicroKernel.h"
#include "moe_rt/MoeRt.h"

namespace moe {

/// Each replaces an op on memrefs by loops; the op is erased by the caller.
mlir::LogicalResult lowerRoute(Emitter &e, moek::RouteOp op);
mlir::LogicalResult lowerVerifyRouting(Emitter &e, moek::VerifyRoutingOp op);
mlir::LogicalResult lowerIndex(Emitter &e, moek::IndexOp op);
mlir::LogicalResult lowerWindow(Emitter &e, moek::WindowOp op);
mlir::LogicalResult lowerLimit(Emitter &e, moek::LimitOp op);
mlir::LogicalResult lowerSinkhorn(Emitter &e, moek::SinkhornOp op);
mlir::LogicalResult lowerExpertChoice(Emitter &e, moek::ExpertChoiceOp op);
mlir::LogicalResult lowerGroupedMatmul(Emitter &e, moek::GroupedMatmulOp op);
mlir::LogicalResult lowerGather(Emitter &e, moek::GatherOp op);
mlir::LogicalResult lowerCombine(Emitter &e, moek::CombineOp op);
mlir::LogicalResult lowerRowMap(Emitter &e, moek::RowMapOp op);
mlir::LogicalResult lowerExternalCall(Emitter &e, moek::ExternalCallOp op);

/// The product of rows with packed panels, for any number of experts.
struct PanelProduct {
  moecpu::ScheduleAttr schedule;
  MicroKernels kernels;
  mlir::Value lhs; ///< Address of row 0.
  int64_t pitch;   ///< Bytes between rows.
  mlir::Value rhs; ///< Address of panel 0 of expert 0.
  int64_t panels;  ///< Panels of an expert.
  int64_t blocks;  ///< Blocks of k of a panel, padding included.
  BlockSizes block;

  int64_t panelBytes() const { return blocks * block.panel; }
  int64_t expertBytes() const { return panels * panelBytes(); }
};

/// Receives the finished sums of `rows` rows from `row` on, 32 columns each, of
/// panel `panel`: `acc` is a memref<block_rows x 32 x f32>.
using PanelEpilogue = llvm::function_ref<void(
    Emitter &, mlir::Value panel, mlir::Value row, mlir::Value rows,
    mlir::Value acc)>;

/// The panels [begin, end) of `expert` with the rows [row, row + rows). `next`
/// is the address this thread will probably stream from afterwards.
void emitPanelRun(Emitter &e, const PanelProduct &product, mlir::Value expert,
                  mlir::Value begin, mlir::Value end, mlir::Value row,
                  mlir::Value rows, mlir::Value next, PanelEpilogue epilogue);

/// dst[r][0:k] = src[tokens ? tokens[r] : r][0:k] * (weights ? weights[r] : 1)
/// for begin <= r < end, converted to dst's element type and followed by zeros up to
/// the next multiple of 16 elements. In parallel.
void emitGatherRows(Emitter &e, mlir::Value src, mlir::Value tokens,
                    mlir::Value weights, mlir::Value begin, mlir::Value end,
                    int64_t k, mlir::Value dst);

/// What a combine reads and writes; `firstRow` and `numRows` where `rows` are a
/// window of all.
struct RowSums {
  mlir::Value rows, positions, slotWeights, init, firstRow, numRows, out;
  int64_t n; ///< Columns.
};

/// The weighted sum of moek.combine. In parallel.
void emitCombineRows(Emitter &e, const RowSums &sums);

/// Items of `minimum` or more units of work each, about four per thread.
mlir::Value emitItemSize(Emitter &e, mlir::Value units, int64_t minimum);

/// Units of `bytes`, which may be none, that are worth a thread.
int64_t unitsOfItem(int64_t bytes);

/// An error if weights are no panels (no layout), or a view of some with an
/// offset or strides.
mlir::LogicalResult verifyPanels(mlir::Operation *op, mlir::Value panels,
                                 moecpu::PanelsAttr layout,
                                 llvm::StringRef name);

/// An aligned scratch buffer at the current point.
mlir::Value emitScratch(Emitter &e, mlir::MemRefType type,
                        mlir::ValueRange sizes);

void emitTrace(Emitter &e, llvm::StringRef kind, llvm::StringRef phase,
               mlir::ValueRange routing = {});

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_LOWERINGS_H
