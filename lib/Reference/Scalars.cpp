//===- Scalars.cpp - Ops on single numbers ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Floats are doubles whatever their type: extf and truncf change nothing.
// Integers wrap to the width of their type.
//
//===----------------------------------------------------------------------===//

#include "Scalars.h"
#include "SpecMath.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

namespace {

using Args = const Scalar *;

bool compareFloats(int64_t predicate, double a, double b) {
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (static_cast<arith::CmpFPredicate>(predicate)) {
  case arith::CmpFPredicate::AlwaysFalse:
    return false;
  case arith::CmpFPredicate::OEQ:
    return !unordered && a == b;
  case arith::CmpFPredicate::OGT:
    return !unordered && a > b;
  case arith::CmpFPredicate::OGE:
    return !unordered && a >= b;
  case arith::CmpFPredicate::OLT:
    return !unordered && a < b;
  case arith::CmpFPredicate::OLE:
    return !unordered && a <= b;
  case arith::CmpFPredicate::ONE:
    return !unordered && a != b;
  case arith::CmpFPredicate::ORD:
    return !unordered;
  case arith::CmpFPredicate::UEQ:
    return unordered || a == b;
  case arith::CmpFPredicate::UGT:
    return unordered || a > b;
  case arith::CmpFPredicate::UGE:
    return unordered || a >= b;
  case arith::CmpFPredicate::ULT:
    return unordered || a < b;
  case arith::CmpFPredicate::ULE:
    return unordered || a <= b;
  case arith::CmpFPredicate::UNE:
    return unordered || a != b;
  case arith::CmpFPredicate::UNO:
    return unordered;
  case arith::CmpFPredicate::AlwaysTrue:
    return true;
  }
  return false;
}

bool compareInts(int64_t predicate, int64_t a, int64_t b, unsigned width) {
  int64_t sa = asSigned(a, width), sb = asSigned(b, width);
  uint64_t ua = asUnsigned(a, width), ub = asUnsigned(b, width);
  switch (static_cast<arith::CmpIPredicate>(predicate)) {
  case arith::CmpIPredicate::eq:
    return ua == ub;
  case arith::CmpIPredicate::ne:
    return ua != ub;
  case arith::CmpIPredicate::slt:
    return sa < sb;
  case arith::CmpIPredicate::sle:
    return sa <= sb;
  case arith::CmpIPredicate::sgt:
    return sa > sb;
  case arith::CmpIPredicate::sge:
    return sa >= sb;
  case arith::CmpIPredicate::ult:
    return ua < ub;
  case arith::CmpIPredicate::ule:
    return ua <= ub;
  case arith::CmpIPredicate::ugt:
    return ua > ub;
  case arith::CmpIPredicate::uge:
    return ua >= ub;
  }
  return false;
}

/// Floats out of the integer's range are undefined; they saturate here, and
/// NaN becomes 0.
int64_t toSignedInt(double v, unsigned width) {
  double limit = std::ldexp(1.0, width - 1);
  if (std::isnan(v))
    return 0;
  if (v >= limit)
    return width >= 64 ? INT64_MAX : (int64_t(1) << (width - 1)) - 1;
  if (v <= -limit)
    return width >= 64 ? INT64_MIN : -(int64_t(1) << (width - 1));
  return static_cast<int64_t>(v);
}

int64_t toUnsignedInt(double v, unsigned width) {
  if (std::isnan(v) || v <= 0)
    return 0;
  if (v >= std::ldexp(1.0, width))
    return -1;
  return static_cast<int64_t>(static_cast<uint64_t>(v));
}

int64_t powerOf(int64_t base, int64_t exponent) {
  if (exponent < 0)
    return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  uint64_t result = 1, factor = static_cast<uint64_t>(base);
  for (; exponent; exponent >>= 1, factor *= factor)
    if (exponent & 1)
      result *= factor;
  return static_cast<int64_t>(result);
}

/// How the 16, 32 or 64 bits of a bit cast's operand or result are read.
enum class Bits { Integer, F64, F32, F16, BF16 };

std::optional<Bits> bitsOf(Type type) {
  return llvm::TypeSwitch<Type, std::optional<Bits>>(type)
      .Case([](IntegerType) { return Bits::Integer; })
      .Case([](Float64Type) { return Bits::F64; })
      .Case([](Float32Type) { return Bits::F32; })
      .Case([](Float16Type) { return Bits::F16; })
      .Case([](BFloat16Type) { return Bits::BF16; })
      .Default([](Type) { return std::nullopt; });
}

/// Bit casts between integers and floats of one width; the code holds the Bits
/// of the operand and, above them, of the result. A NaN keeps its bits but for
/// the one that makes it quiet.
bool bitCast(const ScalarOp &op, Args a, Scalar &result) {
  uint64_t bits = 0;
  switch (static_cast<Bits>(op.code & 7)) {
  case Bits::Integer:
    bits = asUnsigned(a[0].i, op.width);
    break;
  case Bits::F64:
    std::memcpy(&bits, &a[0].f, 8);
    break;
  case Bits::F32:
    bits = floatBits(static_cast<float>(a[0].f));
    break;
  case Bits::F16:
    bits = f64ToF16(a[0].f);
    break;
  case Bits::BF16:
    bits = f64ToBF16(a[0].f);
    break;
  }
  switch (static_cast<Bits>(op.code >> 3)) {
  case Bits::Integer:
    result.i = wrapInteger(static_cast<int64_t>(bits), op.resultWidth);
    break;
  case Bits::F64:
    std::memcpy(&result.f, &bits, 8);
    break;
  case Bits::F32:
    result.f = bitsToFloat(static_cast<uint32_t>(bits));
    break;
  case Bits::F16:
    result.f = f16ToF32(static_cast<uint16_t>(bits));
    break;
  case Bits::BF16:
    result.f = bf16ToF32(static_cast<uint16_t>(bits));
    break;
  }
  return true;
}

/// Errors in units of the format. Approximations of functions in f32 are off
/// by up to 4 (those of upstream MLIR, of libm and of vector libraries), and
/// work on an argument that was rounded when its range was reduced.
constexpr double kExact = 0.0, kOnce = 1.0, kApproximate = 4.0;

struct Entry {
  ScalarOp::Fn fn;
  double units = kExact;
  /// Reads attributes; false when this form of the op is not supported.
  bool (*prepare)(Operation *, ScalarOp &) = nullptr;
};

#define MOE_FLOAT(OP, UNITS, EXPRESSION)                                       \
  table[OP::getOperationName()] = {                                            \
      [](const ScalarOp &, Args a, Scalar &result) {                           \
        result.f = (EXPRESSION);                                               \
        return true;                                                           \
      },                                                                       \
      UNITS}
/// `op` has the widths; the result is wrapped.
#define MOE_INT(OP, EXPRESSION)                                                \
  table[OP::getOperationName()] = {                                            \
      [](const ScalarOp &op, Args a, Scalar &result) {                         \
        result.i = wrapInteger((EXPRESSION), op.resultWidth);                  \
        return true;                                                           \
      }}
/// Divisions: `S` and `U` are the operands as signed and unsigned numbers.
#define MOE_DIVISION(OP, EXPRESSION)                                           \
  table[OP::getOperationName()] = {[](const ScalarOp &op, Args a,              \
                                      Scalar &result) {                        \
    int64_t x = asSigned(a[0].i, op.width), y = asSigned(a[1].i, op.width);    \
    uint64_t ux = asUnsigned(a[0].i, op.width);                                \
    uint64_t uy = asUnsigned(a[1].i, op.width);                                \
    (void)x, (void)ux;                                                         \
    if (uy == 0 || (x == INT64_MIN && y == -1))                                \
      return false;                                                            \
    result.i = wrapInteger(static_cast<int64_t>(EXPRESSION), op.resultWidth);  \
    return true;                                                               \
  }}

void addFloatOps(StringMap<Entry> &table) {
  MOE_FLOAT(arith::AddFOp, kOnce, a[0].f + a[1].f);
  MOE_FLOAT(arith::SubFOp, kOnce, a[0].f - a[1].f);
  MOE_FLOAT(arith::MulFOp, kOnce, a[0].f * a[1].f);
  MOE_FLOAT(arith::DivFOp, kOnce, a[0].f / a[1].f);
  MOE_FLOAT(arith::RemFOp, kOnce, std::fmod(a[0].f, a[1].f));
  MOE_FLOAT(arith::NegFOp, kExact, -a[0].f);
  MOE_FLOAT(arith::MaximumFOp, kExact, maximum(a[0].f, a[1].f));
  MOE_FLOAT(arith::MinimumFOp, kExact, minimum(a[0].f, a[1].f));
  MOE_FLOAT(arith::MaxNumFOp, kExact, std::fmax(a[0].f, a[1].f));
  MOE_FLOAT(arith::MinNumFOp, kExact, std::fmin(a[0].f, a[1].f));
  MOE_FLOAT(arith::ExtFOp, kExact, a[0].f);
  MOE_FLOAT(arith::TruncFOp, kOnce, a[0].f);

  MOE_FLOAT(math::AbsFOp, kExact, std::fabs(a[0].f));
  MOE_FLOAT(math::AcosOp, kApproximate, std::acos(a[0].f));
  MOE_FLOAT(math::AcoshOp, kApproximate, std::acosh(a[0].f));
  MOE_FLOAT(math::AsinOp, kApproximate, std::asin(a[0].f));
  MOE_FLOAT(math::AsinhOp, kApproximate, std::asinh(a[0].f));
  MOE_FLOAT(math::AtanOp, kApproximate, std::atan(a[0].f));
  MOE_FLOAT(math::Atan2Op, kApproximate, std::atan2(a[0].f, a[1].f));
  MOE_FLOAT(math::AtanhOp, kApproximate, std::atanh(a[0].f));
  MOE_FLOAT(math::CbrtOp, kApproximate, std::cbrt(a[0].f));
  MOE_FLOAT(math::CeilOp, kExact, std::ceil(a[0].f));
  MOE_FLOAT(math::ClampFOp, kExact, minimum(maximum(a[0].f, a[1].f), a[2].f));
  MOE_FLOAT(math::CopySignOp, kExact, std::copysign(a[0].f, a[1].f));
  MOE_FLOAT(math::CosOp, kApproximate, std::cos(a[0].f));
  MOE_FLOAT(math::CoshOp, kApproximate, std::cosh(a[0].f));
  MOE_FLOAT(math::ErfOp, kApproximate, std::erf(a[0].f));
  MOE_FLOAT(math::ErfcOp, kApproximate, std::erfc(a[0].f));
  MOE_FLOAT(math::ExpOp, kApproximate, std::exp(a[0].f));
  MOE_FLOAT(math::Exp2Op, kApproximate, std::exp2(a[0].f));
  MOE_FLOAT(math::ExpM1Op, kApproximate, std::expm1(a[0].f));
  MOE_FLOAT(math::FloorOp, kExact, std::floor(a[0].f));
  MOE_FLOAT(math::FmaOp, kOnce, std::fma(a[0].f, a[1].f, a[2].f));
  MOE_FLOAT(math::FPowIOp, kApproximate,
            std::pow(a[0].f, static_cast<double>(a[1].i)));
  MOE_FLOAT(math::LogOp, kApproximate, std::log(a[0].f));
  MOE_FLOAT(math::Log10Op, kApproximate, std::log10(a[0].f));
  MOE_FLOAT(math::Log1pOp, kApproximate, std::log1p(a[0].f));
  MOE_FLOAT(math::Log2Op, kApproximate, std::log2(a[0].f));
  MOE_FLOAT(math::PowFOp, kApproximate, std::pow(a[0].f, a[1].f));
  MOE_FLOAT(math::RoundOp, kExact, std::round(a[0].f));
  MOE_FLOAT(math::RoundEvenOp, kExact, std::nearbyint(a[0].f));
  MOE_FLOAT(math::RsqrtOp, kApproximate, 1.0 / std::sqrt(a[0].f));
  MOE_FLOAT(math::SinOp, kApproximate, std::sin(a[0].f));
  MOE_FLOAT(math::SinhOp, kApproximate, std::sinh(a[0].f));
  MOE_FLOAT(math::SqrtOp, kOnce, std::sqrt(a[0].f));
  MOE_FLOAT(math::TanOp, kApproximate, std::tan(a[0].f));
  MOE_FLOAT(math::TanhOp, kApproximate, std::tanh(a[0].f));
  MOE_FLOAT(math::TruncOp, kExact, std::trunc(a[0].f));
}

void addIntOps(StringMap<Entry> &table) {
  // Unsigned arithmetic wraps where signed arithmetic would be undefined.
  MOE_INT(arith::AddIOp, static_cast<int64_t>(static_cast<uint64_t>(a[0].i) +
                                              static_cast<uint64_t>(a[1].i)));
  MOE_INT(arith::SubIOp, static_cast<int64_t>(static_cast<uint64_t>(a[0].i) -
                                              static_cast<uint64_t>(a[1].i)));
  MOE_INT(arith::MulIOp, static_cast<int64_t>(static_cast<uint64_t>(a[0].i) *
                                              static_cast<uint64_t>(a[1].i)));
  MOE_INT(arith::AndIOp, a[0].i & a[1].i);
  MOE_INT(arith::OrIOp, a[0].i | a[1].i);
  MOE_INT(arith::XOrIOp, a[0].i ^ a[1].i);
  // Shifts by the width or more are undefined; they give 0 or the sign here.
  MOE_INT(arith::ShLIOp,
          asUnsigned(a[1].i, op.width) >= op.width
              ? 0
              : static_cast<int64_t>(static_cast<uint64_t>(a[0].i) << a[1].i));
  MOE_INT(arith::ShRUIOp,
          asUnsigned(a[1].i, op.width) >= op.width
              ? 0
              : static_cast<int64_t>(asUnsigned(a[0].i, op.width) >> a[1].i));
  MOE_INT(arith::ShRSIOp,
          asSigned(a[0].i, op.width) >>
              std::min<uint64_t>(asUnsigned(a[1].i, op.width), 63));
  MOE_INT(arith::MaxSIOp,
          asSigned(a[0].i, op.width) > asSigned(a[1].i, op.width) ? a[0].i
                                                                  : a[1].i);
  MOE_INT(arith::MinSIOp,
          asSigned(a[0].i, op.width) < asSigned(a[1].i, op.width) ? a[0].i
                                                                  : a[1].i);
  MOE_INT(arith::MaxUIOp,
          asUnsigned(a[0].i, op.width) > asUnsigned(a[1].i, op.width) ? a[0].i
                                                                      : a[1].i);
  MOE_INT(arith::MinUIOp,
          asUnsigned(a[0].i, op.width) < asUnsigned(a[1].i, op.width) ? a[0].i
                                                                      : a[1].i);
  MOE_DIVISION(arith::DivSIOp, x / y);
  MOE_DIVISION(arith::DivUIOp, ux / uy);
  MOE_DIVISION(arith::RemSIOp, x % y);
  MOE_DIVISION(arith::RemUIOp, ux % uy);
  MOE_DIVISION(arith::FloorDivSIOp, x / y - (x % y != 0 && (x < 0) != (y < 0)));
  MOE_DIVISION(arith::CeilDivSIOp, x / y + (x % y != 0 && (x < 0) == (y < 0)));
  MOE_DIVISION(arith::CeilDivUIOp, ux / uy + (ux % uy != 0));

  MOE_INT(math::AbsIOp,
          a[0].i < 0 ? static_cast<int64_t>(-static_cast<uint64_t>(a[0].i))
                     : a[0].i);
  MOE_INT(math::IPowIOp, powerOf(a[0].i, a[1].i));
  MOE_INT(math::CountLeadingZerosOp,
          countl_zero(asUnsigned(a[0].i, op.width)) - (64 - int64_t(op.width)));
  MOE_INT(
      math::CountTrailingZerosOp,
      std::min<int64_t>(countr_zero(asUnsigned(a[0].i, op.width)), op.width));
  MOE_INT(math::CtPopOp, popcount(asUnsigned(a[0].i, op.width)));
}

void addConversionsAndComparisons(StringMap<Entry> &table) {
  MOE_INT(arith::ExtSIOp, asSigned(a[0].i, op.width));
  MOE_INT(arith::ExtUIOp, static_cast<int64_t>(asUnsigned(a[0].i, op.width)));
  MOE_INT(arith::TruncIOp, a[0].i);
  MOE_INT(arith::IndexCastOp, asSigned(a[0].i, op.width));
  MOE_INT(arith::IndexCastUIOp,
          static_cast<int64_t>(asUnsigned(a[0].i, op.width)));
  MOE_INT(arith::FPToSIOp, toSignedInt(a[0].f, op.resultWidth));
  MOE_INT(arith::FPToUIOp, toUnsignedInt(a[0].f, op.resultWidth));
  table[arith::SIToFPOp::getOperationName()] = {
      [](const ScalarOp &op, Args a, Scalar &result) {
        result.f = static_cast<double>(asSigned(a[0].i, op.width));
        return true;
      },
      kOnce};
  table[arith::UIToFPOp::getOperationName()] = {
      [](const ScalarOp &op, Args a, Scalar &result) {
        result.f = static_cast<double>(asUnsigned(a[0].i, op.width));
        return true;
      },
      kOnce};
  table[arith::BitcastOp::getOperationName()] = {
      bitCast, kExact, [](Operation *op, ScalarOp &scalarOp) {
        Type from = getElementTypeOrSelf(op->getOperand(0));
        Type to = getElementTypeOrSelf(op->getResult(0));
        scalarOp.width = from.getIntOrFloatBitWidth();
        std::optional<Bits> source = bitsOf(from), target = bitsOf(to);
        if (!source || !target)
          return false;
        scalarOp.code =
            static_cast<int64_t>(*source) | static_cast<int64_t>(*target) << 3;
        return true;
      }};

  MOE_INT(math::IsFiniteOp, std::isfinite(a[0].f));
  MOE_INT(math::IsInfOp, std::isinf(a[0].f));
  MOE_INT(math::IsNaNOp, std::isnan(a[0].f));
  MOE_INT(math::IsNormalOp, std::isnormal(a[0].f));
  table[arith::CmpFOp::getOperationName()] = {
      [](const ScalarOp &op, Args a, Scalar &result) {
        result.i = compareFloats(op.code, a[0].f, a[1].f);
        return true;
      },
      kExact,
      [](Operation *op, ScalarOp &scalarOp) {
        scalarOp.code =
            static_cast<int64_t>(cast<arith::CmpFOp>(op).getPredicate());
        return true;
      }};
  table[arith::CmpIOp::getOperationName()] = {
      [](const ScalarOp &op, Args a, Scalar &result) {
        result.i = compareInts(op.code, a[0].i, a[1].i, op.width);
        return true;
      },
      kExact,
      [](Operation *op, ScalarOp &scalarOp) {
        scalarOp.code =
            static_cast<int64_t>(cast<arith::CmpIOp>(op).getPredicate());
        return true;
      }};
  table[arith::SelectOp::getOperationName()] = {
      [](const ScalarOp &, Args a, Scalar &result) {
        result = a[0].i ? a[1] : a[2];
        return true;
      }};
}

#undef MOE_FLOAT
#undef MOE_INT
#undef MOE_DIVISION

const StringMap<Entry> &scalarTable() {
  static const StringMap<Entry> table = [] {
    StringMap<Entry> table;
    addFloatOps(table);
    addIntOps(table);
    addConversionsAndComparisons(table);
    return table;
  }();
  return table;
}

} // namespace

