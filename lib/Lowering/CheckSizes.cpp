//===- CheckSizes.cpp - What IR promises about sizes ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Operations promise that sizes fit: operands of a sum have one shape, a slice
// lies within its tensor, a result is as large as its declaration says. Whoever
// calls a compiled function gives the sizes, so the promises are the caller's,
// and are checked.
//
// Every size is an affine expression over roots: the named sizes, scalar
// arguments, and what only the body knows. A promise between expressions holds
// always, never (an error), or becomes a moe_rt.check: at the entry if all of its
// roots are known there and the operation runs in every call, and in front of
// the operation otherwise.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Dims.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Transforms/Rows.h"
#include "moe/Moe.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Analysis/FlatLinearValueConstraints.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

namespace moe {
#define GEN_PASS_DEF_CHECKSIZESPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// What an expression is made of.
struct Root {
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
class Sizes {
public:
  explicit Sizes(func::FuncOp function)
      : function(function), context(function.getContext()),
        top(OpBuilder::atBlockBegin(&function.getBody().front())) {}

  ~Sizes() {
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

  unsigned add(Root root) {
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
    Root &root = roots[number];
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
  SmallVector<Root> roots;
  llvm::StringMap<unsigned> byKey;
  DenseMap<Value, AffineExpr> values;
  DenseMap<std::pair<Value, int64_t>, AffineExpr> dims;
  DenseMap<Value, Value> clones;
  SmallVector<Operation *> helpers;
};

} // namespace

void Sizes::addBounds(unsigned root, Value value) {
  SmallVector<AffineExpr, 1> lower, upper;
  bool isMinimum = false, isMaximum = false;
  auto ofLoop = [&](auto loop) {
    unsigned d = cast<BlockArgument>(value).getArgNumber();
    SmallVector<OpFoldResult> from = loop.getMixedLowerBound(),
                              to = loop.getMixedUpperBound();
    if (d < from.size()) {
      lower.push_back(get(from[d]));
      upper.push_back(simplify(get(to[d]) - 1));
    }
  };
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto loop = dyn_cast<scf::ForOp>(parent);
        loop && loop.getInductionVar() == value) {
      lower.push_back(get(loop.getLowerBound()));
      upper.push_back(simplify(get(loop.getUpperBound()) - 1));
    } else if (auto loop = dyn_cast<scf::ForallOp>(parent)) {
      ofLoop(loop);
    } else if (auto loop = dyn_cast<scf::ParallelOp>(parent)) {
      unsigned d = argument.getArgNumber();
      lower.push_back(get(loop.getLowerBound()[d]));
      upper.push_back(simplify(get(loop.getUpperBound()[d]) - 1));
    }
  } else {
    Operation *op = value.getDefiningOp();
    AffineMap map;
    if (auto min = dyn_cast<affine::AffineMinOp>(op))
      map = min.getAffineMap();
    if (auto max = dyn_cast<affine::AffineMaxOp>(op))
      map = max.getAffineMap();
    isMinimum = isa<affine::AffineMinOp, arith::MinSIOp>(op);
    isMaximum = isa<affine::AffineMaxOp, arith::MaxSIOp>(op);
    SmallVector<AffineExpr, 1> &bounds = isMinimum ? upper : lower;
    if (isMinimum || isMaximum) {
      SmallVector<AffineExpr> ins;
      for (Value in : op->getOperands())
        ins.push_back(get(in));
      if (!map)
        bounds.append(ins.begin(), ins.end());
      else
        for (AffineExpr expr : map.getResults())
          bounds.push_back(simplify(expr.replaceDimsAndSymbols(
              ArrayRef(ins).take_front(map.getNumDims()),
              ArrayRef(ins).drop_front(map.getNumDims()))));
    }
  }
  // Another value may be the root itself.
  if (lower.empty() && upper.empty())
    return;
  roots[root].lower = lower;
  roots[root].upper = upper;
  roots[root].isMinimum = isMinimum;
  roots[root].isMaximum = isMaximum;
}

bool Sizes::proveNonNegative(AffineExpr expr, int depth) {
  SmallVector<int64_t> flat;
  if (isNonNegative(expr))
    return true;
  if (failed(getFlattenedAffineExpr(expr, 0, roots.size(), &flat)) ||
      flat.size() != roots.size() + 1)
    return false;
  bool sum = flat.back() >= 0;
  for (unsigned i = 0, e = roots.size(); i != e; ++i)
    sum &= flat[i] == 0 || (flat[i] > 0 && roots[i].isNonNegative);
  if (sum)
    return true;
  if (depth == 0)
    return false;
  for (unsigned i = 0, e = roots.size(); i != e; ++i) {
    if (flat[i] == 0)
      continue;
    auto holdsFor = [&](AffineExpr bound) {
      return proveNonNegative(simplify(expr.replace(symbol(i), bound)),
                              depth - 1);
    };
    bool grows = flat[i] > 0;
    const SmallVector<AffineExpr, 1> &any =
        grows ? roots[i].lower : roots[i].upper;
    const SmallVector<AffineExpr, 1> &all =
        grows ? roots[i].upper : roots[i].lower;
    if (llvm::any_of(any, holdsFor) ||
        ((grows ? roots[i].isMinimum : roots[i].isMaximum) &&
         llvm::all_of(all, holdsFor)))
      return true;
  }
  return false;
}

AffineExpr Sizes::multiply(AffineExpr a, AffineExpr b) {
  if (isa<AffineConstantExpr>(a) || isa<AffineConstantExpr>(b))
    return simplify(a * b);
  // Constant factors go outside, so that equal products look equal.
  int64_t factor = 1;
  for (AffineExpr *side : {&a, &b}) {
    auto binary = dyn_cast<AffineBinaryOpExpr>(*side);
    auto known = binary && side->getKind() == AffineExprKind::Mul
                     ? dyn_cast<AffineConstantExpr>(binary.getRHS())
                     : AffineConstantExpr();
    if (!known)
      continue;
    factor *= known.getValue();
    *side = binary.getLHS();
  }
  std::string textA = text(a), textB = text(b);
  if (textB < textA) {
    std::swap(a, b);
    std::swap(textA, textB);
  }
  Location loc = function.getLoc();
  if (!isKnownAtEntry(a) || !isKnownAtEntry(b))
    return {};
  auto parenthesize = [](AffineExpr e, StringRef text) {
    return isa<AffineSymbolExpr>(e) ? text.str() : ("(" + text + ")").str();
  };
  std::string name = parenthesize(a, textA) + " * " + parenthesize(b, textB);
  auto isNamed = [&](AffineExpr e) {
    auto symbol = dyn_cast<AffineSymbolExpr>(e);
    return symbol && roots[symbol.getPosition()].isNamed;
  };
  // Not by the names, which scalars may share.
  std::string key;
  llvm::raw_string_ostream(key) << "mul " << a << "," << b;
  AffineExpr product = entryRoot(
      key, name, isNonNegative(a) && isNonNegative(b), [&]() -> Value {
        Value x = build(top, loc, a), y = build(top, loc, b);
        if (isNamed(a) && isNamed(b))
          return arith::MulIOp::create(top, loc, x, y);
        auto wide = arith::MulSIExtendedOp::create(top, loc, x, y);
        Value sign = arith::ShRSIOp::create(
            top, loc, wide.getLow(),
            arith::ConstantIndexOp::create(top, loc, 63));
        Value fits = arith::CmpIOp::create(top, loc, arith::CmpIPredicate::eq,
                                           wide.getHigh(), sign);
        moert::CheckOp::create(top, loc, fits, moert::Status::BadSize,
                              "the product " + name + " is too large");
        return wide.getLow();
      });
  return simplify(product * factor);
}

Value Sizes::cloneToEntry(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getOwner() == &function.getBody().front() ? value : Value();
  if (auto it = clones.find(value); it != clones.end())
    return it->second;
  // What cannot be computed there is remembered, too.
  clones[value] = {};
  Operation *op = value.getDefiningOp();
  if (!isa_and_nonnull<arith::ArithDialect, affine::AffineDialect,
                       tensor::TensorDialect>(op->getDialect()) ||
      op->getNumRegions() != 0 || op->getNumResults() != 1 || !isPure(op) ||
      isa<ShapedType>(value.getType()))
    return {};
  // Of tensors only what is there in every call.
  if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    if (!isa<BlockArgument>(extract.getTensor()) ||
        extract.getTensor().getType().getRank() != 0)
      return {};
  } else if (isa<tensor::TensorDialect>(op->getDialect())) {
    return {};
  }
  IRMapping mapping;
  for (Value operand : op->getOperands()) {
    Value mapped;
    if (operand.getType().isIndex()) {
      AffineExpr expr = get(operand);
      if (isKnownAtEntry(expr))
        mapped = build(top, op->getLoc(), expr);
    } else {
      mapped = cloneToEntry(operand);
    }
    if (!mapped)
      return {};
    mapping.map(operand, mapped);
  }
  Value result = top.clone(*op, mapping)->getResult(0);
  return clones[value] = result;
}

