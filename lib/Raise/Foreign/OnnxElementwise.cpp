//===- OnnxElementwise.cpp - Arithmetic of ONNX ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Operators that make each element of those at its place. Semantics: ONNX's
// operators, opset 13 to 28.
//
//===----------------------------------------------------------------------===//

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::onnx;

namespace {
/// Scalars of a body, with few words.
struct Scalars {
  OpBuilder &b;
  Location loc;

  template <typename Op> Value make(ValueRange v) const {
    return Op::create(b, loc, v);
  }
  Value number(Type type, double value) const {
    Upstream upstream(b, loc);
    return upstream.scalar(type, value);
  }
  Value sigmoid(Value x) const { return Upstream(b, loc).sigmoid(x); }
  Value multiply(Value l, Value r) const {
    return arith::MulFOp::create(b, loc, l, r);
  }
  Value multiply(Value l, double r) const {
    return multiply(l, number(l.getType(), r));
  }
  Value add(Value l, Value r) const {
    return arith::AddFOp::create(b, loc, l, r);
  }
  Value add(Value l, double r) const { return add(l, number(l.getType(), r)); }
  Value compare(arith::CmpFPredicate floats, arith::CmpIPredicate integers,
                Value l, Value r) const {
    if (isa<FloatType>(l.getType()))
      return arith::CmpFOp::create(b, loc, floats, l, r);
    return arith::CmpIOp::create(b, loc, integers, l, r);
  }
};

/// Makes one element; null if it cannot of elements of these types.
using Scalar = Value (*)(ForeignOp &op, const Scalars &s, ValueRange v);
} // namespace

/// A node whose inputs are all of one type, as is the result unless `element`.
static LogicalResult convert(ForeignOp &op, Scalar scalar, unsigned least,
                             Type element = {}) {
  if (failed(needInputs(op, std::max(least, op.getNumOperands()))))
    return failure();
  SmallVector<Value> inputs(op.getOperands());
  Type type = Upstream::typeOf(inputs[0]).getElementType();
  for (Value input : inputs)
    if (Upstream::typeOf(input).getElementType() != type)
      return op.leave("its inputs are of different types");
  bool isGood = true;
  FailureOr<Value> result =
      elementwise(op.upstream, inputs, element ? element : type,
                  [&](OpBuilder &b, ValueRange v) {
                    Value value = scalar(op, {b, op.getLoc()}, v);
                    if (value)
                      return value;
                    isGood = false;
                    return op.upstream.scalar(element ? element : type, 0);
                  });
  if (failed(result))
    return op.leave("the shapes of its inputs differ");
  if (isGood)
    return op.replace(*result);
  result->getDefiningOp()->erase();
  return op.leave("it is not known for elements of this type");
}

/// `FloatOp`, or `IntOp`, joining all.
template <typename FloatOp, typename IntOp>
static Value numeric(ForeignOp &, const Scalars &s, ValueRange v) {
  Value result = v[0];
  for (Value next : v.drop_front())
    result = isa<FloatType>(result.getType()) ? s.make<FloatOp>({result, next})
                                              : s.make<IntOp>({result, next});
  return result;
}

template <typename Op>
static Value floats(ForeignOp &, const Scalars &s, ValueRange v) {
  return isa<FloatType>(v[0].getType()) ? s.make<Op>(v) : Value();
}

template <typename Op>
static Value integers(ForeignOp &, const Scalars &s, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return {};
  Value result = v[0];
  for (Value next : v.drop_front())
    result = s.make<Op>({result, next});
  return result;
}

/// A function of one float.
template <Value (*function)(ForeignOp &, const Scalars &, Value)>
static LogicalResult unary(ForeignOp &op) {
  return convert(
      op,
      [](ForeignOp &inner, const Scalars &s, ValueRange v) {
        return isa<FloatType>(v[0].getType()) ? function(inner, s, v[0])
                                              : Value();
      },
      1);
}

