//===- ArithInstructions.cpp - arith and math in lanes ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is executed most has a loop of its own; the rest goes lane by lane
// through the table of the interpreter of model IR, whose results are rounded
// to their types here.
//
//===----------------------------------------------------------------------===//

#include "../Rounding.h"
#include "../Scalars.h"
#include "../Values.h"
#include "Warp.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "moe-mlir/Support/FloatConversions.h"

using namespace mlir;
using namespace moe::reference;
using namespace moe::reference::simt;

//===----------------------------------------------------------------------===//
// Fast ones
//===----------------------------------------------------------------------===//

namespace {
/// A function of two numbers of a type, in all lanes: those that are not active
/// hold values that nobody reads.
template <typename T, typename F>
Outcome runBinary(Warp &warp, const Instruction &instruction) {
  T *result = warp.get<T>(instruction.results[0]);
  const T *a = warp.get<T>(instruction.operands[0]);
  const T *b = warp.get<T>(instruction.operands[1]);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    result[lane] = F::apply(a[lane], b[lane]);
  return Outcome::Next;
}

template <typename T, typename F>
Outcome runCompare(Warp &warp, const Instruction &instruction) {
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  const T *a = warp.get<T>(instruction.operands[0]);
  const T *b = warp.get<T>(instruction.operands[1]);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    result[lane] = F::apply(a[lane], b[lane]);
  return Outcome::Next;
}

template <typename To, typename From>
Outcome runConvert(Warp &warp, const Instruction &instruction) {
  To *result = warp.get<To>(instruction.results[0]);
  const From *a = warp.get<From>(instruction.operands[0]);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    result[lane] = To(a[lane]);
  return Outcome::Next;
}

#define DEFINE(NAME, EXPRESSION)                                               \
  struct NAME {                                                                \
    template <typename T> static T apply(T a, T b) { return EXPRESSION; }      \
  };
DEFINE(Add, a + b)
DEFINE(Sub, a - b)
DEFINE(Mul, a *b)
DEFINE(Div, a / b)
// A lane that is not active may divide by what it did not compute.
DEFINE(DivU, b ? a / b : 0)
DEFINE(Xor, a ^ b)
// Beyond the width the result is poison; nothing here is made to shift so far.
DEFINE(ShL, b < sizeof(T) * 8 ? a << b : 0)
DEFINE(ShRU, b < sizeof(T) * 8 ? a >> b : 0)
DEFINE(Min, a < b ? a : b)
DEFINE(Max, a < b ? b : a)
#undef DEFINE
#define DEFINE(NAME, OPERATOR)                                                 \
  struct NAME {                                                                \
    template <typename T> static bool apply(T a, T b) { return a OPERATOR b; } \
  };
DEFINE(Equal, ==)
DEFINE(NotEqual, !=)
DEFINE(Less, <)
DEFINE(LessEqual, <=)
DEFINE(Greater, >)
DEFINE(GreaterEqual, >=)
#undef DEFINE
} // namespace

/// Bits that are 0 (for `and`) or 1 (for `or`) in a defined operand are so in
/// the result, whatever the other one is.
template <typename T, bool isAnd>
static Outcome runLogic(Warp &warp, const Instruction &instruction) {
  T *result = warp.get<T>(instruction.results[0]);
  const T *a = warp.get<T>(instruction.operands[0]);
  const T *b = warp.get<T>(instruction.operands[1]);
  uint32_t undefinedA = warp.undefined(instruction.operands[0]);
  uint32_t undefinedB = warp.undefined(instruction.operands[1]);
  uint32_t undefined = undefinedA | undefinedB;
  uint64_t all =
      instruction.a == 64 ? ~uint64_t(0) : (uint64_t(1) << instruction.a) - 1;
  T decides = isAnd ? T(0) : T(all);
  forEachLane(undefined, [&](unsigned lane) {
    bool known = (!(undefinedA >> lane & 1) && a[lane] == decides) ||
                 (!(undefinedB >> lane & 1) && b[lane] == decides);
    if (known)
      undefined &= ~(1u << lane);
  });
  for (unsigned lane = 0; lane < kLanes; ++lane)
    result[lane] = isAnd ? a[lane] & b[lane] : a[lane] | b[lane];
  // Where a lane is decided by one operand, the other has any bits.
  forEachLane((undefinedA | undefinedB) & ~undefined,
              [&](unsigned lane) { result[lane] = decides; });
  warp.undefined(instruction.results[0]) = undefined;
  return Outcome::Next;
}

