//===- Numbers.h - Weights that are numbers -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Fields of formats whose weights are floats as they are.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_FORMATS_NUMBERS_H
#define MOE_FORMATS_NUMBERS_H

#include "moe/SparseFormats.h"

namespace moe {

/// A field of `count` numbers of `type`, f32, bf16 or f16, that are the weights
/// themselves, of which made-up ones have the variance `variance`. Those of
/// bf16 are pairs, an i32 each.
BlockField getNumberField(mlir::Type type, int64_t count, double variance);
/// Numbers 2 `pair` and 2 `pair` + 1 of such a field, of `type`, as f32.
void buildTwoNumbers(BlockReader &reader, mlir::Type type, int64_t field,
                     mlir::Value pair,
                     llvm::SmallVectorImpl<mlir::Value> &values);
/// The largest error of a number that becomes one of `type`, in parts of it.
double getRounding(mlir::Type type);
/// Whether `type` is f32, bf16 or f16; if not, says so of `format`.
llvm::LogicalResult
verifyNumbers(llvm::function_ref<mlir::InFlightDiagnostic()> emitError,
              llvm::StringRef format, mlir::Type type);

} // namespace moe

#endif // MOE_FORMATS_NUMBERS_H
