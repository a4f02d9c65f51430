//===- SkipZeros.h - Zeros that are not multiplied ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A discardable attribute of a product in the body of an expert, moe.ffn (of
// its down projection) or a matrix product of linalg: all of its weights are
// finite, so that those which meet zeros alone need not be read.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SKIPZEROS_H
#define MOE_DIALECT_SKIPZEROS_H

#include "llvm/ADT/StringRef.h"

namespace moe {

/// An f64: the largest share of values other than 0 with which that is done,
/// above 0 and at most 1.
inline constexpr llvm::StringLiteral kSkipZerosAttrName = "moe.skip_zeros";

} // namespace moe

#endif // MOE_DIALECT_SKIPZEROS_H
