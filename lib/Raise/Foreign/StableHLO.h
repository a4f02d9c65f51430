//===- StableHLO.h - stablehlo and chlo upstream -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_FOREIGN_STABLEHLO_H
#define MOE_MLIR_RAISE_FOREIGN_STABLEHLO_H

#include "moe-mlir/Raise/Foreign.h"

namespace moe::raise {

/// Upstream's arithmetic is on integers without a sign: unsigned numbers are
/// kept in a wider type.
mlir::Type getSignless(mlir::Type element);

Sizes getStaticSizes(mlir::RankedTensorType type);

/// Leaves the op if its result has dynamic sizes.
llvm::LogicalResult needStatic(ForeignOp &op);

/// stablehlo.reduce of values and of their places at once, if it finds the
/// largest.
llvm::LogicalResult convertArgMax(ForeignOp &op, llvm::ArrayRef<int64_t> dims);

/// Sorts, gathers and scatters.
void addStableHLOIndexing(ForeignTable &table);

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_FOREIGN_STABLEHLO_H
