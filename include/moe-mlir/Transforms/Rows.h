//===- Rows.h - How many rows a tensor has ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which tensors have a row for each token, as far as shapes and the named sizes
// of entry functions tell.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TRANSFORMS_ROWS_H
#define MOE_MLIR_TRANSFORMS_ROWS_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Value.h"

namespace moe {

/// The tensor that has a row for each token of `routing`; null if the routing
/// is made by anything but the ops of the dialect.
mlir::Value getTokensTensor(mlir::Value routing);

/// The named size (`moe.dims` of the arguments of the function around) that the
/// first dimension of the tensor `value` always is; null if there is none.
mlir::StringAttr getRowsName(mlir::Value value);

/// Whether the tensors `a` and `b` have equally many rows in every call.
bool haveSameRows(mlir::Value a, mlir::Value b);

} // namespace moe

#endif // MOE_MLIR_TRANSFORMS_ROWS_H