template <typename T>
static Outcome runSelect(Warp &warp, const Instruction &instruction) {
  T *result = warp.get<T>(instruction.results[0]);
  const uint32_t *condition = warp.get<uint32_t>(instruction.operands[0]);
  const T *a = warp.get<T>(instruction.operands[1]);
  const T *b = warp.get<T>(instruction.operands[2]);
  for (Slot operand : instruction.operands)
    if (warp.ticket(operand) && !warp.checkDefined(instruction, operand, ""))
      return Outcome::Fail;
  uint32_t taken = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    taken |= (condition[lane] & 1) << lane;
    result[lane] = condition[lane] & 1 ? a[lane] : b[lane];
  }
  warp.undefined(instruction.results[0]) =
      warp.undefined(instruction.operands[0]) |
      (warp.undefined(instruction.operands[1]) & taken) |
      (warp.undefined(instruction.operands[2]) & ~taken);
  return Outcome::Next;
}

static Outcome runToBF16(Warp &warp, const Instruction &instruction) {
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  const float *a = warp.get<float>(instruction.operands[0]);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    result[lane] = moe::f32ToBF16(a[lane]);
  return Outcome::Next;
}

template <typename F> static Execute getBinary(unsigned width) {
  return width == 64   ? Execute(runBinary<uint64_t, F>)
         : width == 32 ? Execute(runBinary<uint32_t, F>)
                       : nullptr;
}
template <typename F> static Execute getSigned(unsigned width) {
  return width == 64   ? Execute(runBinary<int64_t, F>)
         : width == 32 ? Execute(runBinary<int32_t, F>)
                       : nullptr;
}

//===----------------------------------------------------------------------===//
// All others
//===----------------------------------------------------------------------===//

namespace {
/// How a scalar's bits and the interpreter's numbers become each other.
enum class Kind : uint8_t { Integer, F32, F64, BF16, F16 };

struct ScalarCode {
  ScalarOp op;
  SmallVector<Kind, 3> operands;
  SmallVector<uint8_t, 3> widths;
  Kind result;
  uint8_t resultWidth;
};
} // namespace

static std::optional<Kind> getKind(Type type) {
  type = getElementTypeOrSelf(type);
  if (type.isIntOrIndex())
    return Kind::Integer;
  if (type.isF32())
    return Kind::F32;
  if (type.isF64())
    return Kind::F64;
  if (type.isBF16())
    return Kind::BF16;
  if (type.isF16())
    return Kind::F16;
  return std::nullopt;
}

static Scalar fromBits(uint64_t bits, Kind kind, unsigned width) {
  switch (kind) {
  case Kind::Integer:
    return makeInt(wrapInteger(static_cast<int64_t>(bits), width));
  case Kind::F32:
    return makeFloat(moe::bitsToFloat(bits));
  case Kind::BF16:
    return makeFloat(moe::bf16ToF32(bits));
  case Kind::F16:
    return makeFloat(moe::f16ToF32(bits));
  case Kind::F64:
    break;
  }
  Scalar scalar;
  scalar.i = static_cast<int64_t>(bits);
  return scalar;
}

static uint64_t toBits(Scalar scalar, Kind kind, unsigned width) {
  switch (kind) {
  case Kind::Integer:
    return width == 64 ? scalar.i : scalar.i & ((uint64_t(1) << width) - 1);
  case Kind::F32:
    return moe::floatBits(float(scalar.f));
  case Kind::BF16:
    return moe::f64ToBF16(scalar.f);
  case Kind::F16:
    return moe::f64ToF16(scalar.f);
  case Kind::F64:
    break;
  }
  return static_cast<uint64_t>(scalar.i);
}