AffineExpr Sizes::compute(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    if (argument.getOwner() != &function.getBody().front())
      return {};
    auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                      moe::kNameAttr);
    return entryRoot("argument " + std::to_string(argument.getArgNumber()),
                     name ? name.getValue() : "an argument", false,
                     [&] { return value; });
  }
  Operation *op = value.getDefiningOp();
  auto operand = [&](unsigned i) { return get(op->getOperand(i)); };
  auto divisor = [&]() -> int64_t {
    auto known = getConstantIntValue(op->getOperand(1));
    return known && *known > 0 ? *known : 0;
  };
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    auto index = dim.getConstantIndex();
    auto type = dyn_cast<RankedTensorType>(dim.getSource().getType());
    if (index && type && *index >= 0 && *index < type.getRank())
      return getDim(dim.getSource(), *index);
    return {};
  }
  if (auto dim = dyn_cast<memref::DimOp>(op)) {
    auto index = dim.getConstantIndex();
    auto type = dyn_cast<MemRefType>(dim.getSource().getType());
    if (index && type && *index >= 0 && *index < type.getRank())
      return getDim(dim.getSource(), *index);
    return {};
  }
  if (auto tokens = dyn_cast<moe::RoutingNumTokensOp>(op)) {
    Value tensor = moe::getTokensTensor(tokens.getRouting());
    return tensor ? getDim(tensor, 0) : AffineExpr();
  }
  if (value.getType().isIndex()) {
    if (isa<arith::AddIOp>(op))
      return simplify(operand(0) + operand(1));
    if (isa<arith::SubIOp>(op))
      return simplify(operand(0) - operand(1));
    if (isa<arith::MulIOp>(op))
      return multiply(operand(0), operand(1));
    if (int64_t by = isa<arith::FloorDivSIOp, arith::CeilDivSIOp,
                         arith::DivSIOp, arith::DivUIOp, arith::CeilDivUIOp>(op)
                         ? divisor()
                         : 0) {
      AffineExpr of = operand(0);
      if (isa<arith::FloorDivSIOp>(op))
        return simplify(of.floorDiv(by));
      if (isa<arith::CeilDivSIOp>(op))
        return simplify(of.ceilDiv(by));
      if (isNonNegative(of))
        return simplify(isa<arith::CeilDivUIOp>(op) ? of.ceilDiv(by)
                                                    : of.floorDiv(by));
    }
    if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
      AffineMap map = apply.getAffineMap();
      SmallVector<AffineExpr> ins;
      for (Value in : apply.getMapOperands())
        ins.push_back(get(in));
      AffineExpr expr = map.getResult(0);
      // A product of symbols is no affine expression of roots.
      bool pure = expr.isPureAffine();
      if (pure)
        return simplify(expr.replaceDimsAndSymbols(
            ArrayRef(ins).take_front(map.getNumDims()),
            ArrayRef(ins).drop_front(map.getNumDims())));
      auto product = dyn_cast<AffineBinaryOpExpr>(expr);
      auto leaf = [&](AffineExpr e) -> AffineExpr {
        if (auto dim = dyn_cast<AffineDimExpr>(e))
          return ins[dim.getPosition()];
        if (auto symbol = dyn_cast<AffineSymbolExpr>(e))
          return ins[map.getNumDims() + symbol.getPosition()];
        return {};
      };
      if (product && expr.getKind() == AffineExprKind::Mul &&
          leaf(product.getLHS()) && leaf(product.getRHS()))
        return multiply(leaf(product.getLHS()), leaf(product.getRHS()));
    }
  }
  // Anything else that arguments decide: a minimum, a cast of an i64.
  Value clone = cloneToEntry(value);
  if (!clone)
    return {};
  std::string key;
  llvm::raw_string_ostream os(key);
  os << "value " << op->getName() << op->getAttrDictionary();
  for (Value in : op->getOperands()) {
    if (in.getType().isIndex())
      os << "," << get(in);
    else
      os << "," << cloneToEntry(in).getAsOpaquePointer();
  }
  std::string name = "a value of " + op->getName().getStringRef().str();
  // A cast is what it casts.
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op))
    if (auto argument = dyn_cast<BlockArgument>(op->getOperand(0)))
      if (auto given = function.getArgAttrOfType<StringAttr>(
              argument.getArgNumber(), moe::kNameAttr))
        name = given.str();
  return entryRoot(key, name, false, [&] { return clone; });
}

