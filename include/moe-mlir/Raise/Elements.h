//===- Elements.h - From tensors to expressions of elements ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Reads structured ops, reshapes, slices and loads as what they make of one
// element. What only moves elements, and integers, which are indices, is read
// at once; floats are read op by op, as whoever asks wants them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_ELEMENTS_H
#define MOE_MLIR_RAISE_ELEMENTS_H

#include "moe-mlir/Raise/Expr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Operation.h"

namespace mlir::linalg {
class LinalgOp;
} // namespace mlir::linalg

namespace moe::raise {

/// The attribute of a linalg.generic that says what it does where its body
/// would have to be proved: "ranks" and "order"; see Upstream.
inline constexpr llvm::StringLiteral kMeaningAttrName = "raise_meaning";

/// The places of a flattened tensor that are in one row of it, or column.
struct Row {
  const Expr *place; ///< in terms of `other`, in its order
  const Expr *other; ///< a variable; null if there is one place
};

class Elements {
public:
  explicit Elements(mlir::MLIRContext *context) : exprs(context) {}

  /// The element of `tensor` at `indices`, one for each dimension.
  const Expr *element(mlir::Value tensor, llvm::ArrayRef<const Expr *> indices);
  /// What the op makes of it that an `Element` is the result of; null if that
  /// is an argument, or not known.
  const Expr *unfold(const Expr *element);
  /// The same until it is no `Element`, or one that nothing is known of.
  const Expr *unfoldAll(const Expr *expr);
  /// The same of all operands, too.
  const Expr *unfoldDeep(const Expr *expr);

  /// Whether `product` is 0 for all values of `variable` but one, or for all
  /// but one for each value of `slots`, which are added: it becomes what it is
  /// there. `only` is that value.
  bool pickTerm(const Expr *&product, const Expr *variable,
                llvm::SmallVectorImpl<const Expr *> &slots,
                const Expr **only = nullptr);

  /// The size of a dimension; null if it is not known.
  const Expr *size(mlir::Value tensor, int64_t dim);
  /// The values of the variable `place` for which `at`, which is it, or a
  /// quotient or a rest of it, is `which`.
  std::optional<Row> findRow(const Expr *at, const Expr *which,
                             const Expr *place);

  const Expr *number(int64_t value) { return exprs.number(value); }
  const Expr *variable(int64_t extent) { return exprs.variable(extent); }
  /// The variable of the slots of routings that have one.
  const Expr *getOnlySlot();

  Exprs exprs;

private:
  using Indices = llvm::ArrayRef<const Expr *>;

  /// Whether elements of the tensor are read at once: integers and conditions.
  static bool isIndexLike(mlir::Value tensor);
  /// Whether it is a place of [n, ?] in one dimension; see ElementViews.
  static bool isRowMajor(const Expr *index);
  const Expr *readView(mlir::Value tensor, Indices indices);
  const Expr *readOp(mlir::Value tensor, Indices indices);
  static bool hasMeaning(mlir::Value tensor, llvm::StringRef meaning);
  const Expr *readGroup(mlir::Value tensor, Indices indices);
  const Expr *readMembership(const Expr *expr);
  bool findTerm(const Expr *&product, const Expr *variable, const Expr *&only,
                llvm::SmallVectorImpl<const Expr *> &slots);
  const Expr *matchEqual(const Expr *condition, const Expr *variable);
  const Expr *compare(mlir::arith::CmpIPredicate predicate, const Expr *a,
                      const Expr *b);
  static const Expr *findOrder(const Expr *expr, const Expr *place);
  bool isCountOf(const Expr *count, const Expr *value, mlir::Value row);
  bool isDistinct(const Expr *expr, const Expr *variable);
  const Expr *readStructured(mlir::linalg::LinalgOp op, unsigned result,
                             Indices indices);
  const Expr *evaluate(mlir::AffineExpr expr, Indices dims);
  const Expr *evaluateScalar(mlir::Value value,
                             llvm::DenseMap<mlir::Value, const Expr *> &known,
                             Indices loops);
  void noteRows(mlir::linalg::LinalgOp op, unsigned loop, const Expr *variable);
  const Expr *readSize(mlir::Value value);
  const Expr *flatten(Indices indices, llvm::ArrayRef<int64_t> shape);

  const Expr *onlySlot = nullptr;
  llvm::DenseMap<const Expr *, const Expr *> unfolded;
  /// How many rows and columns there are for variables over all places of a
  /// tensor [rows, columns], if that is not known of one of them.
  llvm::DenseMap<const Expr *, std::pair<const Expr *, const Expr *>> rowsOf;
  /// The variable of each loop that an op reduces.
  llvm::DenseMap<std::pair<mlir::Operation *, unsigned>, const Expr *> loops;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_ELEMENTS_H