static Outcome runScalar(Warp &warp, const Instruction &instruction) {
  const auto &code = *reinterpret_cast<const ScalarCode *>(instruction.a);
  uint32_t undefined = 0;
  for (Slot slot : instruction.operands) {
    undefined |= warp.undefined(slot);
    if (warp.ticket(slot) && !warp.checkDefined(instruction, slot, ""))
      return Outcome::Fail;
  }
  Scalar operands[4];
  bool isFine = true;
  forEachLane(warp.active & ~undefined, [&](unsigned lane) {
    for (auto [i, slot] : llvm::enumerate(instruction.operands))
      operands[i] =
          fromBits(code.widths[i] == 64 ? warp.get<uint64_t>(slot)[lane]
                                        : warp.get<uint32_t>(slot)[lane],
                   code.operands[i], code.widths[i]);
    Scalar result;
    if (!code.op.fn(code.op, operands, result)) {
      if (isFine)
        warp.fail(instruction,
                  "has no result: the divisor is zero, or the "
                  "quotient does not fit the type",
                  lane);
      isFine = false;
      return;
    }
    uint64_t bits = toBits(result, code.result, code.resultWidth);
    if (code.resultWidth == 64)
      warp.get<uint64_t>(instruction.results[0])[lane] = bits;
    else
      warp.get<uint32_t>(instruction.results[0])[lane] = bits;
  });
  warp.undefined(instruction.results[0]) = undefined;
  return isFine ? Outcome::Next : Outcome::Fail;
}

static LogicalResult decodeScalar(Decoder &decoder, Operation *op) {
  std::optional<ScalarOp> scalarOp = ScalarOp::get(op);
  if (!scalarOp || op->getNumOperands() > 4 || op->getNumResults() != 1)
    return failure();
  ScalarCode code{*scalarOp, {}, {}, Kind::Integer, 0};
  for (Type type : op->getOperandTypes()) {
    std::optional<Kind> kind = getKind(type);
    if (!kind)
      return failure();
    code.operands.push_back(*kind);
    code.widths.push_back(getWidth(getElementTypeOrSelf(type)));
  }
  Type type = getElementTypeOrSelf(op->getResult(0).getType());
  std::optional<Kind> kind = getKind(type);
  if (!kind)
    return failure();
  code.result = *kind;
  code.resultWidth = getWidth(type);
  return decoder.emitElements(runScalar, op, decoder.keepObject(code), 0,
                              /*isPlain=*/false);
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

static unsigned getOperandWidth(Operation *op) {
  return getWidth(getElementTypeOrSelf(op->getOperand(0).getType()));
}

static LogicalResult emitOr(Decoder &decoder, Operation *op, Execute fast) {
  return fast ? decoder.emitElements(fast, op) : decodeScalar(decoder, op);
}

/// Integers of 32 and 64 bits.
template <typename Op>
static void addInteger(InstructionTable &table, Execute (*get)(unsigned)) {
  table.add(Op::getOperationName(), [get](Decoder &decoder, Operation *op) {
    return emitOr(decoder, op, get(getOperandWidth(op)));
  });
}

template <typename Op, typename F>
static void addFloat(InstructionTable &table) {
  table.add(Op::getOperationName(), [](Decoder &decoder, Operation *op) {
    bool isF32 = getElementTypeOrSelf(op->getResult(0).getType()).isF32();
    return emitOr(decoder, op, isF32 ? Execute(runBinary<float, F>) : nullptr);
  });
}

template <typename Signed, typename Unsigned>
static Execute getComparison(arith::CmpIPredicate predicate) {
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return runCompare<Unsigned, Equal>;
  case arith::CmpIPredicate::ne:
    return runCompare<Unsigned, NotEqual>;
  case arith::CmpIPredicate::slt:
    return runCompare<Signed, Less>;
  case arith::CmpIPredicate::sle:
    return runCompare<Signed, LessEqual>;
  case arith::CmpIPredicate::sgt:
    return runCompare<Signed, Greater>;
  case arith::CmpIPredicate::sge:
    return runCompare<Signed, GreaterEqual>;
  case arith::CmpIPredicate::ult:
    return runCompare<Unsigned, Less>;
  case arith::CmpIPredicate::ule:
    return runCompare<Unsigned, LessEqual>;
  case arith::CmpIPredicate::ugt:
    return runCompare<Unsigned, Greater>;
  case arith::CmpIPredicate::uge:
    return runCompare<Unsigned, GreaterEqual>;
  }
  llvm_unreachable("all predicates");
}

