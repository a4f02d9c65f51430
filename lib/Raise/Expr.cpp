//===- Expr.cpp - What one element of a tensor is ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Expr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace moe::raise;

void Expr::Profile(llvm::FoldingSetNodeID &key) const {
  key.AddInteger(kind);
  key.AddPointer(type.getAsOpaquePointer());
  key.AddPointer(value.getAsOpaquePointer());
  key.AddString(name);
  key.AddPointer(tensor.getAsOpaquePointer());
  for (const Expr *operand : operands)
    key.AddPointer(operand);
  for (int64_t coefficient : coefficients)
    key.AddInteger(coefficient);
  key.AddInteger(offset);
  key.AddInteger(extent);
  if (kind == Variable)
    key.AddInteger(id); // each is another
}

std::optional<int64_t> Expr::getInteger() const {
  if (auto integer = dyn_cast_or_null<IntegerAttr>(value);
      integer && kind == Constant)
    return integer.getType().isInteger(1)
               ? static_cast<int64_t>(integer.getValue().getBoolValue())
               : integer.getValue().getSExtValue();
  return std::nullopt;
}

std::optional<double> Expr::getFloat() const {
  if (auto number = dyn_cast_or_null<FloatAttr>(value);
      number && kind == Constant)
    return number.getValueAsDouble();
  return std::nullopt;
}

void Expr::print(llvm::raw_ostream &os) const {
  auto printAll = [&](ArrayRef<const Expr *> list) {
    llvm::interleaveComma(list, os, [&](const Expr *e) { e->print(os); });
  };
  switch (kind) {
  case Constant:
    value.print(os, /*elideType=*/true);
    break;
  case Variable:
    os << "i" << id;
    break;
  case Linear:
    for (auto [operand, c] : llvm::zip_equal(operands, coefficients)) {
      if (c != 1)
        os << c << "*";
      operand->print(os);
      os << " + ";
    }
    os << offset;
    break;
  case Element:
    if (Operation *op = tensor.getDefiningOp())
      os << op->getName().getStringRef();
    else
      os << "arg" << cast<BlockArgument>(tensor).getArgNumber();
    os << "[";
    printAll(operands);
    os << "]";
    break;
  case Apply:
  case Reduce:
    os << name << "(";
    printAll(operands);
    os << ")";
    break;
  }
}

const Expr *Exprs::get(Expr &&expr) {
  expr.id = storage.size();
  llvm::FoldingSetNodeID key;
  expr.Profile(key);
  void *position;
  if (Expr *known = unique.FindNodeOrInsertPos(key, position))
    return known;
  for (const Expr *operand : expr.operands)
    for (const Expr *variable : operand->free)
      if (!llvm::is_contained(expr.free, variable))
        expr.free.push_back(variable);
  if (expr.kind == Expr::Reduce)
    llvm::erase(expr.free, expr.operands.front());
  llvm::sort(expr.free,
             [](const Expr *a, const Expr *b) { return a->id < b->id; });
  Expr &stored = storage.emplace_back(std::move(expr));
  if (stored.kind == Expr::Variable)
    stored.free.push_back(&stored);
  unique.InsertNode(&stored, position);
  return &stored;
}

//===----------------------------------------------------------------------===//
// Leaves
//===----------------------------------------------------------------------===//

const Expr *Exprs::number(int64_t value) {
  Expr expr{};
  expr.kind = Expr::Constant;
  expr.type = IndexType::get(context);
  expr.value = IntegerAttr::get(expr.type, value);
  return get(std::move(expr));
}

const Expr *Exprs::boolean(bool value) {
  Expr expr{};
  expr.kind = Expr::Constant;
  expr.type = IntegerType::get(context, 1);
  expr.value = BoolAttr::get(context, value);
  return get(std::move(expr));
}

const Expr *Exprs::constant(TypedAttr value) {
  if (auto integer = dyn_cast<IntegerAttr>(value)) {
    if (integer.getType().isInteger(1))
      return boolean(integer.getValue().getBoolValue());
    return number(integer.getValue().getSExtValue());
  }
  Expr expr{};
  expr.kind = Expr::Constant;
  expr.type = value.getType();
  expr.value = value;
  return get(std::move(expr));
}

const Expr *Exprs::variable(int64_t extent) {
  Expr expr{};
  expr.kind = Expr::Variable;
  expr.type = IndexType::get(context);
  expr.extent = extent;
  return get(std::move(expr));
}

