//===- Pointers.h - Addresses of memrefs -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_LOWERING_POINTERS_H
#define MOE_LIB_LOWERING_POINTERS_H

#include "mlir/IR/Builders.h"

namespace moe {

/// The address of the first element of `memref`, an `!llvm.ptr`.
mlir::Value buildPointer(mlir::OpBuilder &b, mlir::Location loc,
                         mlir::Value memref);

} // namespace moe

#endif // MOE_LIB_LOWERING_POINTERS_H
