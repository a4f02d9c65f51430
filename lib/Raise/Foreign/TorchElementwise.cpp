//===- TorchElementwise.cpp - PyTorch's elementwise operators ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Operands are tensors or numbers. What they are promoted to is the type of
// elements that the text gives the result.
//
//===----------------------------------------------------------------------===//

#include "Torch.h"

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::torch;

namespace {
/// Scalars of a body, with few words.
struct Scalars {
  OpBuilder &b;
  Location loc;

  template <typename Op> Value make(ValueRange v) const {
    return Op::create(b, loc, v);
  }
  Value number(Type type, double value) const {
    return Upstream(b, loc).scalar(type, value);
  }
  Value sigmoid(Value x) const { return Upstream(b, loc).sigmoid(x); }
  template <typename FloatOp, typename IntOp>
  Value numeric(ValueRange v) const {
    return isa<FloatType>(v[0].getType()) ? make<FloatOp>(v) : make<IntOp>(v);
  }
};

/// Makes one element of some; null if it cannot of elements of these types.
using Scalar = Value (*)(ForeignOp &op, const Scalars &s, ValueRange v);
} // namespace

/// Operand `i`, a tensor or a number, as a tensor of `element`; null, and the
/// op is left, if it is neither.
static Value getAs(ForeignOp &op, unsigned i, Type element) {
  if (i < op.getNumOperands())
    if (TypedAttr number = getNumber(op.getOperand(i))) {
      Value constant = makeConstant(op.upstream, number, element);
      if (!constant)
        (void)op.leave("a number is too large for its type");
      return constant;
    }
  Value tensor = getTensor(op, i);
  return tensor ? castTo(op.upstream, tensor, element) : Value();
}

/// The first `count` operands, of type `from`, make elements of type `to`.
static LogicalResult convert(ForeignOp &op, unsigned count, Type from, Type to,
                             Scalar scalar) {
  if (!from || !to)
    return op.leave("the type of its result is not known");
  SmallVector<Value> inputs;
  for (unsigned i = 0; i < count; ++i) {
    inputs.push_back(getAs(op, i, from));
    if (!inputs.back())
      return failure();
  }
  bool isGood = true;
  FailureOr<Value> result = onnx::elementwise(
      op.upstream, inputs, to, [&](OpBuilder &b, ValueRange v) {
        Value value = scalar(op, {b, op.getLoc()}, v);
        isGood &= value != nullptr;
        return value ? value : op.upstream.scalar(to, 0);
      });
  if (failed(result))
    return op.leave("the shapes of its operands differ");
  if (isGood)
    return op.replace(*result);
  result->getDefiningOp()->erase();
  return op.leave("it is not known for elements of this type");
}

template <unsigned count, Scalar scalar>
static LogicalResult arithmetic(ForeignOp &op) {
  Type element = getResultElement(op);
  return convert(op, count, element, element, scalar);
}

template <typename FloatOp, typename IntOp>
static Value numeric(ForeignOp &, const Scalars &s, ValueRange v) {
  return s.numeric<FloatOp, IntOp>(v);
}

template <typename Op>
static Value floats(ForeignOp &, const Scalars &s, ValueRange v) {
  return isa<FloatType>(v[0].getType()) ? s.make<Op>(v) : Value();
}

template <typename Op>
static Value integers(ForeignOp &, const Scalars &s, ValueRange v) {
  return isa<FloatType>(v[0].getType()) ? Value() : s.make<Op>(v);
}

/// A function of one float.
template <Value (*function)(ForeignOp &, const Scalars &, Value)>
static Value ofFloat(ForeignOp &op, const Scalars &s, ValueRange v) {
  return isa<FloatType>(v[0].getType()) ? function(op, s, v[0]) : Value();
}

//===----------------------------------------------------------------------===//
// Sums and quotients
//===----------------------------------------------------------------------===//

