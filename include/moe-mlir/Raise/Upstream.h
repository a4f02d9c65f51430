//===- Upstream.h - Tensor programs in upstream's ops ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The vocabulary of foreign dialects, which differ in names and attributes more
// than in what they compute: each word is a few ops of linalg, tensor and arith
// in one spelling. Sizes are constants where types say them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_UPSTREAM_H
#define MOE_MLIR_RAISE_UPSTREAM_H

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace moe::raise {

using Sizes = llvm::SmallVector<mlir::OpFoldResult>;

/// Pairs of dimensions of two tensors that are multiplied.
struct ContractionDims {
  llvm::SmallVector<int64_t> lhsBatch, rhsBatch, lhsContracting, rhsContracting;
};

class Upstream {
public:
  explicit Upstream(mlir::OpBuilder &builder, mlir::Location loc)
      : b(builder), loc(loc) {}

  using Body =
      llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::ValueRange)>;

  mlir::OpBuilder &getBuilder() { return b; }
  mlir::Location getLoc() const { return loc; }
  void setLoc(mlir::Location to) { loc = to; }

  static mlir::RankedTensorType typeOf(mlir::Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType());
  }

  Sizes sizesOf(mlir::Value tensor);
  mlir::OpFoldResult multiply(mlir::OpFoldResult a, mlir::OpFoldResult b);
  /// The type of a tensor of `sizes`.
  static mlir::RankedTensorType getType(const Sizes &sizes, mlir::Type element);
  mlir::Value empty(const Sizes &sizes, mlir::Type element);
  /// A scalar constant of a float, integer or index type.
  mlir::Value scalar(mlir::Type type, double value);
  mlir::Value fill(const Sizes &sizes, mlir::Value scalar);
  /// 1 / (1 + exp(-x)) of a scalar.
  mlir::Value sigmoid(mlir::Value x);
  /// The one element of a tensor with one.
  mlir::Value extractOnly(mlir::Value tensor);

  /// A tensor whose elements `body` makes of those of `inputs`, which have one
  /// shape.
  mlir::Value elementwise(mlir::ValueRange inputs, mlir::Type element,
                          Body body);
  /// The same of inputs that are read by `maps` of the loops over `sizes`.
  mlir::Value map(mlir::ValueRange inputs, llvm::ArrayRef<mlir::AffineMap> maps,
                  const Sizes &sizes, mlir::Type element, Body body);
  /// A tensor whose elements `body` makes of their indices, of type index.
  mlir::Value generate(const Sizes &sizes, mlir::Type element, Body body);
  mlir::Value iota(const Sizes &sizes, int64_t dim, mlir::Type element);
  /// Converts numbers; integers are signed, floats become them by truncation.
  mlir::Value cast(mlir::Value tensor, mlir::Type element);
  mlir::Value castScalar(mlir::Value scalar, mlir::Type type);

  /// Dimension i of `tensor` is dimension `dims[i]` of the result; a size of 1
  /// is repeated where `sizes` has another.
  mlir::Value broadcast(mlir::Value tensor, const Sizes &sizes,
                        llvm::ArrayRef<int64_t> dims);
  /// Both operands of an elementwise op in one shape, by NumPy's rule.
  llvm::LogicalResult
  broadcastTogether(llvm::SmallVectorImpl<mlir::Value> &values);
  mlir::Value transpose(mlir::Value tensor,
                        llvm::ArrayRef<int64_t> permutation);
  /// In row-major order; as many elements.
  mlir::Value reshape(mlir::Value tensor, const Sizes &sizes);
  mlir::Value slice(mlir::Value tensor, const Sizes &offsets,
                    const Sizes &sizes, llvm::ArrayRef<int64_t> strides);
  mlir::Value concat(mlir::ValueRange tensors, int64_t dim);

  /// Reduces `dims`, which go, with a body of an element and an accumulator.
  mlir::Value reduce(mlir::Value tensor, mlir::Value init,
                     llvm::ArrayRef<int64_t> dims, Body body);
  mlir::Value sum(mlir::Value tensor, llvm::ArrayRef<int64_t> dims);
  mlir::Value softmax(mlir::Value tensor, int64_t dim);
  /// Sums of products, `[batch..., lhs free..., rhs free...]`; transposes are
  /// read through.
  mlir::Value contract(mlir::Value lhs, mlir::Value rhs,
                       const ContractionDims &dims);

  /// The `k` largest elements of the last dimension, best first, and where they
  /// were, in `index`: by a moe.router, in its order (the lower place wins
  /// ties, NaN comes last).
  std::pair<mlir::Value, mlir::Value> topK(mlir::Value tensor, int64_t k,
                                           mlir::Type index);
  /// Sums of all elements up to each along `dim`.
  mlir::Value runningSum(mlir::Value tensor, int64_t dim);
  /// Where each integer of a row is when the row is sorted, the smallest first,
  /// equal ones in their order; [N] of index.
  mlir::Value ranks(mlir::Value tensor);
  /// The places of a row in the order of their ranks.
  mlir::Value order(mlir::Value ranks, mlir::Type element);
  /// Rows [M, K], group after group of `counts` [G] of them, times the weights
  /// [G, K, N] of their groups; [G, N, K] if those are transposed.
  mlir::Value groupedProduct(mlir::Value rows, mlir::Value weights,
                             mlir::Value counts, bool isTransposed);

private:
  mlir::OpBuilder &b;
  mlir::Location loc;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_UPSTREAM_H
