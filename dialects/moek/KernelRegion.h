//===- KernelRegion.h - What may stand in the region of a kernel -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Kernels take computation from around them into regions. Whoever moves an op
// there, checks it there, or generates code of it asks here, so that there is
// one answer and one sentence for it.
//
//===----------------------------------------------------------------------===//

#ifndef MOEK_KERNELREGION_H
#define MOEK_KERNELREGION_H

#include "mlir/IR/Block.h"
#include "mlir/IR/Value.h"

#include <string>

namespace moek {

/// Why `op` cannot stand in a region that works on single elements: it is
/// neither a constant nor elementwise. Empty if it can.
std::string whyNotOnElements(mlir::Operation &op);

/// The same of a region that works on whole rows, `vector<N x T>`, and on
/// values of which a row has one: it may also be a reduction or a broadcast.
std::string whyNotOnRows(mlir::Operation &op);

/// What a region on rows sees of `operand`: a `vector<length x T>`, or a `T` of
/// what has rank 1.
mlir::Type getRowType(mlir::Value operand, int64_t length);

bool isRowReduction(mlir::Operation &op);
bool isRowBroadcast(mlir::Operation &op);

} // namespace moek

#endif // MOEK_KERNELREGION_H