AffineExpr Sizes::computeDim(Value shaped, int64_t dim) {
  /// What a loop carries keeps its size if the analysis of bounds says so.
  auto ofLoop = [&](Value init) -> AffineExpr {
    FailureOr<bool> same = ValueBoundsConstraintSet::areEqual(
        ValueBoundsConstraintSet::Variable(shaped, dim),
        ValueBoundsConstraintSet::Variable(init, dim));
    return succeeded(same) && *same ? getDim(init, dim) : AffineExpr();
  };
  if (auto argument = dyn_cast<BlockArgument>(shaped)) {
    if (argument.getOwner() == &function.getBody().front()) {
      unsigned number = argument.getArgNumber();
      auto names = function.getArgAttrOfType<ArrayAttr>(number, moe::kDimsAttr);
      auto type = cast<ShapedType>(shaped.getType());
      unsigned index = 0;
      for (int64_t d = 0; d < dim; ++d)
        index += type.isDynamicDim(d);
      if (!names || index >= names.size())
        return {};
      return named(cast<StringAttr>(names[index]).getValue(), shaped, dim);
    }
    if (auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp()))
      if (OpOperand *init = loop.getTiedLoopInit(argument))
        return ofLoop(init->get());
    return {};
  }
  auto result = cast<OpResult>(shaped);
  Operation *op = result.getOwner();
  if (auto dst = dyn_cast<DestinationStyleOpInterface>(op))
    if (OpOperand *init = dst.getTiedOpOperand(result))
      return getDim(init->get(), dim);
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return get(empty.getDynamicSize(dim));
  if (auto cast = dyn_cast<tensor::CastOp>(op)) {
    auto from = dyn_cast<RankedTensorType>(cast.getSource().getType());
    return from ? getDim(cast.getSource(), dim) : AffineExpr();
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return get(expand.getMixedOutputShape()[dim]);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    AffineExpr product = constant(1);
    ReassociationIndices group = collapse.getReassociationIndices()[dim];
    for (int64_t from : group) {
      product = multiply(product, getDim(collapse.getSrc(), from));
      if (!product)
        return {};
    }
    return product;
  }
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return ofLoop(loop.getInitArgs()[result.getResultNumber()]);
  if (auto branch = dyn_cast<scf::IfOp>(op)) {
    unsigned number = result.getResultNumber();
    AffineExpr yes = getDim(branch.thenYield().getOperand(number), dim);
    AffineExpr no = getDim(branch.elseYield().getOperand(number), dim);
    return yes == no && isKnownAtEntry(yes) ? yes : AffineExpr();
  }
  if (OpTrait::hasElementwiseMappableTraits(op))
    for (Value operand : op->getOperands())
      if (isa<RankedTensorType>(operand.getType()))
        return getDim(operand, dim);
  auto reify = dyn_cast<ReifyRankedShapedTypeOpInterface>(op);
  if (!reify)
    return {};
  // Ops that only tell sizes; they go again when nothing needs them.
  struct Remember : OpBuilder::Listener {
    SmallVectorImpl<Operation *> &ops;
    explicit Remember(SmallVectorImpl<Operation *> &ops) : ops(ops) {}
    void notifyOperationInserted(Operation *op,
                                 OpBuilder::InsertPoint) override {
      ops.push_back(op);
    }
  } listener(helpers);
  OpBuilder b(context, &listener);
  b.setInsertionPoint(op);
  ReifiedRankedShapedTypeDims shapes;
  if (failed(reify.reifyResultShapes(b, shapes)))
    return {};
  OpFoldResult size = shapes[result.getResultNumber()][dim];
  // Asking the op again would not end.
  if (auto value = dyn_cast<Value>(size))
    if (auto again = value.getDefiningOp<tensor::DimOp>())
      if (again.getSource() == shaped)
        return {};
  return get(size);
}

