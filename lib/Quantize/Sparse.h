//===- Sparse.h - Formats that store no zeros ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_QUANTIZE_SPARSE_H
#define MOE_LIB_QUANTIZE_SPARSE_H

#include "moe-mlir/Quantize/Encoding.h"
#include "moe/Moe.h"

#include <string>

namespace moe::quantize {

/// Where some rows, as encoders get them, have more values that are not 0 than
/// `format` stores; empty if all of them are stored.
std::string findPruned(WeightFormatAttrInterface format, const RowValues &rows);

} // namespace moe::quantize

#endif // MOE_LIB_QUANTIZE_SPARSE_H