std::optional<ScalarOp> ScalarOp::get(Operation *op) {
  auto it = scalarTable().find(op->getName().getStringRef());
  if (it == scalarTable().end())
    return std::nullopt;
  ScalarOp scalarOp;
  scalarOp.fn = it->second.fn;
  scalarOp.width = integerWidth(op->getOperand(0).getType());
  scalarOp.resultWidth = integerWidth(op->getResult(0).getType());
  scalarOp.units = it->second.units;
  scalarOp.format = NumberFormat::get(op->getResult(0).getType());
  scalarOp.numOperands = op->getNumOperands();
  for (Type type : op->getOperandTypes()) {
    if (!isFloatLike(type))
      break;
    ++scalarOp.numFloats;
  }
  if (it->second.prepare && !it->second.prepare(op, scalarOp))
    return std::nullopt;
  return scalarOp;
}

bool ScalarOp::applyRounded(const Scalar *args, Scalar &result,
                            RoundingErrors &rounding) const {
  Scalar rounded[4];
  copy(ArrayRef(args, numOperands), rounded);
  if (units > kOnce)
    for (unsigned i = 0; i < numFloats; ++i)
      rounded[i].f += rounding.error(rounded[i].f, format.working(), kOnce);
  if (!fn(*this, rounded, result))
    return false;
  result.f = rounding.round(result.f, format, units);
  return true;
}