/// a + alpha * b, or a - alpha * b; b - alpha * a if `isReversed`.
template <typename FloatOp, typename IntOp, bool isReversed>
static Value addTimes(ForeignOp &op, const Scalars &s, ValueRange v) {
  Value left = v[isReversed], right = v[!isReversed];
  TypedAttr alpha =
      op.getNumOperands() > 2 ? getNumber(op.getOperand(2)) : TypedAttr();
  double factor = 1;
  if (auto integer = dyn_cast_or_null<IntegerAttr>(alpha))
    factor = double(integer.getValue().getSExtValue());
  if (auto real = dyn_cast_or_null<FloatAttr>(alpha))
    factor = real.getValueAsDouble();
  if (factor != 1)
    right = s.numeric<arith::MulFOp, arith::MulIOp>(
        {right, s.number(right.getType(), factor)});
  return s.numeric<FloatOp, IntOp>({left, right});
}

template <typename FloatOp, typename IntOp, bool isReversed = false>
static LogicalResult sumWithFactor(ForeignOp &op) {
  if (op.getNumOperands() > 2 && !getNumber(op.getOperand(2)))
    return op.leave("its factor is no constant");
  return arithmetic<2, addTimes<FloatOp, IntOp, isReversed>>(op);
}

static Value square(ForeignOp &, const Scalars &s, ValueRange v) {
  return s.numeric<arith::MulFOp, arith::MulIOp>({v[0], v[0]});
}

/// Products; one with 1, which linears are decomposed into, is none.
static LogicalResult multiply(ForeignOp &op) {
  if (op.getNumOperands() == 2)
    if (TypedAttr number = getNumber(op.getOperand(1))) {
      auto integer = dyn_cast<IntegerAttr>(number);
      auto real = dyn_cast<FloatAttr>(number);
      if ((integer && integer.getValue().getSExtValue() == 1) ||
          (real && real.getValueAsDouble() == 1)) {
        Type element = getResultElement(op);
        Value tensor = getTensor(op, 0);
        if (!tensor || !element)
          return failure();
        return op.replace(castTo(op.upstream, tensor, element));
      }
    }
  return arithmetic<2, numeric<arith::MulFOp, arith::MulIOp>>(op);
}

static Value floorDivide(ForeignOp &, const Scalars &s, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return s.make<math::FloorOp>(s.make<arith::DivFOp>(v));
  return s.make<arith::FloorDivSIOp>(v);
}

static Value truncDivide(ForeignOp &, const Scalars &s, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return s.make<math::TruncOp>(s.make<arith::DivFOp>(v));
  return s.make<arith::DivSIOp>(v);
}

/// A quotient rounded as a string says.
static LogicalResult divideByMode(ForeignOp &op) {
  if (op.getNumOperands() != 3)
    return op.leave("it has no mode");
  if (isNone(op.getOperand(2)))
    return arithmetic<2, floats<arith::DivFOp>>(op);
  std::optional<StringRef> mode = getString(op.getOperand(2));
  if (mode == "floor")
    return arithmetic<2, floorDivide>(op);
  if (mode == "trunc")
    return arithmetic<2, truncDivide>(op);
  return op.leave("its mode is none that is known");
}

/// The sign is that of the divisor.
static Value remainder(ForeignOp &, const Scalars &s, ValueRange v) {
  Value quotient = isa<FloatType>(v[0].getType())
                       ? s.make<math::FloorOp>(s.make<arith::DivFOp>(v))
                       : s.make<arith::FloorDivSIOp>(v);
  Value product = s.numeric<arith::MulFOp, arith::MulIOp>({quotient, v[1]});
  return s.numeric<arith::SubFOp, arith::SubIOp>({v[0], product});
}

static LogicalResult power(ForeignOp &op) {
  TypedAttr exponent =
      op.getNumOperands() > 1 ? getNumber(op.getOperand(1)) : TypedAttr();
  auto integer = dyn_cast_or_null<IntegerAttr>(exponent);
  auto real = dyn_cast_or_null<FloatAttr>(exponent);
  if ((integer && integer.getValue().getSExtValue() == 2) ||
      (real && real.getValueAsDouble() == 2))
    return arithmetic<1, square>(op);
  return arithmetic<2, floats<math::PowFOp>>(op);
}

