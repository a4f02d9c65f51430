//===- SplitExperts.h - Groups for ranges of experts --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TRANSFORMS_SPLITEXPERTS_H
#define MOE_LIB_TRANSFORMS_SPLITEXPERTS_H

#include "moe-mlir/Transforms/StoreWeights.h"

namespace moe {

/// Gives experts of different ranges of a weight, which is `value`, groups of
/// their own; what a group is multiplied by becomes slices of what it was.
void splitExperts(mlir::Value value, llvm::ArrayRef<ModelWeight> ranges);

} // namespace moe

#endif // MOE_LIB_TRANSFORMS_SPLITEXPERTS_H