static LogicalResult emitUndefined(Operation *op) {
  return op->emitOpError("has no result: the divisor is zero, or the quotient "
                         "does not fit the type");
}

LogicalResult executeElementwise(Machine &machine, Operation *op,
                                 const ScalarOp &scalarOp) {
  SmallVector<Scalar> args(op->getNumOperands());
  Scalar result;
  SmallVector<ArrayPtr> arrays;
  for (auto [i, operand] : enumerate(op->getOperands())) {
    const Datum &datum = machine.get(operand);
    arrays.push_back(datum.array);
    args[i] = datum.scalar;
  }
  // A select by one bit takes either value whole, whatever it is.
  if (isa<arith::SelectOp>(op) && !arrays[0]) {
    machine.set(op->getResult(0),
                machine.get(op->getOperand(args[0].i ? 1 : 2)));
    return success();
  }
  Type type = op->getResult(0).getType();
  if (!isa<ShapedType>(type)) {
    if (!scalarOp.apply(args.data(), result, machine.rounding))
      return emitUndefined(op);
    machine.set(op->getResult(0), result);
    return success();
  }

  const HostTensor *shaped = nullptr;
  for (const ArrayPtr &array : arrays) {
    if (!array)
      continue;
    if (shaped && array->shape != shaped->shape)
      return op->emitOpError("operands have different sizes: ")
             << formatShape(shaped->shape) << " and "
             << formatShape(array->shape);
    shaped = array.get();
  }
  FailureOr<MutableArrayPtr> out = machine.allocate(op, type, shaped->shape);
  if (failed(out))
    return failure();
  for (int64_t i = 0, e = (*out)->numElements(); i < e; ++i) {
    for (auto [arg, array] : zip_equal(args, arrays))
      if (array)
        arg = loadElement(*array, i);
    if (!scalarOp.apply(args.data(), result, machine.rounding))
      return emitUndefined(op);
    storeElement(**out, i, result);
  }
  machine.set(op->getResult(0), *out);
  return success();
}

