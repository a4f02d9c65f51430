//===- WeightFormat.h - In which format a weight is stored -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_WEIGHTFORMAT_H
#define MOE_MLIR_ANALYSIS_WEIGHTFORMAT_H

#include "moe/Moe.h"

namespace moe {

/// The format of `weight`, a view of results of moe.dequantize; null where it is
/// plain numbers. Of weights that can be packed (WeightUse) all has one format.
WeightFormatAttrInterface getWeightFormat(mlir::Value weight);

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_WEIGHTFORMAT_H
