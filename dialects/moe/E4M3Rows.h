//===- E4M3Rows.h - Rows that meet weights in 8 bits ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What rows become where "e4m3" is asked for, one of `getRowTypes`: 8-bit
// floats with a scale for each group of values, which is the largest magnitude
// of the group by the largest number of the type. Few chips multiply them, and
// none by integers, so that `getRowType` knows nothing of it: rows are f32 to
// it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_E4M3ROWS_H
#define MOE_E4M3ROWS_H

#include "mlir/IR/Attributes.h"

namespace moe {

/// How such rows are asked for.
inline constexpr llvm::StringLiteral kE4M3Rows = "e4m3";
/// Values with one scale.
inline constexpr int64_t kE4M3Group = 128;

/// Whether the scales of weights in `format` go with those of such rows: E4M3
/// whose scales are of whole rows or of a multiple of a group's columns.
bool canMeetE4M3Rows(mlir::Attribute format);

} // namespace moe

#endif // MOE_E4M3ROWS_H