//===----------------------------------------------------------------------===//
// Promises
//===----------------------------------------------------------------------===//

namespace {

/// The promises of a function's operations.
class Promises {
public:
  explicit Promises(func::FuncOp function)
      : function(function), sizes(function) {}

  LogicalResult run();

private:
  LogicalResult visit(Operation *op);
  LogicalResult visitLinalg(linalg::LinalgOp op);
  LogicalResult visitSlice(OffsetSizeAndStrideOpInterface op, Value whole);
  LogicalResult visitInsert(OffsetSizeAndStrideOpInterface op, Value part,
                            Value whole);
  LogicalResult visitElement(Operation *op, Value whole, ValueRange indices);
  LogicalResult visitReturn(func::ReturnOp op);

  LogicalResult equal(Operation *op, AffineExpr a, AffineExpr b,
                      const Twine &why);
  LogicalResult atMost(Operation *op, AffineExpr a, AffineExpr b,
                       const Twine &why);
  LogicalResult sameShape(Operation *op, Value a, Value b, const Twine &why);
  LogicalResult check(Operation *op, AffineExpr a, AffineExpr b, bool equal,
                      const std::string &message);

  /// An argument for a size that no argument has.
  AffineExpr declaredSize(StringRef name);

  func::FuncOp function;
  Sizes sizes;
  llvm::StringSet<> atEntry;
  llvm::StringSet<> ofArguments;
};

} // namespace

