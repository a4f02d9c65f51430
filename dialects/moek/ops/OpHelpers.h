//===- OpHelpers.h - What verifiers of the ops share -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_OPS_OPHELPERS_H
#define MOEK_OPS_OPHELPERS_H

#include "moek/Moek.h"

namespace moek {

/// Checks that results are there exactly when the inits are tensors, one per
/// init.
mlir::LogicalResult verifyResults(mlir::DestinationStyleOpInterface op);

/// What a tensor or memref may hold.
struct Elements {
  llvm::StringLiteral name;
  bool (*contain)(mlir::Type);
};
extern const Elements kI32, kF32, kKernelFloat;

/// Checks rank, element type and the static sizes (-1 = any) of an operand.
mlir::LogicalResult verifyShape(mlir::Operation *op, llvm::StringRef name,
                                mlir::Value value,
                                llvm::ArrayRef<int64_t> sizes,
                                const Elements &elements);

/// Checks the operands that a kernel on the rows of groups reads beside its main
/// ones: rows of tokens, of the groups, and of experts, at least `length` long
/// where they are vectors.
mlir::LogicalResult verifyRowOperands(mlir::Operation *op, mlir::Value tokens,
                                      mlir::ValueRange gathered,
                                      mlir::ValueRange rows,
                                      mlir::ValueRange parameters,
                                      int64_t experts, int64_t length);

/// Checks that dimension 1 of `value`, the number of `what`, is known and not 0.
mlir::LogicalResult verifyCount(mlir::Operation *op, llvm::StringRef what,
                                mlir::Value value);

} // namespace moek

#endif // MOEK_OPS_OPHELPERS_H
