//===- ByteRows.h - Rows that kernels round to bytes -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_BYTEROWS_H
#define MOE_LIB_REFERENCE_BYTEROWS_H

#include "Machine.h"

namespace moe::reference {

/// How many values of a row share a scale where kernels multiply it, as bytes, with
/// `weights` of rows of `depth`; 0 if they do not.
int64_t getByteBlock(const RoundingErrors &rounding, mlir::Value weights,
                     int64_t depth);

/// `rows` of `depth` values with an error of half a 127th of the largest of each
/// `block` at most.
std::vector<double> roundToBytes(RoundingErrors &rounding, const double *rows,
                                 int64_t count, int64_t depth, int64_t block);

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_BYTEROWS_H