LogicalResult Promises::check(Operation *op, AffineExpr a, AffineExpr b,
                              bool equal, const std::string &message) {
  Block *body = &function.getBody().front();
  bool known = sizes.isKnownAtEntry(a) && sizes.isKnownAtEntry(b);
  Operation *obstacle = moert::CheckOp::findObstacle(op->getBlock());
  if (obstacle && !known)
    return op->emitOpError("needs a check at run time (")
           << message << "), which '" << obstacle->getName()
           << "' around it does not allow; take the sizes from one tensor, or "
              "bound them by it (arith.minsi)";
  // What stands inside of an obstacle is checked in front of it.
  Operation *at = op;
  for (Operation *around = obstacle; around;
       around = moert::CheckOp::findObstacle(at->getBlock()))
    at = around;
  // In a branch or loop it need not run, and then promises nothing.
  bool hoist = known && at->getBlock() == body;
  std::string key;
  llvm::raw_string_ostream(key) << a << (equal ? "=" : "<") << b;
  if (hoist && !atEntry.insert(key).second)
    return success();
  OpBuilder local(at);
  OpBuilder &b2 = hoist ? sizes.atEntry() : local;
  Location loc = op->getLoc();
  Value x = sizes.build(b2, loc, a), y = sizes.build(b2, loc, b);
  Value ok = arith::CmpIOp::create(
      b2, loc, equal ? arith::CmpIPredicate::eq : arith::CmpIPredicate::sle, x,
      y);
  moert::CheckOp::create(b2, loc, ok, moert::Status::BadSize, message);
  return success();
}

LogicalResult Promises::equal(Operation *op, AffineExpr a, AffineExpr b,
                              const Twine &why) {
  AffineExpr difference = sizes.simplify(a - b);
  std::string message =
      sizes.text(a) + " has to equal " + sizes.text(b) + ": " + why.str();
  if (auto known = dyn_cast<AffineConstantExpr>(difference)) {
    if (known.getValue() == 0)
      return success();
    return op->emitOpError("can never run: ") << message;
  }
  if (sizes.prove(a, ValueBoundsConstraintSet::ComparisonOperator::EQ, b))
    return success();
  return check(op, a, b, /*equal=*/true, message);
}

LogicalResult Promises::atMost(Operation *op, AffineExpr a, AffineExpr b,
                               const Twine &why) {
  AffineExpr room = sizes.simplify(b - a);
  std::string message =
      sizes.text(a) + " has to be at most " + sizes.text(b) + ": " + why.str();
  if (auto known = dyn_cast<AffineConstantExpr>(room)) {
    if (known.getValue() >= 0)
      return success();
    return op->emitOpError("can never run: ") << message;
  }
  if (sizes.proveNonNegative(room) ||
      sizes.prove(a, ValueBoundsConstraintSet::ComparisonOperator::LE, b))
    return success();
  return check(op, a, b, /*equal=*/false, message);
}

LogicalResult Promises::sameShape(Operation *op, Value a, Value b,
                                  const Twine &why) {
  auto typeA = dyn_cast<RankedTensorType>(a.getType());
  auto typeB = dyn_cast<RankedTensorType>(b.getType());
  if (!typeA || !typeB || typeA.getRank() != typeB.getRank())
    return success();
  for (int64_t d = 0; d < typeA.getRank(); ++d)
    if (failed(equal(op, sizes.getDim(a, d), sizes.getDim(b, d), why)))
      return failure();
  return success();
}

