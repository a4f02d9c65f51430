//===- Payload.h - Scalar bodies on whole rows ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A linalg op says what happens to one element. A kernel's region says it of a
// row: `vector<N x T>` for what differs from column to column, `T` for what a
// row has one of.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_CONVERSION_MOETOMOEK_PAYLOAD_H
#define MOE_MLIR_LIB_CONVERSION_MOETOMOEK_PAYLOAD_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"

namespace moe {

/// A reduction of a linalg op's body: how it combines, and what.
struct Combiner {
  mlir::vector::CombiningKind kind;
  mlir::Value term;
};

/// The reduction into init `i`; none if the body does anything else with it
/// than one sum, product, maximum or minimum.
std::optional<Combiner> matchCombiner(mlir::linalg::LinalgOp op,
                                      unsigned i = 0);

/// The number that `value` is, or that all of its elements are, if it is a
/// constant or filled with one.
std::optional<mlir::TypedAttr> getSplat(mlir::Value value);

/// `value` as a `vector<length x T>`.
mlir::Value spreadOverRow(mlir::OpBuilder &b, mlir::Location loc,
                          mlir::Value value, int64_t length);

/// Computes `wanted`, values of `body`, on rows of `length`. `mapping` has the
/// rows, or the single values, for the block's arguments that they depend on.
/// What is the same for a whole row stays a single value. Constants may come
/// from outside of the body.
llvm::SmallVector<mlir::Value> buildPayloadOnRow(mlir::OpBuilder &b,
                                                 mlir::Block &body,
                                                 mlir::IRMapping &mapping,
                                                 mlir::ValueRange wanted,
                                                 int64_t length);

} // namespace moe

#endif // MOE_MLIR_LIB_CONVERSION_MOETOMOEK_PAYLOAD_H
