//===- ListedRows.h - Rows of which most values are zeros ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Where a few rows of an expert have values in few steps of k, these steps are
// listed once and all panels are multiplied by them alone, in the order in
// which all would be: the terms that are left out are zeros, so that sums keep
// their bits.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_LISTEDROWS_H
#define MOE_LIB_TARGET_CPU_KERNELS_LISTEDROWS_H

#include "Lowerings.h"

namespace moe {

/// The most rows that have a list together. Those of more would have nearly
/// all steps in it.
int64_t getMaxListedRows(moecpu::ScheduleAttr schedule);

/// Functions (rows, steps: i64, list, panel, lhs, acc: ptr) as of MicroKernels,
/// over `steps` steps of k whose numbers are at `list`, ascending, followed by
/// kListedAhead more that are fetched.
mlir::func::FuncOp getOrCreateListedKernels(mlir::ModuleOp module,
                                            moecpu::ScheduleAttr schedule,
                                            int64_t pitch);

/// Whether the rows [row, row + rows) are multiplied by a list, which and how
/// long it is.
struct ListedRows {
  mlir::Value isListed, steps, list;
};

/// Counts the steps of k in which one of the rows has a value that is not 0,
/// and lists them if they are no more than the schedule says.
ListedRows emitListedRows(Emitter &e, const PanelProduct &product,
                          mlir::Value row, mlir::Value rows);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_LISTEDROWS_H