LogicalResult Promises::visitLinalg(linalg::LinalgOp op) {
  std::string why =
      ("'" + op->getName().getStringRef() + "' reads them with one loop").str();
  SmallVector<AffineExpr> ranges(op.getNumLoops());
  // What is known earlier says more.
  for (bool known : {true, false})
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<ShapedType>(operand.get().getType()))
        continue;
      for (auto [d, index] :
           llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
        auto loop = dyn_cast<AffineDimExpr>(index);
        if (!loop || ranges[loop.getPosition()])
          continue;
        AffineExpr size = sizes.getDim(operand.get(), d);
        if (!known || sizes.isKnownAtEntry(size))
          ranges[loop.getPosition()] = size;
      }
    }
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<ShapedType>(operand.get().getType()))
      continue;
    for (auto [d, index] :
         llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
      AffineExpr size = sizes.getDim(operand.get(), d);
      if (auto loop = dyn_cast<AffineDimExpr>(index)) {
        if (failed(equal(op, size, ranges[loop.getPosition()], why)))
          return failure();
        continue;
      }
      // The largest index is that of the last iterations.
      bool grows = true;
      index.walk([&](AffineExpr e) {
        if (auto known = dyn_cast<AffineConstantExpr>(e))
          grows &= known.getValue() >= 0;
        if (auto loop = dyn_cast<AffineDimExpr>(e))
          grows &= bool(ranges[loop.getPosition()]);
        grows &= e.getKind() != AffineExprKind::Mod;
      });
      if (!grows)
        continue;
      SmallVector<AffineExpr> last;
      for (AffineExpr range : ranges)
        last.push_back(range ? range - 1 : sizes.constant(0));
      AffineExpr end = sizes.simplify(index.replaceDims(last) + 1);
      if (failed(atMost(op, end, size,
                        "'" + op->getName().getStringRef() +
                            "' reads up to there")))
        return failure();
    }
  }
  // What the body reads by the indices of the loops. A loop without iterations
  // reads nothing, but that is not worth a branch.
  for (Operation &inner : *op.getBlock())
    if (auto index = dyn_cast<linalg::IndexOp>(inner))
      if (AffineExpr range = ranges[index.getDim()])
        sizes.addRange(index, range);
  for (Operation &inner : *op.getBlock())
    if (auto extract = dyn_cast<tensor::ExtractOp>(inner))
      if (failed(
              visitElement(extract, extract.getTensor(), extract.getIndices())))
        return failure();
  return success();
}

LogicalResult Promises::visitSlice(OffsetSizeAndStrideOpInterface op,
                                   Value whole) {
  std::string why =
      ("'" + op->getName().getStringRef() + "' has to be within its tensor")
          .str();
  AffineExpr zero = sizes.constant(0);
  SmallVector<OpFoldResult> offsets = op.getMixedOffsets(),
                            counts = op.getMixedSizes(),
                            strides = op.getMixedStrides();
  for (int64_t d = 0, e = counts.size(); d != e; ++d) {
    AffineExpr offset = sizes.get(offsets[d]), count = sizes.get(counts[d]);
    AffineExpr size = sizes.getDim(whole, d);
    if (failed(atMost(op, zero, offset, why)) ||
        failed(atMost(op, zero, count, why)))
      return failure();
    auto stride = getConstantIntValue(strides[d]);
    if (!stride) {
      AffineExpr step = sizes.get(strides[d]);
      AffineExpr span = sizes.multiply(sizes.simplify(count - 1), step);
      if (!span)
        return op->emitOpError("has a stride that is computed in the function; "
                               "make it a constant or an argument");
      if (failed(atMost(op, sizes.constant(1), step, why)) ||
          failed(atMost(op, span, sizes.simplify(size - offset - 1), why)))
        return failure();
      continue;
    }
    if (*stride > 0) {
      // In this form nothing overflows, whatever the values are.
      AffineExpr left = sizes.simplify(size - offset);
      if (failed(atMost(op, offset, size, why)) ||
          failed(atMost(op, count, sizes.simplify(left.ceilDiv(*stride)), why)))
        return failure();
      continue;
    }
    if (failed(atMost(op, offset, sizes.simplify(size - 1), why)) ||
        (*stride < 0 &&
         failed(atMost(op, count, sizes.simplify(offset.floorDiv(-*stride) + 1),
                       why))))
      return failure();
  }
  return success();
}

LogicalResult Promises::visitInsert(OffsetSizeAndStrideOpInterface op,
                                    Value part, Value whole) {
  if (failed(visitSlice(op, whole)))
    return failure();
  auto type = cast<ShapedType>(part.getType());
  SmallVector<OpFoldResult> counts = op.getMixedSizes();
  SmallVector<int64_t> full;
  for (OpFoldResult count : counts)
    full.push_back(getConstantIntValue(count).value_or(ShapedType::kDynamic));
  auto dropped = computeRankReductionMask(full, type.getShape(),
                                          /*matchDynamic=*/true);
  if (!dropped)
    return success();
  int64_t d = 0;
  for (auto [i, count] : llvm::enumerate(counts))
    if (!dropped->contains(i) &&
        failed(equal(op, sizes.getDim(part, d++), sizes.get(count),
                     "'" + op->getName().getStringRef() +
                         "' inserts all of its source")))
      return failure();
  return success();
}