template <Scalar scalar, unsigned least = 1>
static LogicalResult any(ForeignOp &op) {
  return convert(op, scalar, least);
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

using SizeFunction = OpFoldResult (*)(Upstream &, OpFoldResult, OpFoldResult);

/// Arithmetic on elements that are known, or on those of tensors.
template <SizeFunction sizes, Scalar scalar>
static LogicalResult withSizes(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Value l = op.getOperand(0), r = op.getOperand(1);
  Type element = Upstream::typeOf(l).getElementType();
  int64_t rank =
      std::max(Upstream::typeOf(l).getRank(), Upstream::typeOf(r).getRank());
  if (element.isInteger(64)) {
    std::optional<Sizes> left = getKnown(op.upstream, l),
                         right = getKnown(op.upstream, r);
    if (left && right &&
        (left->size() == right->size() || left->size() == 1 ||
         right->size() == 1)) {
      Sizes result;
      for (size_t i = 0, e = std::max(left->size(), right->size()); i < e; ++i)
        result.push_back(sizes(op.upstream, (*left)[left->size() == 1 ? 0 : i],
                               (*right)[right->size() == 1 ? 0 : i]));
      return op.replace(makeKnown(op.upstream, result, rank, element));
    }
  }
  return convert(op, scalar, 2);
}

static Value divideScalars(ForeignOp &, const Scalars &s, ValueRange v) {
  return isa<FloatType>(v[0].getType()) ? s.make<arith::DivFOp>(v)
                                        : s.make<arith::DivSIOp>(v);
}

/// Of the divisor's sign, or of the dividend's if it is that of C.
static Value remainder(ForeignOp &op, const Scalars &s, ValueRange v) {
  bool isC = op.getInt("fmod", 0) != 0;
  if (isa<FloatType>(v[0].getType()))
    return isC ? s.make<arith::RemFOp>(v) : Value();
  Value rest = s.make<arith::RemSIOp>(v);
  if (isC)
    return rest;
  Value zero = s.number(rest.getType(), 0);
  auto isNegative = [&](Value value) -> Value {
    return arith::CmpIOp::create(s.b, s.loc, arith::CmpIPredicate::slt, value,
                                 zero);
  };
  Value isOther = arith::CmpIOp::create(s.b, s.loc, arith::CmpIPredicate::ne,
                                        isNegative(rest), isNegative(v[1]));
  Value isRest =
      arith::CmpIOp::create(s.b, s.loc, arith::CmpIPredicate::ne, rest, zero);
  Value both = s.make<arith::AndIOp>({isOther, isRest});
  Value moved = s.make<arith::AddIOp>({rest, v[1]});
  return s.make<arith::SelectOp>({both, moved, rest});
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

static Value reciprocal(ForeignOp &, const Scalars &s, Value x) {
  return s.make<arith::DivFOp>({s.number(x.getType(), 1), x});
}
static Value logistic(ForeignOp &, const Scalars &s, Value x) {
  return s.sigmoid(x);
}
static Value swish(ForeignOp &op, const Scalars &s, Value x) {
  double alpha = op.getFloat("alpha").value_or(1.0);
  return s.multiply(x, s.sigmoid(alpha == 1.0 ? x : s.multiply(x, alpha)));
}
static Value quickGelu(ForeignOp &op, const Scalars &s, Value x) {
  double alpha = op.getFloat("alpha").value_or(1.702);
  return s.multiply(x, s.sigmoid(s.multiply(x, alpha)));
}
static Value gelu(ForeignOp &op, const Scalars &s, Value x) {
  Value inner;
  if (op.getString("approximate") == "tanh") {
    Value cube = s.multiply(s.multiply(x, x), x);
    Value sum = s.add(x, s.multiply(cube, 0.044715));
    inner = s.make<math::TanhOp>(s.multiply(sum, std::sqrt(2.0 / M_PI)));
  } else {
    inner = s.make<math::ErfOp>(s.multiply(x, std::sqrt(0.5)));
  }
  return s.multiply(s.multiply(x, 0.5), s.add(inner, 1));
}
/// max(x, 0) + log(1 + exp(-|x|)), which does not overflow.
static Value softplus(ForeignOp &, const Scalars &s, Value x) {
  Value zero = s.number(x.getType(), 0);
  Value size = s.make<math::AbsFOp>(x);
  Value power = s.make<math::ExpOp>(s.make<arith::NegFOp>(size));
  Value most = s.make<arith::MaximumFOp>({x, zero});
  return s.add(most, s.make<math::Log1pOp>(power));
}
static Value relu(ForeignOp &, const Scalars &s, Value x) {
  return s.make<arith::MaximumFOp>({x, s.number(x.getType(), 0)});
}
/// x where it is positive, else `negative` of it.
static Value whereNegative(const Scalars &s, Value x, Value negative) {
  Value isNegative = arith::CmpFOp::create(
      s.b, s.loc, arith::CmpFPredicate::OLT, x, s.number(x.getType(), 0));
  return s.make<arith::SelectOp>({isNegative, negative, x});
}
static Value leakyRelu(ForeignOp &op, const Scalars &s, Value x) {
  return whereNegative(s, x,
                       s.multiply(x, op.getFloat("alpha").value_or(0.01)));
}
static Value elu(ForeignOp &op, const Scalars &s, Value x) {
  Value power = s.make<math::ExpM1Op>(x);
  return whereNegative(s, x,
                       s.multiply(power, op.getFloat("alpha").value_or(1.0)));
}

static Value absolute(ForeignOp &, const Scalars &s, ValueRange v) {
  return isa<FloatType>(v[0].getType()) ? s.make<math::AbsFOp>(v)
                                        : s.make<math::AbsIOp>(v);
}

static Value negate(ForeignOp &, const Scalars &s, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return s.make<arith::NegFOp>(v);
  return s.make<arith::SubIOp>({s.number(v[0].getType(), 0), v[0]});
}

static Value invert(ForeignOp &, const Scalars &s, ValueRange v) {
  if (!v[0].getType().isInteger(1))
    return {};
  Value all = arith::ConstantOp::create(s.b, s.loc, s.b.getBoolAttr(true));
  return s.make<arith::XOrIOp>({v[0], all});
}

template <arith::CmpFPredicate floatsPredicate,
          arith::CmpIPredicate integersPredicate>
static LogicalResult compare(ForeignOp &op) {
  if (failed(needInputs(op, 2)))
    return failure();
  Type bit = op.upstream.getBuilder().getI1Type();
  if (integersPredicate == arith::CmpIPredicate::eq) {
    std::optional<SmallVector<int64_t>> left = getConstants(op.getOperand(0)),
                                        right = getConstants(op.getOperand(1));
    if (left && right &&
        (left->size() == right->size() || right->size() == 1)) {
      Sizes result;
      for (size_t i = 0; i < left->size(); ++i)
        result.push_back(op.upstream.getBuilder().getIndexAttr(
            (*left)[i] == (*right)[right->size() == 1 ? 0 : i]));
      int64_t rank = std::max(Upstream::typeOf(op.getOperand(0)).getRank(),
                              Upstream::typeOf(op.getOperand(1)).getRank());
      return op.replace(makeKnown(op.upstream, result, rank, bit));
    }
  }
  return convert(
      op,
      [](ForeignOp &, const Scalars &s, ValueRange v) {
        return s.compare(floatsPredicate, integersPredicate, v[0], v[1]);
      },
      2, bit);
}

//===----------------------------------------------------------------------===//
// Operators with inputs of several types
//===----------------------------------------------------------------------===//

static LogicalResult convertIsNaN(ForeignOp &op) {
  return convert(
      op,
      [](ForeignOp &, const Scalars &s, ValueRange v) -> Value {
        if (!isa<FloatType>(v[0].getType()))
          return {};
        return arith::CmpFOp::create(s.b, s.loc, arith::CmpFPredicate::UNO,
                                     v[0], v[0]);
      },
      1, op.upstream.getBuilder().getI1Type());
}

void onnx::addElementwise(ForeignTable &table) {
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  auto add = [&](StringRef name, Translation translation) {
    table.add(("onnx." + name).str(), translation);
  };
  add("Add", withSizes<onnx::add, numeric<arith::AddFOp, arith::AddIOp>>);
  add("Sub", withSizes<onnx::subtract, numeric<arith::SubFOp, arith::SubIOp>>);
  add("Mul", withSizes<onnx::multiply, numeric<arith::MulFOp, arith::MulIOp>>);
  add("Div", withSizes<onnx::divide, divideScalars>);
  add("Mod", any<remainder, 2>);
  add("Max", any<numeric<arith::MaximumFOp, arith::MaxSIOp>>);
  add("Min", any<numeric<arith::MinimumFOp, arith::MinSIOp>>);
  add("Sum", any<numeric<arith::AddFOp, arith::AddIOp>>);
  add("And", any<integers<arith::AndIOp>, 2>);
  add("Or", any<integers<arith::OrIOp>, 2>);
  add("Xor", any<integers<arith::XOrIOp>, 2>);
  add("BitwiseAnd", any<integers<arith::AndIOp>, 2>);
  add("BitwiseOr", any<integers<arith::OrIOp>, 2>);
  add("Not", any<invert>);
  add("Equal", compare<F::OEQ, I::eq>);
  add("Less", compare<F::OLT, I::slt>);
  add("LessOrEqual", compare<F::OLE, I::sle>);
  add("Greater", compare<F::OGT, I::sgt>);
  add("GreaterOrEqual", compare<F::OGE, I::sge>);
  add("IsNaN", convertIsNaN);
  add("Neg", any<negate>);
  add("Abs", any<absolute>);
  add("Sqrt", any<floats<math::SqrtOp>>);
  add("Exp", any<floats<math::ExpOp>>);
  add("Log", any<floats<math::LogOp>>);
  add("Sin", any<floats<math::SinOp>>);
  add("Cos", any<floats<math::CosOp>>);
  add("Tanh", any<floats<math::TanhOp>>);
  add("Erf", any<floats<math::ErfOp>>);
  add("Floor", any<floats<math::FloorOp>>);
  add("Ceil", any<floats<math::CeilOp>>);
  add("Round", any<floats<math::RoundEvenOp>>);
  add("Reciprocal", unary<reciprocal>);
  add("Sigmoid", unary<logistic>);
  add("Swish", unary<swish>);
  add("Gelu", unary<gelu>);
  add("com.microsoft.Gelu", unary<gelu>);
  add("com.microsoft.QuickGelu", unary<quickGelu>);
  add("Softplus", unary<softplus>);
  add("Relu", unary<relu>);
  add("LeakyRelu", unary<leakyRelu>);
  add("Elu", unary<elu>);
}