//===----------------------------------------------------------------------===//
// Functions of one number
//===----------------------------------------------------------------------===//

static Value sigmoid(ForeignOp &, const Scalars &s, Value x) {
  return s.sigmoid(x);
}
static Value silu(ForeignOp &, const Scalars &s, Value x) {
  return s.make<arith::MulFOp>({x, s.sigmoid(x)});
}
static Value reciprocal(ForeignOp &, const Scalars &s, Value x) {
  return s.make<arith::DivFOp>({s.number(x.getType(), 1), x});
}
static Value relu(ForeignOp &, const Scalars &s, ValueRange v) {
  return s.numeric<arith::MaximumFOp, arith::MaxSIOp>(
      {v[0], s.number(v[0].getType(), 0)});
}
static Value gelu(ForeignOp &op, const Scalars &s, Value x) {
  auto number = [&](double value) { return s.number(x.getType(), value); };
  Value inner;
  if (op.getNumOperands() > 1 && getString(op.getOperand(1)) == "tanh") {
    Value cube = s.make<arith::MulFOp>({s.make<arith::MulFOp>({x, x}), x});
    Value sum = s.make<arith::AddFOp>(
        {x, s.make<arith::MulFOp>({cube, number(0.044715)})});
    inner = s.make<math::TanhOp>(
        s.make<arith::MulFOp>({sum, number(0.7978845608028654)}));
  } else {
    inner = s.make<math::ErfOp>(
        s.make<arith::MulFOp>({x, number(0.7071067811865476)}));
  }
  Value half = s.make<arith::MulFOp>({x, number(0.5)});
  return s.make<arith::MulFOp>(
      {half, s.make<arith::AddFOp>({inner, number(1)})});
}
static Value negate(ForeignOp &, const Scalars &s, ValueRange v) {
  if (isa<FloatType>(v[0].getType()))
    return s.make<arith::NegFOp>(v);
  return s.make<arith::SubIOp>({s.number(v[0].getType(), 0), v[0]});
}
static Value invert(ForeignOp &, const Scalars &s, ValueRange v) {
  Type type = v[0].getType();
  if (isa<FloatType>(type))
    return {};
  return s.make<arith::XOrIOp>(
      {v[0], s.number(type, type.isInteger(1) ? 1 : -1)});
}

/// Not less than one bound and not more than another; each may be none.
static LogicalResult clampBetween(ForeignOp &op, int low, int high) {
  Type element = getResultElement(op);
  if (!element)
    return op.leave("the type of its result is not known");
  SmallVector<Value> inputs = {getAs(op, 0, element)};
  for (int bound : {low, high})
    if (bound > 0)
      inputs.push_back(getAs(op, bound, element));
  if (llvm::is_contained(inputs, Value()))
    return failure();
  FailureOr<Value> result = onnx::elementwise(
      op.upstream, inputs, element, [&](OpBuilder &b, ValueRange v) {
        Scalars s{b, op.getLoc()};
        Value value = v[0];
        if (low > 0)
          value = s.numeric<arith::MaximumFOp, arith::MaxSIOp>({value, v[1]});
        if (high > 0)
          value =
              s.numeric<arith::MinimumFOp, arith::MinSIOp>({value, v.back()});
        return value;
      });
  return succeeded(result) ? op.replace(*result)
                           : op.leave("the shapes of its operands differ");
}

static LogicalResult clamp(ForeignOp &op) {
  if (op.getNumOperands() != 3)
    return op.leave("it has no bounds");
  return clampBetween(op, isNone(op.getOperand(1)) ? -1 : 1,
                      isNone(op.getOperand(2)) ? -1 : 2);
}

