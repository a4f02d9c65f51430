//===- RowRounding.h - Rows that kernels round ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_ROWROUNDING_H
#define MOE_LIB_REFERENCE_ROWROUNDING_H

#include "Machine.h"
#include "moe/Formats.h"

namespace moe::reference {

/// How kernels round a row.
struct RowFormat {
  RowType type = RowType::F32;
  int64_t block = 0; ///< Values of bytes, or of E4M3, with one scale.
  bool isE4M3 = false;

  explicit operator bool() const { return isE4M3 || type != RowType::F32; }
  /// Whether the weights are rounded to bf16 then, too.
  bool narrowsWeights() const { return type == RowType::BF16; }
};

/// How they round one that they multiply with `weights` of rows of `depth`.
RowFormat getRowFormat(const RoundingErrors &rounding, mlir::Value weights,
                       int64_t depth);

/// `rows` of `depth` values with an error of rounding: of bytes half a step at
/// most, of which the largest value of a block has 127 or 127 * 256; of E4M3 as
/// of a float whose largest number the largest value of a block becomes.
std::vector<double> roundRows(RoundingErrors &rounding, const double *rows,
                              int64_t count, int64_t depth, RowFormat format);

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_ROWROUNDING_H
