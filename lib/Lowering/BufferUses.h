//===- BufferUses.h - Who may touch a buffer --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The aliases of a buffer, found without an analysis of each op.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_LOWERING_BUFFERUSES_H
#define MOE_LIB_LOWERING_BUFFERUSES_H

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace moe {

/// Visits every use of anything that may hold an address inside of `root`.
/// Results of any op but loads count, and so do the iteration arguments of
/// loops: rather too many uses than one too few.
void forEachUse(mlir::Value root,
                llvm::function_ref<void(mlir::OpOperand &)> visit);

/// An upper bound of the elements of `alloc`, if there is a constant one.
std::optional<int64_t> boundElements(mlir::memref::AllocOp alloc);

} // namespace moe

#endif // MOE_LIB_LOWERING_BUFFERUSES_H