//===----------------------------------------------------------------------===//
// Conditions
//===----------------------------------------------------------------------===//

/// The type that the first two operands are compared in.
static Type promote(ForeignOp &op) {
  // Floats win over integers, and tensors over numbers of their kind.
  Type best;
  auto isBetter = [](Type type, Type than) {
    if (!than)
      return true;
    if (isa<FloatType>(type) != isa<FloatType>(than))
      return isa<FloatType>(type);
    return type.getIntOrFloatBitWidth() > than.getIntOrFloatBitWidth();
  };
  for (unsigned i = 0; i < 2 && i < op.getNumOperands(); ++i)
    if (auto tensor = dyn_cast<RankedTensorType>(op.getOperand(i).getType()))
      if (isBetter(tensor.getElementType(), best))
        best = tensor.getElementType();
  for (unsigned i = 0; best && i < 2 && i < op.getNumOperands(); ++i)
    if (isa_and_nonnull<FloatAttr>(getNumber(op.getOperand(i))) &&
        !isa<FloatType>(best))
      best = Float32Type::get(best.getContext());
  return best;
}

template <arith::CmpFPredicate ofFloats, arith::CmpIPredicate ofIntegers>
static LogicalResult compare(ForeignOp &op) {
  return convert(
      op, 2, promote(op), op.upstream.getBuilder().getI1Type(),
      [](ForeignOp &, const Scalars &s, ValueRange v) -> Value {
        if (isa<FloatType>(v[0].getType()))
          return arith::CmpFOp::create(s.b, s.loc, ofFloats, v[0], v[1]);
        return arith::CmpIOp::create(s.b, s.loc, ofIntegers, v[0], v[1]);
      });
}

template <unsigned count, Scalar scalar>
static LogicalResult logical(ForeignOp &op) {
  Type bit = op.upstream.getBuilder().getI1Type();
  return convert(op, count, bit, bit, scalar);
}

/// The operand `first` where operand `which` is true, else the operand
/// `second`.
static LogicalResult selectBy(ForeignOp &op, unsigned which, unsigned first,
                              unsigned second) {
  Type element = getResultElement(op);
  if (!element)
    return op.leave("the type of its result is not known");
  SmallVector<Value> inputs = {
      getAs(op, which, op.upstream.getBuilder().getI1Type()),
      getAs(op, first, element), getAs(op, second, element)};
  if (llvm::is_contained(inputs, Value()))
    return failure();
  FailureOr<Value> result = onnx::elementwise(
      op.upstream, inputs, element, [&](OpBuilder &b, ValueRange v) {
        return Scalars{b, op.getLoc()}.make<arith::SelectOp>(v);
      });
  return succeeded(result) ? op.replace(*result)
                           : op.leave("the shapes of its operands differ");
}

static LogicalResult where(ForeignOp &op) { return selectBy(op, 0, 1, 2); }
static LogicalResult maskedFill(ForeignOp &op) { return selectBy(op, 1, 2, 0); }

//===----------------------------------------------------------------------===//
// Casts
//===----------------------------------------------------------------------===//

/// Whatever it asks for is in the type of its result.
static LogicalResult castToResult(ForeignOp &op) {
  Value tensor = getTensor(op, 0);
  Type element = getResultElement(op);
  if (!tensor)
    return failure();
  if (!element)
    return op.leave("the type of its result is not known");
  return op.replace(castTo(op.upstream, tensor, element));
}

