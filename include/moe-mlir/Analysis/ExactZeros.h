//===- ExactZeros.h - What is 0 and not only near it ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_EXACTZEROS_H
#define MOE_MLIR_ANALYSIS_EXACTZEROS_H

#include "moe/Moe.h"

namespace moe {

/// Whether `value`, a number, or a tensor of numbers that are computed one by
/// one, is exactly 0 for a whole range of what it is computed from: `max(x,
/// 0)`, its square, its product with anything, `select(x > t, x, 0)`, a hard
/// swish. It is found by following numbers that a comparison puts in the place
/// of others through the ops that read them; what `value` is computed from is
/// taken to be finite.
bool makesZeros(mlir::Value value);

/// The same of the activation of `ffn`.
bool makesZeros(FFNOp ffn);

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_EXACTZEROS_H
