//===- Expr.h - What one element of a tensor is ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Index notation: an element of a tensor as an expression of the variables that
// it is indexed by, such as sum(i, W[ids[t, s], h, i] * x[t, i]). Two programs
// that spell a layer with other reshapes, broadcasts and gathers have the same
// expression. Equal expressions are one object.
//
// Integers are mathematical ones, whatever their type: indices do not overflow.
// Floats are equal up to the order of operands and to the sign of a zero.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_EXPR_H
#define MOE_MLIR_RAISE_EXPR_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/FoldingSet.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Allocator.h"

#include <deque>
#include <optional>

namespace moe::raise {

struct Expr : llvm::FoldingSetNode {
  enum Kind {
    Constant, ///< `value`
    Variable, ///< a number in [0, extent)
    Linear,   ///< integers: the sum of coefficients times operands, and offset
    Element,  ///< of `tensor` at `operands`; a scalar without operands
    Apply,    ///< the op `name` on `operands`, with `value` as its attribute
    Reduce,   ///< the op `name` over all values of `operands[0]`, a variable,
              ///< of `operands[1]`; see Exprs::reduce()
  };

  Kind kind;
  mlir::Type type; ///< of a float, i1, or index for every other integer
  mlir::Attribute value;
  llvm::StringRef name;
  mlir::Value tensor;
  llvm::SmallVector<const Expr *> operands;
  llvm::SmallVector<int64_t> coefficients;
  int64_t offset = 0;
  int64_t extent = 0; ///< kDynamic if it is not known
  unsigned id = 0;    ///< in the order of creation
  /// The variables in it that nothing binds, by their number.
  llvm::SmallVector<const Expr *> free;

  void Profile(llvm::FoldingSetNodeID &key) const;
  bool is(llvm::StringRef op) const { return kind == Apply && name == op; }
  bool isReduce(llvm::StringRef op) const {
    return kind == Reduce && name == op;
  }
  const Expr *operator[](unsigned i) const { return operands[i]; }
  bool dependsOn(const Expr *variable) const {
    return llvm::is_contained(free, variable);
  }
  std::optional<int64_t> getInteger() const;
  std::optional<double> getFloat() const;
  void print(llvm::raw_ostream &os) const;
};

/// The smallest and largest value of an integer.
struct Interval {
  int64_t low, high;
};

/// Makes expressions, simplified.
class Exprs {
public:
  explicit Exprs(mlir::MLIRContext *context) : context(context) {}

  const Expr *number(int64_t value);
  const Expr *boolean(bool value);
  const Expr *constant(mlir::TypedAttr value);
  const Expr *variable(int64_t extent);
  const Expr *load(mlir::Value tensor, llvm::ArrayRef<const Expr *> indices,
                   std::optional<Interval> range = std::nullopt);
  /// `order` lists places, `ranks` is where each of them is in the list.
  void addInverse(mlir::Value order, mlir::Value ranks) {
    inverses[order] = ranks;
    inverses[ranks] = order;
  }
  /// An op on scalars by its name; `value` is its attribute, such as the
  /// predicate of a comparison.
  const Expr *apply(llvm::StringRef op, mlir::Type type,
                    llvm::ArrayRef<const Expr *> operands,
                    mlir::Attribute value = {});
  /// `op` over all values of `variable`. "last" has a condition, a value and an
  /// initial value as its body: the value for the last number for which the
  /// condition holds.
  const Expr *reduce(llvm::StringRef op, const Expr *variable,
                     llvm::ArrayRef<const Expr *> body);

  const Expr *add(const Expr *a, const Expr *b) { return linear(a, 1, b, 1); }
  const Expr *linear(const Expr *a, int64_t scaleA, const Expr *b,
                     int64_t scaleB);
  const Expr *scale(const Expr *a, int64_t by) {
    return linear(a, by, number(0), 0);
  }
  /// Rounded towards negative infinity; `by` is above 0.
  const Expr *floorDiv(const Expr *a, int64_t by);
  const Expr *mod(const Expr *a, int64_t by);

  /// What goes through floats, evaluated for each value of the one integer that
  /// it is computed from: that integer, if it is always the same.
  const Expr *simplifyByValues(const Expr *expr);

  /// Says that all values of a variable are below `size`.
  void setSize(const Expr *variable, const Expr *size) {
    sizes[variable] = size;
  }
  /// That size; null if it is not known.
  const Expr *getSize(const Expr *variable) {
    return mlir::ShapedType::isDynamic(variable->extent)
               ? sizes.lookup(variable)
               : number(variable->extent);
  }
  /// Whether an integer is at least 0 and below `size`; false if it is not
  /// known.
  bool isBelow(const Expr *expr, const Expr *size) const;

  /// Nothing if it is not known.
  std::optional<Interval> getRange(const Expr *expr) const;

  /// `expr` with `to` for `from` wherever it stands.
  const Expr *substitute(const Expr *expr, const Expr *from, const Expr *to);

  mlir::MLIRContext *getContext() const { return context; }

private:
  friend class Elements;
  const Expr *get(Expr &&expr);
  const Expr *substitute(const Expr *expr, const Expr *from, const Expr *to,
                         llvm::DenseMap<const Expr *, const Expr *> &done);
  std::optional<bool> compare(llvm::StringRef predicate, const Expr *a,
                              const Expr *b) const;
  const Expr *negate(const Expr *condition);
  const Expr *applyComparison(llvm::ArrayRef<const Expr *> operands,
                              mlir::Attribute predicate);
  bool isWitnessed(const Expr *variable, const Expr *condition);
  bool isContradiction(const Expr *a, const Expr *b);
  const Expr *applyInteger(llvm::StringRef op,
                           llvm::ArrayRef<const Expr *> operands,
                           mlir::Attribute value);
  const Expr *divideBySize(const Expr *expr, const Expr *size, bool isRest);
  const Expr *applyFloat(llvm::StringRef op, mlir::Type type,
                         llvm::ArrayRef<const Expr *> operands);

  mlir::MLIRContext *context;
  llvm::FoldingSet<Expr> unique;
  std::deque<Expr> storage;
  llvm::DenseMap<mlir::Value, Interval> ranges;
  llvm::DenseMap<mlir::Value, mlir::Value> inverses;
  llvm::DenseMap<const Expr *, const Expr *> sizes;
};

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_EXPR_H