/// Indices that data decides are the model's affair, like those of a table.
LogicalResult Promises::visitElement(Operation *op, Value whole,
                                     ValueRange indices) {
  std::string why =
      ("'" + op->getName().getStringRef() + "' has to be within its tensor")
          .str();
  for (auto [d, value] : llvm::enumerate(indices)) {
    AffineExpr index = sizes.get(value), size = sizes.getDim(whole, d);
    AffineExpr first = sizes.atExtreme(index, /*largest=*/false);
    AffineExpr last = sizes.atExtreme(index, /*largest=*/true);
    if (!sizes.isKnownAtEntry(first) || !sizes.isKnownAtEntry(last) ||
        !sizes.isKnownAtEntry(size))
      continue;
    if (failed(atMost(op, sizes.constant(0), first, why)) ||
        failed(atMost(op, last, sizes.simplify(size - 1), why)))
      return failure();
  }
  return success();
}

AffineExpr Promises::declaredSize(StringRef name) {
  MLIRContext *context = function.getContext();
  Builder b(context);
  auto find = [&]() -> std::optional<unsigned> {
    for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i)
      if (moe::getArgumentRole(function, i) == moe::kSizeRole &&
          moe::getSizeName(function, i) == name)
        return i;
    return std::nullopt;
  };
  std::optional<unsigned> index = find();
  if (!index) {
    index = function.getNumArguments();
    auto attrs = b.getDictionaryAttr(
        {b.getNamedAttr(moe::kRoleAttr, b.getStringAttr(moe::kSizeRole)),
         b.getNamedAttr(moe::kDimsAttr, b.getStrArrayAttr(name))});
    // Cannot fail: a function type takes any argument.
    (void)function.insertArgument(*index, b.getIndexType(), attrs,
                                  function.getLoc());
  }
  return sizes.named(name, function.getArgument(*index), std::nullopt);
}

LogicalResult Promises::visitReturn(func::ReturnOp op) {
  for (auto [i, value] : llvm::enumerate(op.getOperands())) {
    auto type = dyn_cast<ShapedType>(function.getResultTypes()[i]);
    auto names = function.getResultAttrOfType<ArrayAttr>(i, moe::kDimsAttr);
    if (!type || !type.hasRank() || !names)
      continue;
    auto own = function.getResultAttrOfType<StringAttr>(i, moe::kNameAttr);
    unsigned next = 0;
    for (int64_t d = 0; d < type.getRank(); ++d) {
      if (!type.isDynamicDim(d))
        continue;
      if (next == names.size())
        break;
      StringRef name = cast<StringAttr>(names[next++]).getValue();
      AffineExpr size = sizes.getDim(value, d);
      AffineExpr declared = ofArguments.contains(name)
                                ? sizes.named(name, Value(), std::nullopt)
                                : declaredSize(name);
      if (failed(equal(op, declared, size,
                       "dimension " + Twine(d) + " of result '" +
                           (own ? own.getValue() : "") + "'")))
        return failure();
    }
  }
  return success();
}

