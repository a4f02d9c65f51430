//===- Dims.h - Dimensions that there are not -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A `dim` op may ask for any dimension, -1 included; only the program that does
// is undefined. Upstream's analysis of bounds looks the dimension up, whatever
// it is: a pass that asks it about IR of others asks here first.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_DIMS_H
#define MOE_MLIR_ANALYSIS_DIMS_H

#include "mlir/IR/Operation.h"

namespace moe {

/// Whether `op` asks for a constant dimension that its operand does not have.
bool isDimOutOfRange(mlir::Operation *op);

/// What is said about such an op.
inline constexpr llvm::StringLiteral kDimOutOfRange =
    "asks for a dimension that there is not";

/// Fails, with an error at the first such op, if there is one below `root`.
llvm::LogicalResult verifyDims(mlir::Operation *root);

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_DIMS_H