void torch::addElementwise(ForeignTable &table) {
  using namespace arith;
  auto add = [&](StringRef name, Translation translation) {
    table.add(("torch.aten." + name).str(), translation);
  };
  for (StringRef kind : {".Tensor", ".Scalar"}) {
    auto both = [&](StringRef name, Translation translation) {
      add((name + kind).str(), translation);
    };
    both("add", sumWithFactor<AddFOp, AddIOp>);
    both("sub", sumWithFactor<SubFOp, SubIOp>);
    both("rsub", sumWithFactor<SubFOp, SubIOp, true>);
    both("mul", multiply);
    both("div", arithmetic<2, floats<DivFOp>>);
    both("remainder", arithmetic<2, remainder>);
    both("eq", compare<CmpFPredicate::OEQ, CmpIPredicate::eq>);
    both("ne", compare<CmpFPredicate::UNE, CmpIPredicate::ne>);
    both("lt", compare<CmpFPredicate::OLT, CmpIPredicate::slt>);
    both("le", compare<CmpFPredicate::OLE, CmpIPredicate::sle>);
    both("gt", compare<CmpFPredicate::OGT, CmpIPredicate::sgt>);
    both("ge", compare<CmpFPredicate::OGE, CmpIPredicate::sge>);
    both("masked_fill", maskedFill);
    both("bitwise_and", arithmetic<2, integers<AndIOp>>);
    both("bitwise_or", arithmetic<2, integers<OrIOp>>);
  }
  for (StringRef kind : {"Tensor_mode", "Scalar_mode"})
    add(("div." + kind).str(), divideByMode);
  add("floor_divide", arithmetic<2, floorDivide>);
  add("floor_divide.Scalar", arithmetic<2, floorDivide>);
  add("maximum", arithmetic<2, numeric<MaximumFOp, MaxSIOp>>);
  add("minimum", arithmetic<2, numeric<MinimumFOp, MinSIOp>>);
  add("pow.Tensor_Scalar", power);
  add("pow.Tensor_Tensor", power);
  add("square", arithmetic<1, square>);
  add("exp", arithmetic<1, floats<math::ExpOp>>);
  add("expm1", arithmetic<1, floats<math::ExpM1Op>>);
  add("log", arithmetic<1, floats<math::LogOp>>);
  add("log1p", arithmetic<1, floats<math::Log1pOp>>);
  add("sqrt", arithmetic<1, floats<math::SqrtOp>>);
  add("rsqrt", arithmetic<1, floats<math::RsqrtOp>>);
  add("tanh", arithmetic<1, floats<math::TanhOp>>);
  add("sin", arithmetic<1, floats<math::SinOp>>);
  add("cos", arithmetic<1, floats<math::CosOp>>);
  add("erf", arithmetic<1, floats<math::ErfOp>>);
  add("floor", arithmetic<1, floats<math::FloorOp>>);
  add("ceil", arithmetic<1, floats<math::CeilOp>>);
  add("round", arithmetic<1, floats<math::RoundEvenOp>>);
  add("abs", arithmetic<1, numeric<math::AbsFOp, math::AbsIOp>>);
  add("neg", arithmetic<1, negate>);
  add("relu", arithmetic<1, relu>);
  add("sigmoid", arithmetic<1, ofFloat<sigmoid>>);
  add("silu", arithmetic<1, ofFloat<silu>>);
  add("gelu", arithmetic<1, ofFloat<gelu>>);
  add("reciprocal", arithmetic<1, ofFloat<reciprocal>>);
  add("clamp", clamp);
  add("clamp.Tensor", clamp);
  add("clamp_min", [](ForeignOp &op) { return clampBetween(op, 1, -1); });
  add("clamp_max", [](ForeignOp &op) { return clampBetween(op, -1, 1); });
  add("bitwise_not", arithmetic<1, invert>);
  add("logical_not", logical<1, invert>);
  add("logical_and", logical<2, integers<AndIOp>>);
  add("logical_or", logical<2, integers<OrIOp>>);
  for (StringRef kind : {"self", "ScalarSelf", "ScalarOther", "Scalar"})
    add(("where." + kind).str(), where);
  for (StringRef name : {"to.dtype", "to.dtype_layout", "to.other", "to.device",
                         "type_as", "_to_copy", "clone", "contiguous", "detach",
                         "alias", "lift_fresh_copy", "dropout"})
    add(name, castToResult);
  table.add("torch.prims.convert_element_type", castToResult);
}