std::optional<ScalarProgram> ScalarProgram::build(Machine &machine,
                                                  Block &block) {
  ScalarProgram program(machine.rounding);
  llvm::DenseMap<Value, unsigned> slotOf;
  auto newSlot = [&](Value value, Scalar initial) {
    slotOf[value] = program.slots.size();
    program.slots.push_back(initial);
    return slotOf[value];
  };
  auto findSlot = [&](Value value) -> std::optional<unsigned> {
    if (auto it = slotOf.find(value); it != slotOf.end())
      return it->second;
    if (!value.getType().isIntOrIndexOrFloat() ||
        value.getParentBlock() == &block)
      return std::nullopt;
    return newSlot(value, machine.get(value).scalar);
  };

  for (BlockArgument argument : block.getArguments()) {
    if (!argument.getType().isIntOrIndexOrFloat())
      return std::nullopt;
    newSlot(argument, makeInt(0));
  }
  for (Operation &op : block.without_terminator()) {
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      if (failed(machine.execute(&op)))
        return std::nullopt;
      newSlot(constant.getResult(), machine.get(constant.getResult()).scalar);
      continue;
    }
    Step step;
    step.op = &op;
    if (auto index = dyn_cast<linalg::IndexOp>(op)) {
      step.iterationDim = index.getDim();
    } else {
      std::optional<ScalarOp> function = ScalarOp::get(&op);
      if (!function || !op.getResult(0).getType().isIntOrIndexOrFloat())
        return std::nullopt;
      step.function = *function;
    }
    for (Value operand : op.getOperands()) {
      std::optional<unsigned> slot = findSlot(operand);
      if (!slot)
        return std::nullopt;
      step.operands.push_back(*slot);
    }
    step.result = newSlot(op.getResult(0), makeInt(0));
    program.steps.push_back(std::move(step));
  }
  for (Value operand : block.getTerminator()->getOperands()) {
    std::optional<unsigned> slot = findSlot(operand);
    if (!slot)
      return std::nullopt;
    program.yielded.push_back(*slot);
  }
  return program;
}

LogicalResult ScalarProgram::run(ArrayRef<Scalar> arguments,
                                 ArrayRef<int64_t> iteration,
                                 SmallVectorImpl<Scalar> &results) {
  copy(arguments, slots.begin());
  Scalar args[4];
  for (const Step &step : steps) {
    if (step.iterationDim >= 0) {
      slots[step.result].i = iteration[step.iterationDim];
      continue;
    }
    for (auto [i, operand] : enumerate(step.operands))
      args[i] = slots[operand];
    if (!step.function.apply(args, slots[step.result], rounding))
      return emitUndefined(step.op);
  }
  results.clear();
  for (unsigned slot : yielded)
    results.push_back(slots[slot]);
  return success();
}

} // namespace moe::reference