template <bool isAnd>
static LogicalResult decodeLogic(Decoder &decoder, Operation *op) {
  unsigned width = getOperandWidth(op);
  return decoder.emitElements(width == 64 ? runLogic<uint64_t, isAnd>
                                          : runLogic<uint32_t, isAnd>,
                              op, width, 0, /*isPlain=*/false);
}

static LogicalResult decodeConstant(Decoder &decoder, Operation *op) {
  auto constant = cast<arith::ConstantOp>(op);
  auto slots = decoder.addConstants(constant.getType(), constant.getValue());
  if (failed(slots))
    return failure();
  decoder.set(constant.getResult(), *slots);
  return success();
}

/// Bits that stay as they are; between elements of the same width.
static LogicalResult decodeBitcast(Decoder &decoder, Operation *op) {
  if (getOperandWidth(op) !=
      getWidth(getElementTypeOrSelf(op->getResult(0).getType())))
    return failure();
  decoder.set(op->getResult(0), decoder.get(op->getOperand(0)));
  return success();
}

void moe::reference::simt::addArithInstructions(InstructionTable &table) {
  table.addDialect("arith", decodeScalar);
  table.addDialect("math", decodeScalar);
  addInteger<arith::AddIOp>(table, getBinary<Add>);
  addInteger<arith::SubIOp>(table, getBinary<Sub>);
  addInteger<arith::MulIOp>(table, getBinary<Mul>);
  addInteger<arith::DivUIOp>(table, getBinary<DivU>);
  addInteger<arith::XOrIOp>(table, getBinary<Xor>);
  addInteger<arith::ShLIOp>(table, getBinary<ShL>);
  addInteger<arith::ShRUIOp>(table, getBinary<ShRU>);
  addInteger<arith::MinUIOp>(table, getBinary<Min>);
  addInteger<arith::MaxUIOp>(table, getBinary<Max>);
  addInteger<arith::MinSIOp>(table, getSigned<Min>);
  addInteger<arith::MaxSIOp>(table, getSigned<Max>);
  addFloat<arith::AddFOp, Add>(table);
  addFloat<arith::SubFOp, Sub>(table);
  addFloat<arith::MulFOp, Mul>(table);
  addFloat<arith::DivFOp, Div>(table);
  table.add(arith::AndIOp::getOperationName(), decodeLogic<true>);
  table.add(arith::OrIOp::getOperationName(), decodeLogic<false>);
  table.add(arith::ConstantOp::getOperationName(), decodeConstant);
  table.add(arith::BitcastOp::getOperationName(), decodeBitcast);
  table.add(arith::CmpIOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              auto predicate = cast<arith::CmpIOp>(op).getPredicate();
              unsigned width = getOperandWidth(op);
              if (width < 32)
                return decodeScalar(decoder, op);
              return decoder.emitElements(
                  width == 64 ? getComparison<int64_t, uint64_t>(predicate)
                              : getComparison<int32_t, uint32_t>(predicate),
                  op);
            });
  table.add(
      arith::SelectOp::getOperationName(), [](Decoder &decoder, Operation *op) {
        bool isWide =
            getWidth(getElementTypeOrSelf(op->getResult(0).getType())) == 64;
        return decoder.emitElements(isWide ? runSelect<uint64_t>
                                           : runSelect<uint32_t>,
                                    op, 0, 0, /*isPlain=*/false);
      });
  table.add(
      arith::ExtUIOp::getOperationName(), [](Decoder &decoder, Operation *op) {
        // Narrow integers have zeros above their bits.
        bool isWide =
            getWidth(getElementTypeOrSelf(op->getResult(0).getType())) == 64;
        return decoder.emitElements(isWide ? runConvert<uint64_t, uint32_t>
                                           : runConvert<uint32_t, uint32_t>,
                                    op);
      });
  table.add(arith::TruncFOp::getOperationName(), [](Decoder &decoder,
                                                    Operation *op) {
    bool isFast = getElementTypeOrSelf(op->getOperand(0).getType()).isF32() &&
                  getElementTypeOrSelf(op->getResult(0).getType()).isBF16();
    return emitOr(decoder, op, isFast ? runToBF16 : nullptr);
  });
}
