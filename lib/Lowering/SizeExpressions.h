//===- SizeExpressions.h - Sizes as affine expressions ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_LOWERING_SIZEEXPRESSIONS_H
#define MOE_LIB_LOWERING_SIZEEXPRESSIONS_H

#include "moe-mlir/Lowering/EntryPoints.h"

#include "mlir/Analysis/FlatLinearValueConstraints.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "llvm/ADT/StringMap.h"

namespace moe {
using namespace mlir;

/// What an expression is made of.
struct SizeRoot {
  /// For messages.
  std::string name;
  /// An index, or with `dim` a shaped value.
  Value value;
  std::optional<int64_t> dim;
  bool isKnownAtEntry = false;
  bool isNonNegative = false;
  /// A size of the interface: at most 2^31 - 1.
  bool isNamed = false;
  /// It is at least each of the first, and at most each of the second.
  SmallVector<AffineExpr, 1> lower = {}, upper = {};
  /// It is one of its upper bounds, or one of its lower bounds.
  bool isMinimum = false, isMaximum = false;
  /// It is each of its bounds in turn.
  bool isRange = false;
};

/// The sizes of a function as expressions over roots, which are symbols.
class SizeExpressions {
public:
  explicit SizeExpressions(func::FuncOp function)
      : function(function), context(function.getContext()),
        top(OpBuilder::atBlockBegin(&function.getBody().front())) {}

  ~SizeExpressions() {
    for (Operation *op : llvm::reverse(helpers))
      if (op->use_empty())
        op->erase();
  }

  AffineExpr get(OpFoldResult value) {
    if (auto attr = dyn_cast<Attribute>(value))
      return constant(cast<IntegerAttr>(attr).getInt());
    return get(cast<Value>(value));
  }

  AffineExpr get(Value value) {
    if (auto known = getConstantIntValue(value))
      return constant(*known);
    if (auto it = values.find(value); it != values.end())
      return it->second;
    AffineExpr expr = compute(value);
    if (!expr)
      expr = opaque(value, std::nullopt);
    values[value] = expr;
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
      addBounds(symbol.getPosition(), value);
    return expr;
  }

  AffineExpr getDim(Value shaped, int64_t dim) {
    auto type = cast<ShapedType>(shaped.getType());
    if (!type.isDynamicDim(dim))
      return constant(type.getDimSize(dim));
    std::pair<Value, int64_t> key(shaped, dim);
    if (auto it = dims.find(key); it != dims.end())
      return it->second;
    AffineExpr expr = computeDim(shaped, dim);
    return dims[key] = expr ? expr : opaque(shaped, dim);
  }

  /// The named size `name`, of which dimension `dim` of `argument` is one.
  AffineExpr named(StringRef name, Value argument, std::optional<int64_t> dim) {
    unsigned &slot =
        byKey.try_emplace(("size " + name).str(), ~0u).first->second;
    if (slot == ~0u)
      slot = add({name.str(), argument, dim, /*isKnownAtEntry=*/true,
                  /*isNonNegative=*/true, /*isNamed=*/true});
    return getAffineSymbolExpr(slot, context);
  }

  AffineExpr constant(int64_t value) {
    return getAffineConstantExpr(value, context);
  }

  AffineExpr multiply(AffineExpr a, AffineExpr b);

  bool isKnownAtEntry(AffineExpr expr) {
    bool known = true;
    expr.walk([&](AffineExpr e) {
      if (auto symbol = dyn_cast<AffineSymbolExpr>(e))
        known &= roots[symbol.getPosition()].isKnownAtEntry;
    });
    return known;
  }

  /// The index of a loop from 0 to `size`.
  void addRange(Value index, AffineExpr size) {
    auto root = cast<AffineSymbolExpr>(get(index)).getPosition();
    roots[root].lower = {constant(0)};
    roots[root].upper = {simplify(size - 1)};
    roots[root].isRange = true;
  }

  /// `expr` where the indices of loops are the ones that make it largest, or
  /// smallest.
  AffineExpr atExtreme(AffineExpr expr, bool largest) {
    SmallVector<int64_t> flat;
    if (failed(getFlattenedAffineExpr(expr, 0, roots.size(), &flat)) ||
        flat.size() != roots.size() + 1)
      return expr;
    for (unsigned i = 0, e = roots.size(); i != e; ++i)
      if (flat[i] != 0 && roots[i].isRange)
        expr = expr.replace(symbol(i), (flat[i] > 0) == largest
                                           ? roots[i].upper.front()
                                           : roots[i].lower.front());
    return simplify(expr);
  }

  /// Whether the bounds of roots show that `expr` is not negative; `depth` of
  /// them are used one after the other.
  bool proveNonNegative(AffineExpr expr, int depth = 4);

  bool isNonNegative(AffineExpr expr) {
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
      return roots[symbol.getPosition()].isNonNegative;
    if (auto known = dyn_cast<AffineConstantExpr>(expr))
      return known.getValue() >= 0;
    auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
    if (!binary)
      return false;
    if (expr.getKind() == AffineExprKind::Mod)
      return true;
    return isNonNegative(binary.getLHS()) && isNonNegative(binary.getRHS());
  }

