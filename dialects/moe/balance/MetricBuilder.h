//===- MetricBuilder.h - IR that metrics are made of -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Counts, sums and means on tensors, for the metrics of `moe.balance`. Scalars
// are ordinary SSA values; tensors appear where there is a loop.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_BALANCE_METRICBUILDER_H
#define MOE_BALANCE_METRICBUILDER_H

#include "moe/Moe.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace moe {

/// The tokens [offset, offset + size): all of a batch, or one sequence of it.
struct TokenRange {
  mlir::Value offset;
  mlir::Value size;
};

class MetricBuilder : public mlir::ImplicitLocOpBuilder {
public:
  MetricBuilder(mlir::OpBuilder &builder, mlir::Location loc)
      : ImplicitLocOpBuilder(loc, builder) {}

  // Scalars.
  mlir::Value index(int64_t value);
  mlir::Value i32(int64_t value);
  mlir::Value f32(double value);
  /// An integer or index as f32.
  mlir::Value toF32(mlir::Value value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b);
  /// a / max(b, 1) of f32 numbers: 0 / 0 of empty batches is 0.
  mlir::Value divByCount(mlir::Value a, mlir::Value b);
  /// A result of rank 0.
  mlir::Value toTensor(mlir::Value scalar);

  // Loops.
  using Body = llvm::function_ref<mlir::Value(mlir::ValueRange)>;
  /// A tensor of `shape` (values of index type where it is dynamic) of
  /// `element`, made from `inputs`; `maps` says how the loops read each. One
  /// loop for each dimension of `shape`, in its order.
  mlir::Value map(llvm::ArrayRef<mlir::Value> inputs,
                  llvm::ArrayRef<llvm::ArrayRef<unsigned>> maps,
                  llvm::ArrayRef<mlir::OpFoldResult> shape, mlir::Type element,
                  Body body);
  /// Like that, with a sum over further loops; `kept` are the loops that are
  /// dimensions of the result. `body` gives what is added.
  enum class Combine { Add, Max };
  mlir::Value reduce(llvm::ArrayRef<mlir::Value> inputs,
                     llvm::ArrayRef<llvm::ArrayRef<unsigned>> maps,
                     llvm::ArrayRef<unsigned> kept, unsigned numLoops,
                     llvm::ArrayRef<mlir::OpFoldResult> shape,
                     mlir::Type element, Combine combine, Body body);
  /// The number that a reduction of all loops gives.
  mlir::Value reduceAll(llvm::ArrayRef<mlir::Value> inputs,
                        llvm::ArrayRef<llvm::ArrayRef<unsigned>> maps,
                        unsigned numLoops, mlir::Type element, Combine combine,
                        Body body);
  /// The value of a float of any type as f32.
  mlir::Value readF32(mlir::Value element);

  // Routings.
  mlir::Value numTokens(mlir::Value routing);
  /// n_e, `tensor<Exi32>`; `given` instead unless null.
  mlir::Value counts(mlir::Value routing, mlir::Value given = nullptr);
  /// How often each expert is in the first `slots` columns of `indices`, -1 is
  /// none: `tensor<Exi32>`.
  mlir::Value countIndices(mlir::Value indices, int64_t slots, int64_t experts,
                           TokenRange range);
  /// All rows of `tensor`.
  TokenRange allRows(mlir::Value tensor);
  /// A slice of the first dimension; the others are static.
  mlir::Value rowsOf(mlir::Value tensor, TokenRange range);
  /// sum_e a_e b_e, `a` of i32.
  mlir::Value dotCounts(mlir::Value counts, mlir::Value values);
  /// The sum of i32 counts, as f32.
  mlir::Value total(mlir::Value counts);

  /// The mean of what `build` gives for each `length` rows of `tensor`, or that
  /// of all rows when `length` is 0.
  mlir::Value meanOverGroups(mlir::Value tensor, int64_t length,
                             llvm::function_ref<mlir::Value(TokenRange)> build);

private:
  mlir::Value combineValues(mlir::Value a, mlir::Value b, Combine combine);
};

} // namespace moe

#endif // MOE_BALANCE_METRICBUILDER_H