LogicalResult Promises::visit(Operation *op) {
  std::string name = ("'" + op->getName().getStringRef() + "'").str();
  if (auto ret = dyn_cast<func::ReturnOp>(op))
    return visitReturn(ret);
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return visitLinalg(linalgOp);
  if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op))
    return sameShape(op, softmax.getInput(), softmax.getOutput(),
                     name + " needs one shape");
  if (isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) ||
      isa<tensor::BitcastOp>(op)) {
    Value first;
    for (Value operand : op->getOperands()) {
      if (!isa<RankedTensorType>(operand.getType()))
        continue;
      if (first &&
          failed(sameShape(op, operand, first, name + " needs one shape")))
        return failure();
      first = first ? first : operand;
    }
    return success();
  }
  if (isa<tensor::ExtractSliceOp, memref::SubViewOp>(op))
    return visitSlice(cast<OffsetSizeAndStrideOpInterface>(op),
                      op->getOperand(0));
  if (isa<tensor::InsertSliceOp, tensor::ParallelInsertSliceOp>(op))
    return visitInsert(cast<OffsetSizeAndStrideOpInterface>(op),
                       op->getOperand(0), op->getOperand(1));
  if (isa<tensor::ExtractOp, tensor::InsertOp>(op))
    return visitElement(
        op, op->getOperand(isa<tensor::InsertOp>(op)),
        isa<tensor::InsertOp>(op)
            ? ValueRange(cast<tensor::InsertOp>(op).getIndices())
            : cast<tensor::ExtractOp>(op).getIndices());
  if (isa<tensor::CastOp, memref::CastOp>(op)) {
    auto from = dyn_cast<ShapedType>(op->getOperand(0).getType());
    auto to = dyn_cast<ShapedType>(op->getResult(0).getType());
    if (!from || !to || !from.hasRank() || !to.hasRank())
      return success();
    for (int64_t d = 0; d < to.getRank(); ++d)
      if (!to.isDynamicDim(d) &&
          failed(equal(op, sizes.getDim(op->getOperand(0), d),
                       sizes.constant(to.getDimSize(d)),
                       name + " gives a static size")))
        return failure();
    return success();
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    SmallVector<OpFoldResult> shape = expand.getMixedOutputShape();
    for (auto [d, group] : llvm::enumerate(expand.getReassociationIndices())) {
      AffineExpr product = sizes.constant(1), whole;
      int64_t factor = 1;
      whole = sizes.getDim(expand.getSrc(), d);
      for (int64_t to : group) {
        if (auto known = getConstantIntValue(shape[to])) {
          factor *= *known;
          continue;
        }
        AffineExpr size = sizes.get(shape[to]);
        if (failed(atMost(op, sizes.constant(0), size, name + " gives a size")))
          return failure();
        product = product ? sizes.multiply(product, size) : product;
      }
      if (!product)
        return op->emitOpError("expands into a product of sizes that are "
                               "computed in the function; take them from "
                               "arguments or their dimensions");
      // With the bound, the product does not overflow.
      std::string why = name + " keeps the number of elements";
      if ((factor > 1 && failed(atMost(op, product, whole, why))) ||
          failed(equal(op, sizes.simplify(product * factor), whole, why)))
        return failure();
    }
    return success();
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    ValueRange inputs = concat.getInputs();
    auto type = concat.getResultType();
    for (Value input : llvm::drop_begin(inputs))
      for (int64_t d = 0; d < type.getRank(); ++d)
        if (d != static_cast<int64_t>(concat.getDim()) &&
            failed(equal(op, sizes.getDim(input, d),
                         sizes.getDim(inputs.front(), d),
                         name + " joins tensors that differ in one dimension")))
          return failure();
    return success();
  }
  if (isa<tensor::EmptyOp, tensor::GenerateOp, tensor::SplatOp>(op)) {
    for (Value size : op->getOperands())
      if (size.getType().isIndex() &&
          failed(atMost(op, sizes.constant(0), sizes.get(size),
                        name + " makes a tensor of that size")))
        return failure();
    return success();
  }
  // Places in lists of assignments are i32.
  for (Value result : op->getResults()) {
    auto type = dyn_cast<moe::RoutingType>(result.getType());
    Value tokens = type ? moe::getTokensTensor(result) : Value();
    if (!tokens || type.getSlots() <= 1 ||
        isa<moe::RoutingLimitOp, moe::RoutingReweighOp>(op))
      continue;
    if (failed(atMost(op, sizes.getDim(tokens, 0),
                      sizes.constant(std::numeric_limits<int32_t>::max() /
                                     type.getSlots()),
                      "a routing has at most 2147483647 assignments, and "
                      "each token " +
                          Twine(type.getSlots()))))
      return failure();
  }
  return success();
}

LogicalResult Promises::run() {
  for (unsigned i = 0, e = function.getNumArguments(); i != e; ++i) {
    auto type = dyn_cast<ShapedType>(function.getArgumentTypes()[i]);
    if (!type || !type.hasRank())
      continue;
    // Each name has its value from the first dimension that has it.
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (type.isDynamicDim(d))
        (void)sizes.getDim(function.getArgument(i), d);
    if (auto names = function.getArgAttrOfType<ArrayAttr>(i, moe::kDimsAttr))
      // Names beyond the dynamic dimensions are those of none.
      for (Attribute name :
           names.getValue().take_front(type.getNumDynamicDims()))
        ofArguments.insert(cast<StringAttr>(name).getValue());
  }
  SmallVector<Operation *> ops;
  function.walk<WalkOrder::PreOrder>([&](Operation *op) {
    // Bodies of these work on elements.
    if (isa<linalg::LinalgOp>(op)) {
      ops.push_back(op);
      return WalkResult::skip();
    }
    if (op != function)
      ops.push_back(op);
    return WalkResult::advance();
  });
  for (Operation *op : ops)
    if (failed(visit(op)))
      return failure();
  return success();
}

namespace {
struct CheckSizes : moe::impl::CheckSizesPassBase<CheckSizes> {
  void runOnOperation() override {
    if (failed(moe::verifyDims(getOperation())))
      return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (moe::isEntryFunction(function) && failed(Promises(function).run()))
        return signalPassFailure();
  }
};
} // namespace
