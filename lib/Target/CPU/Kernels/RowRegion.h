//===- RowRegion.h - Regions of rows, columns in lanes ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The regions of moek.row_map and of epilogues compute one row, as many columns
// at once as a vector has lanes (LaneRegion.h is for many short rows at once).
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_ROWREGION_H
#define MOE_LIB_TARGET_CPU_KERNELS_ROWREGION_H

#include "moe-mlir/Target/Lanes/Emitter.h"

namespace moe {

/// Columns that are computed at once.
inline constexpr int64_t kRowLanes = 16;

/// Which columns: the first of `kRowLanes`, and those of them that exist, null
/// if all do.
struct Columns {
  mlir::Value first, mask;
};

/// Gives the columns of an argument, or the one value of a row if that is what
/// it is.
using ColumnLoader = std::function<mlir::Value(Emitter &e, Columns columns)>;

/// Emits `body` for a row of `length` columns, in one loop over them for what
/// comes before each reduction. Calls `store(e, i, columns, value)` for all
/// columns of each yielded row `i`, and once with no columns for a yielded
/// value.
void emitRegionOnRow(
    Emitter &e, mlir::Block &body, int64_t length,
    llvm::ArrayRef<ColumnLoader> arguments,
    llvm::function_ref<void(Emitter &e, unsigned i, Columns columns,
                            mlir::Value value)>
        store);

/// The same with the bits of `emitRegionInLanes`: floats are summed in the
/// order of columns. What a row has one of is a vector with that value in every
/// lane, in `arguments` too; all that is yielded are rows.
void emitRegionInOrder(
    Emitter &e, mlir::Block &body, int64_t length,
    llvm::ArrayRef<ColumnLoader> arguments,
    llvm::function_ref<void(Emitter &e, unsigned i, Columns columns,
                            mlir::Value value)>
        store);

/// Emits the elementwise `body` of scalars on vectors of `kRowLanes`; arguments
/// may be vectors or scalars. Returns what it yields.
llvm::SmallVector<mlir::Value>
emitRegionOnElements(Emitter &e, mlir::Block &body, mlir::ValueRange arguments);

/// Columns [column, column + 16) of row `row`, zero where `mask` says so. A
/// memref of one dimension is a row, and wants no `row`.
mlir::Value emitLoadColumns(Emitter &e, mlir::Value matrix,
                            mlir::ValueRange row, Columns columns);
/// Stores them, but those that `mask` leaves out.
void emitStoreMasked(Emitter &e, mlir::Value value, mlir::Value matrix,
                     mlir::ValueRange row, Columns columns);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_ROWREGION_H