const Expr *Exprs::load(Value tensor, ArrayRef<const Expr *> indices,
                        std::optional<Interval> range) {
  if (range)
    ranges[tensor] = *range;
  if (Value inverse = inverses.lookup(tensor))
    if (indices[0]->kind == Expr::Element && indices[0]->tensor == inverse)
      return indices[0]->operands[0];
  Expr expr{};
  expr.kind = Expr::Element;
  Type element = getElementTypeOrSelf(tensor.getType());
  bool isIndex = isa<IntegerType>(element) && !element.isInteger(1);
  expr.type = isIndex ? IndexType::get(context) : element;
  expr.tensor = tensor;
  expr.operands.assign(indices.begin(), indices.end());
  return get(std::move(expr));
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

const Expr *Exprs::applyFloat(StringRef op, Type type,
                              ArrayRef<const Expr *> v) {
  auto isNumber = [](const Expr *expr, double value) {
    std::optional<double> number = expr->getFloat();
    return number && *number == value;
  };
  double infinity = std::numeric_limits<double>::infinity();
  // A neutral operand, on either side or on the right.
  std::optional<double> neutral =
      llvm::StringSwitch<std::optional<double>>(op)
          .Cases({"arith.addf", "arith.subf"}, 0.0)
          .Cases({"arith.mulf", "arith.divf"}, 1.0)
          .Cases({"arith.maximumf", "arith.maxnumf"}, -infinity)
          .Cases({"arith.minimumf", "arith.minnumf"}, infinity)
          .Default(std::nullopt);
  if (neutral && v.size() == 2) {
    bool isCommutative = op != "arith.subf" && op != "arith.divf";
    if (isNumber(v[1], *neutral))
      return v[0];
    if (isCommutative && isNumber(v[0], *neutral))
      return v[1];
  }
  // A condition as a number.
  if ((op == "arith.sitofp" || op == "arith.uitofp") &&
      v[0]->is("arith.select")) {
    std::optional<int64_t> yes = (*v[0])[1]->getInteger(),
                           no = (*v[0])[2]->getInteger();
    if (yes && no)
      return apply("arith.select", type,
                   {(*v[0])[0],
                    constant(FloatAttr::get(type, static_cast<double>(*yes))),
                    constant(FloatAttr::get(type, static_cast<double>(*no)))});
  }
  if (op == "arith.uitofp" && v[0]->type.isInteger(1) && !v[0]->getInteger())
    return apply("arith.select", type,
                 {v[0], constant(FloatAttr::get(type, 1.0)),
                  constant(FloatAttr::get(type, 0.0))});
  // Conversions of constants.
  if (v.size() == 1 && isa<FloatType>(type)) {
    std::optional<double> number = v[0]->getFloat();
    if (op == "arith.sitofp" || op == "arith.uitofp")
      if (std::optional<int64_t> integer = v[0]->getInteger())
        number = static_cast<double>(*integer);
    bool isConversion = op == "arith.sitofp" || op == "arith.uitofp" ||
                        op == "arith.extf" || op == "arith.truncf";
    if (number && isConversion)
      return constant(FloatAttr::get(type, *number));
    if (number && op == "arith.negf")
      return constant(FloatAttr::get(type, -*number));
  }
  if (v.size() == 2 && isa<FloatType>(type))
    if (std::optional<double> a = v[0]->getFloat(), b = v[1]->getFloat();
        a && b) {
      std::optional<double> result =
          llvm::StringSwitch<std::optional<double>>(op)
              .Case("arith.addf", *a + *b)
              .Case("arith.subf", *a - *b)
              .Case("arith.mulf", *a * *b)
              .Case("arith.divf", *a / *b)
              .Default(std::nullopt);
      if (result)
        return constant(FloatAttr::get(type, *result));
    }
  return nullptr;
}

const Expr *Exprs::apply(StringRef op, Type type, ArrayRef<const Expr *> v,
                         Attribute value) {
  if (op == "arith.select") {
    if (std::optional<int64_t> condition = v[0]->getInteger())
      return *condition ? v[1] : v[2];
    if (v[1] == v[2])
      return v[1];
    if (type.isInteger(1) && v[1]->getInteger() == 1 && v[2]->getInteger() == 0)
      return v[0];
  }
  if (op == "arith.cmpi")
    if (const Expr *simple = applyComparison(v, value))
      return simple;
  if (op == "arith.select" && type.isInteger(1)) {
    // A choice of a constant.
    std::optional<int64_t> yes = v[1]->getInteger(), no = v[2]->getInteger();
    if (yes || no) {
      bool known = yes ? *yes : *no;
      const Expr *condition =
          (yes != std::nullopt) == known ? v[0] : negate(v[0]);
      return apply(known ? "arith.ori" : "arith.andi", type,
                   {condition, yes ? v[2] : v[1]});
    }
  }
  if (op == "arith.andi" && type.isInteger(1))
    if (isContradiction(v[0], v[1]))
      return boolean(false);
  if (op == "arith.andi" || op == "arith.ori") {
    bool neutral = op == "arith.andi";
    for (unsigned i = 0; i < 2; ++i)
      if (std::optional<int64_t> known = v[i]->getInteger();
          known && type.isInteger(1))
        return (*known != 0) == neutral ? v[1 - i] : v[i];
    if (v[0] == v[1])
      return v[0];
  }
  bool isInteger = isa<IndexType>(type) || type.isInteger();
  if (isInteger && !type.isInteger(1) && op != "arith.select")
    if (const Expr *simple = applyInteger(op, v, value))
      return simple;
  if (!isInteger)
    if (const Expr *simple = applyFloat(op, type, v))
      return simple;

  Expr expr{};
  expr.kind = Expr::Apply;
  expr.type = isInteger && !type.isInteger(1) ? IndexType::get(context) : type;
  // Names of ops live as long as the context.
  expr.name = StringAttr::get(context, op).getValue();
  expr.value = value;
  expr.operands.assign(v.begin(), v.end());
  static const llvm::StringSet<> commutative = {
      "arith.addf",    "arith.mulf",    "arith.maximumf", "arith.minimumf",
      "arith.maxnumf", "arith.minnumf", "arith.andi",     "arith.ori",
      "arith.muli",    "arith.minsi",   "arith.maxsi"};
  if (commutative.contains(op) && expr.operands[0]->id > expr.operands[1]->id)
    std::swap(expr.operands[0], expr.operands[1]);
  return get(std::move(expr));
}

const Expr *Exprs::reduce(StringRef op, const Expr *variable,
                          ArrayRef<const Expr *> body) {
  if (variable->extent == 1) {
    SmallVector<const Expr *> only;
    for (const Expr *part : body)
      only.push_back(substitute(part, variable, number(0)));
    return op == "last" ? apply("arith.select", only[1]->type, only)
                        : only.front();
  }
  if (op == "arith.ori" && isWitnessed(variable, body.front()))
    return boolean(true);
  Expr expr{};
  expr.kind = Expr::Reduce;
  expr.type = op == "last" ? body[1]->type : body[0]->type;
  expr.name = StringAttr::get(context, op).getValue();
  expr.operands.push_back(variable);
  expr.operands.append(body.begin(), body.end());
  return get(std::move(expr));
}

const Expr *Exprs::substitute(const Expr *expr, const Expr *from,
                              const Expr *to) {
  llvm::DenseMap<const Expr *, const Expr *> done;
  return substitute(expr, from, to, done);
}

const Expr *
Exprs::substitute(const Expr *expr, const Expr *from, const Expr *to,
                  llvm::DenseMap<const Expr *, const Expr *> &done) {
  if (expr == from)
    return to;
  if (expr->operands.empty() ||
      (from->kind == Expr::Variable && !expr->dependsOn(from)))
    return expr;
  if (const Expr *known = done.lookup(expr))
    return known;
  SmallVector<const Expr *> operands;
  for (const Expr *operand : expr->operands)
    operands.push_back(substitute(operand, from, to, done));
  const Expr *result = expr;
  switch (expr->kind) {
  case Expr::Linear:
    result = number(expr->offset);
    for (auto [term, c] : llvm::zip_equal(operands, expr->coefficients))
      result = linear(result, 1, term, c);
    break;
  case Expr::Element:
    result = load(expr->tensor, operands);
    break;
  case Expr::Apply:
    result =
        expr->name == "floordiv"
            ? floorDiv(operands[0], cast<IntegerAttr>(expr->value).getInt())
            : apply(expr->name, expr->type, operands, expr->value);
    break;
  case Expr::Reduce:
    result = reduce(expr->name, operands[0], ArrayRef(operands).drop_front());
    break;
  default:
    break;
  }
  return done[expr] = result;
}
