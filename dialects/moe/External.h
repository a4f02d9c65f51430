//===- External.h - C functions that experts call -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_EXTERNAL_H
#define MOE_EXTERNAL_H

#include "mlir/IR/Operation.h"
#include "mlir/Support/LLVM.h"

namespace moe {

class ExternalAttr;

/// Whether an argument of such a function is rows, `tensor<?xNxT>`, and not a
/// weight.
bool isExternalRows(mlir::Type type);

/// What the declaration `function` says; null if it is of another function.
ExternalAttr getExternal(mlir::Operation *function);

/// Checks that `op` is the declaration of a C function and `attribute` an
/// ExternalAttr.
mlir::LogicalResult verifyExternal(mlir::Operation *op,
                                   mlir::Attribute attribute);

} // namespace moe

#endif // MOE_EXTERNAL_H
