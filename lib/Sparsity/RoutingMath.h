//===- RoutingMath.h - Arithmetic on the slots of tokens ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_SPARSITY_ROUTINGMATH_H
#define MOE_LIB_SPARSITY_ROUTINGMATH_H

#include "moe/Moe.h"

#include "mlir/IR/Builders.h"

namespace moe {

/// Builds IR on the indices and weights `[T, K]` of a routing.
class RoutingMath {
public:
  using Body = llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location,
                                              mlir::ValueRange)>;

  RoutingMath(mlir::OpBuilder &b, mlir::Location loc, mlir::Value routing);

  mlir::Value getIndices();
  mlir::Value getWeights();
  mlir::Value getNumTokens();

  /// An empty `[T, K]` of `element`.
  mlir::Value buildEmpty(mlir::Type element);
  /// `body` of the elements of `operands`, `[T, K]` or `[T]`, as `[T, K]` of
  /// `element`.
  mlir::Value buildElementwise(mlir::ValueRange operands, mlir::Type element,
                               Body body);
  /// A reduction of each row of `operands`, `[T, K]`, from `init`, as `[T]`.
  /// The last argument of `body` is what there is so far.
  mlir::Value buildPerToken(mlir::ValueRange operands, mlir::TypedAttr init,
                            Body body);
  /// For each element of `values`, `[T, K]`, the number of those of its row for
  /// which `isAhead(own, other, whether it is in a lower slot)`, as i32.
  mlir::Value buildPerSlotCount(
      mlir::Value values,
      llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location,
                                     mlir::Value, mlir::Value, mlir::Value)>
          isAhead);
  /// `weights`, and 0 where `indices` are below 0.
  mlir::Value buildKept(mlir::Value indices, mlir::Value weights);

  /// The first `count` columns of `values`.
  mlir::Value buildFirstSlots(mlir::Value values, int64_t count);

  mlir::OpBuilder &b;
  mlir::Location loc;
  const int64_t slots;

private:
  mlir::Value routing, indices, weights, numTokens;
};

} // namespace moe

#endif // MOE_LIB_SPARSITY_ROUTINGMATH_H
