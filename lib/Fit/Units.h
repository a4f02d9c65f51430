//===- Units.h - Matrices that have one format together -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_FIT_UNITS_H
#define MOE_LIB_FIT_UNITS_H

#include "moe-mlir/Transforms/StoreWeights.h"

namespace moe::fit {

/// Indices of the weights of one function that are decided on as one: gate and
/// up are one kernel as long as they have one format.
using Unit = llvm::SmallVector<size_t, 2>;

/// Those of `weights` that nobody has decided on.
std::vector<Unit> findUnits(mlir::func::FuncOp function,
                            llvm::ArrayRef<ModelWeight> weights);

} // namespace moe::fit

#endif // MOE_LIB_FIT_UNITS_H
