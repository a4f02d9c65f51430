//===- SomeExperts.h - Some of the experts of a layer -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Arguments of functions stay what they are: slices say which part of them is used,
// and of weights they say it to whoever packs them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TRANSFORMS_SOMEEXPERTS_H
#define MOE_MLIR_TRANSFORMS_SOMEEXPERTS_H

#include "moe/Moe.h"

#include <string>

namespace moe {

/// The parts `kept`, which ascend, of dimension `dim` of `tensor`: a slice, or
/// several put together; a constant becomes another.
mlir::Value buildParts(mlir::OpBuilder &b, mlir::Location loc,
                       mlir::Value tensor, int64_t dim,
                       llvm::ArrayRef<int64_t> kept);

/// An op like `op` of its experts `kept`, which ascend, on rows by `routing`. It
/// takes the bodies of `op`, which is of no use then. What is said of all experts
/// in an order of their own is not said of it.
ExpertOp buildSomeExperts(mlir::OpBuilder &b, ExpertOp op, mlir::Value rows,
                          mlir::Value routing, mlir::ValueRange others,
                          llvm::ArrayRef<int64_t> kept);

/// "1, 4 .. 6" as lists of experts are in remarks; `which` ascend.
std::string describeExperts(llvm::ArrayRef<int64_t> which);

} // namespace moe

#endif // MOE_MLIR_TRANSFORMS_SOMEEXPERTS_H
