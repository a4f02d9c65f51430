//===- SmallFloats.h - Floats of 16 bits ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_LOWERING_SMALLFLOATS_H
#define MOE_LIB_LOWERING_SMALLFLOATS_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"

namespace moe {

/// Whether `type`, or what it is made of, is a float that is widened to f32
/// before anything is computed.
inline bool isSmallFloat(mlir::Type type) {
  type = mlir::getElementTypeOrSelf(type);
  return type.isBF16() || type.isF16();
}

} // namespace moe

#endif // MOE_LIB_LOWERING_SMALLFLOATS_H