  AffineExpr simplify(AffineExpr expr) {
    return simplifyAffineExpr(expr, 0, roots.size());
  }

  /// Whether the analysis of bounds shows `a` <= `b`, or that they are equal.
  bool prove(AffineExpr a, ValueBoundsConstraintSet::ComparisonOperator cmp,
             AffineExpr b) {
    return ValueBoundsConstraintSet::compare(variable(a), cmp, variable(b));
  }

  Value build(OpBuilder &b, Location loc, AffineExpr expr) {
    SmallVector<unsigned> used;
    AffineMap map = compress(expr, used);
    SmallVector<OpFoldResult> operands;
    for (unsigned root : used)
      operands.push_back(rootValue(b, loc, root));
    return getValueOrCreateConstantIndexOp(
        b, loc, affine::makeComposedFoldedAffineApply(b, loc, map, operands));
  }

  std::string text(AffineExpr expr) {
    std::string raw, result;
    llvm::raw_string_ostream(raw) << expr;
    for (size_t i = 0; i < raw.size();) {
      if (raw[i] != 's' || i + 1 == raw.size() || !llvm::isDigit(raw[i + 1])) {
        result += raw[i++];
        continue;
      }
      unsigned number = 0;
      for (++i; i < raw.size() && llvm::isDigit(raw[i]); ++i)
        number = number * 10 + (raw[i] - '0');
      result += roots[number].name;
    }
    return result;
  }

  OpBuilder &atEntry() { return top; }

private:
  AffineExpr symbol(unsigned root) {
    return getAffineSymbolExpr(root, context);
  }

  unsigned add(SizeRoot root) {
    roots.push_back(std::move(root));
    return roots.size() - 1;
  }

  AffineExpr opaque(Value value, std::optional<int64_t> dim) {
    return symbol(add({dim ? "a size known only inside" : "a value", value, dim,
                       /*isKnownAtEntry=*/false,
                       /*isNonNegative=*/dim.has_value(), false}));
  }

  /// A root that is one value at the entry for all with the same `key`.
  AffineExpr entryRoot(const std::string &key, const Twine &name,
                       bool isNonNegative, function_ref<Value()> build) {
    unsigned &slot = byKey.try_emplace(key, ~0u).first->second;
    if (slot == ~0u)
      slot = add({name.str(), build(), std::nullopt, /*isKnownAtEntry=*/true,
                  isNonNegative, false});
    return symbol(slot);
  }

  Value rootValue(OpBuilder &b, Location loc, unsigned number) {
    SizeRoot &root = roots[number];
    if (!root.dim)
      return root.value;
    if (!root.isKnownAtEntry)
      return buildDim(b, loc, root.value, *root.dim);
    // Once, at the entry.
    Value value = buildDim(top, loc, root.value, *root.dim);
    root.value = value;
    root.dim = std::nullopt;
    return value;
  }

  static Value buildDim(OpBuilder &b, Location loc, Value shaped, int64_t dim) {
    if (isa<MemRefType>(shaped.getType()))
      return memref::DimOp::create(b, loc, shaped, dim);
    return tensor::DimOp::create(b, loc, shaped, dim);
  }

  ValueBoundsConstraintSet::Variable variable(AffineExpr expr) {
    using Variable = ValueBoundsConstraintSet::Variable;
    SmallVector<unsigned> used;
    AffineMap map = compress(expr, used);
    SmallVector<Variable> operands;
    for (unsigned root : used)
      operands.push_back(
          Variable(OpFoldResult(roots[root].value), roots[root].dim));
    return Variable(map, operands);
  }

  /// `expr` as a map of the roots that occur in it.
  AffineMap compress(AffineExpr expr, SmallVectorImpl<unsigned> &used) {
    SmallVector<AffineExpr> renamed;
    for (unsigned i = 0, e = roots.size(); i != e; ++i) {
      renamed.push_back(constant(0));
      if (!expr.isFunctionOfSymbol(i))
        continue;
      renamed.back() = symbol(used.size());
      used.push_back(i);
    }
    return AffineMap::get(0, used.size(), expr.replaceSymbols(renamed));
  }

  void addBounds(unsigned root, Value value);
  AffineExpr compute(Value value);
  AffineExpr computeDim(Value shaped, int64_t dim);
  /// `value` computed at the entry, or null.
  Value cloneToEntry(Value value);

  func::FuncOp function;
  MLIRContext *context;
  OpBuilder top;
  SmallVector<SizeRoot> roots;
  llvm::StringMap<unsigned> byKey;
  DenseMap<Value, AffineExpr> values;
  DenseMap<std::pair<Value, int64_t>, AffineExpr> dims;
  DenseMap<Value, Value> clones;
  SmallVector<Operation *> helpers;
};

} // namespace moe

#endif // MOE_LIB_LOWERING_SIZEEXPRESSIONS_H
