//===- RowMagnitude.h - What errors are relative to -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Whoever compares tensors relates errors to the row that they are in: elements
// of a row are sums of the same things, and one that cancels is no more exact.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_ROWMAGNITUDE_H
#define MOE_MLIR_SUPPORT_ROWMAGNITUDE_H

#include "moe-mlir/Support/HostTensor.h"

namespace moe {

/// The root mean square of the finite elements of [begin, end), or 1 if that is
/// 0 or there are none.
double rowMagnitude(const HostTensor &tensor, int64_t begin, int64_t end);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_ROWMAGNITUDE_H
