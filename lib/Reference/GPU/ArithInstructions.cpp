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

#include "ScalarInstructions.h"
#include "Warp.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "moe-mlir/Support/FloatConversions.h"

using namespace mlir;
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
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    result[lane] = F::apply(a[lane], b[lane]);
  return Outcome::Next;
}

template <typename T, typename F>
Outcome runCompare(Warp &warp, const Instruction &instruction) {
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  const T *a = warp.get<T>(instruction.operands[0]);
  const T *b = warp.get<T>(instruction.operands[1]);
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    result[lane] = F::apply(a[lane], b[lane]);
  return Outcome::Next;
}

template <typename To, typename From>
Outcome runConvert(Warp &warp, const Instruction &instruction) {
  To *result = warp.get<To>(instruction.results[0]);
  const From *a = warp.get<From>(instruction.operands[0]);
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
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
DEFINE(Xor, a ^ b)
DEFINE(ShL, a << b)
DEFINE(ShRU, a >> b)
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

/// A division, which an active lane may not do by 0.
template <typename T>
static Outcome runDivide(Warp &warp, const Instruction &instruction) {
  T *result = warp.get<T>(instruction.results[0]);
  const T *a = warp.get<T>(instruction.operands[0]);
  const T *b = warp.get<T>(instruction.operands[1]);
  LaneMask undefined = warp.undefined(instruction.operands[0]) |
                       warp.undefined(instruction.operands[1]);
  LaneMask zeros = 0;
  for (unsigned lane = 0; lane < warp.numLanes; ++lane) {
    zeros |= LaneMask(b[lane] == 0) << lane;
    result[lane] = b[lane] ? a[lane] / b[lane] : 0;
  }
  warp.undefined(instruction.results[0]) = undefined;
  if (LaneMask lanes = zeros & warp.active & ~undefined)
    return warp.fail(instruction, "divides by 0", firstLane(lanes));
  return Outcome::Next;
}

/// A shift by as many bits as there are, or more, gives anything.
template <typename T, typename F>
static Outcome runShift(Warp &warp, const Instruction &instruction) {
  T *result = warp.get<T>(instruction.results[0]);
  const T *a = warp.get<T>(instruction.operands[0]);
  const T *b = warp.get<T>(instruction.operands[1]);
  LaneMask undefined = warp.undefined(instruction.operands[0]) |
                       warp.undefined(instruction.operands[1]);
  for (unsigned lane = 0; lane < warp.numLanes; ++lane) {
    bool isShort = b[lane] < sizeof(T) * 8;
    undefined |= LaneMask(!isShort) << lane;
    result[lane] = isShort ? F::apply(a[lane], b[lane]) : 0;
  }
  warp.undefined(instruction.results[0]) = undefined;
  return Outcome::Next;
}

/// Bits that are 0 (for `and`) or 1 (for `or`) in a defined operand are so in
/// the result, whatever the other one is.
template <typename T, bool isAnd>
static Outcome runLogic(Warp &warp, const Instruction &instruction) {
  T *result = warp.get<T>(instruction.results[0]);
  const T *a = warp.get<T>(instruction.operands[0]);
  const T *b = warp.get<T>(instruction.operands[1]);
  LaneMask undefinedA = warp.undefined(instruction.operands[0]);
  LaneMask undefinedB = warp.undefined(instruction.operands[1]);
  LaneMask undefined = undefinedA | undefinedB;
  uint64_t all =
      instruction.a == 64 ? ~uint64_t(0) : (uint64_t(1) << instruction.a) - 1;
  T decides = isAnd ? T(0) : T(all);
  forEachLane(undefined, [&](unsigned lane) {
    bool known = (!(undefinedA >> lane & 1) && a[lane] == decides) ||
                 (!(undefinedB >> lane & 1) && b[lane] == decides);
    if (known)
      undefined &= ~laneBit(lane);
  });
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
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
  LaneMask taken = 0;
  for (unsigned lane = 0; lane < warp.numLanes; ++lane) {
    taken |= LaneMask(condition[lane] & 1) << lane;
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
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
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
// The table
//===----------------------------------------------------------------------===//

static unsigned getOperandWidth(Operation *op) {
  return getWidth(getElementTypeOrSelf(op->getOperand(0).getType()));
}

static LogicalResult decodeDivide(Decoder &decoder, Operation *op) {
  unsigned width = getOperandWidth(op);
  if (width < 32)
    return decodeScalar(decoder, op);
  return decoder.emitElements(width == 64 ? runDivide<uint64_t>
                                          : runDivide<uint32_t>,
                              op, 0, 0, /*isPlain=*/false);
}

template <typename F>
static LogicalResult decodeShift(Decoder &decoder, Operation *op) {
  unsigned width = getOperandWidth(op);
  if (width < 32)
    return decodeScalar(decoder, op);
  return decoder.emitElements(width == 64 ? runShift<uint64_t, F>
                                          : runShift<uint32_t, F>,
                              op, 0, 0, /*isPlain=*/false);
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

static unsigned getResultWidth(Operation *op) {
  return getWidth(getElementTypeOrSelf(op->getResult(0).getType()));
}

static LogicalResult decodeComparison(Decoder &decoder, Operation *op,
                                      arith::CmpIPredicate predicate) {
  unsigned width = getOperandWidth(op);
  if (width < 32)
    return decodeScalar(decoder, op);
  return decoder.emitElements(width == 64
                                  ? getComparison<int64_t, uint64_t>(predicate)
                                  : getComparison<int32_t, uint32_t>(predicate),
                              op);
}

static LogicalResult decodeSelect(Decoder &decoder, Operation *op) {
  return decoder.emitElements(getResultWidth(op) == 64 ? runSelect<uint64_t>
                                                       : runSelect<uint32_t>,
                              op, 0, 0, /*isPlain=*/false);
}

static LogicalResult decodeExtend(Decoder &decoder, Operation *op) {
  // Narrow integers have zeros above their bits.
  return decoder.emitElements(getResultWidth(op) == 64
                                  ? runConvert<uint64_t, uint32_t>
                                  : runConvert<uint32_t, uint32_t>,
                              op);
}

/// Bits that stay as they are; between elements of the same width.
static LogicalResult decodeBitcast(Decoder &decoder, Operation *op) {
  if (getOperandWidth(op) != getResultWidth(op))
    return failure();
  decoder.set(op->getResult(0), decoder.get(op->getOperand(0)));
  return success();
}

/// The same by the names of the llvm dialect.
static void addLLVMNames(InstructionTable &table) {
  addInteger<LLVM::AddOp>(table, getBinary<Add>);
  addInteger<LLVM::SubOp>(table, getBinary<Sub>);
  addInteger<LLVM::MulOp>(table, getBinary<Mul>);
  table.add(LLVM::UDivOp::getOperationName(), decodeDivide);
  addInteger<LLVM::XOrOp>(table, getBinary<Xor>);
  table.add(LLVM::ShlOp::getOperationName(), decodeShift<ShL>);
  table.add(LLVM::LShrOp::getOperationName(), decodeShift<ShRU>);
  addInteger<LLVM::UMinOp>(table, getBinary<Min>);
  addInteger<LLVM::UMaxOp>(table, getBinary<Max>);
  addInteger<LLVM::SMinOp>(table, getSigned<Min>);
  addInteger<LLVM::SMaxOp>(table, getSigned<Max>);
  addFloat<LLVM::FAddOp, Add>(table);
  addFloat<LLVM::FSubOp, Sub>(table);
  addFloat<LLVM::FMulOp, Mul>(table);
  addFloat<LLVM::FDivOp, Div>(table);
  table.add(LLVM::AndOp::getOperationName(), decodeLogic<true>);
  table.add(LLVM::OrOp::getOperationName(), decodeLogic<false>);
  table.add(LLVM::SelectOp::getOperationName(), decodeSelect);
  table.add(LLVM::ZExtOp::getOperationName(), decodeExtend);
  table.add(
      LLVM::ICmpOp::getOperationName(), [](Decoder &decoder, Operation *op) {
        // They are numbered as arith's.
        return decodeComparison(decoder, op,
                                static_cast<arith::CmpIPredicate>(
                                    cast<LLVM::ICmpOp>(op).getPredicate()));
      });
}

void moe::reference::simt::addArithInstructions(InstructionTable &table) {
  table.addDialect("arith", decodeScalar);
  table.addDialect("math", decodeScalar);
  addLLVMNames(table);
  addInteger<arith::AddIOp>(table, getBinary<Add>);
  addInteger<arith::SubIOp>(table, getBinary<Sub>);
  addInteger<arith::MulIOp>(table, getBinary<Mul>);
  table.add(arith::DivUIOp::getOperationName(), decodeDivide);
  addInteger<arith::XOrIOp>(table, getBinary<Xor>);
  table.add(arith::ShLIOp::getOperationName(), decodeShift<ShL>);
  table.add(arith::ShRUIOp::getOperationName(), decodeShift<ShRU>);
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
  table.add(arith::SelectOp::getOperationName(), decodeSelect);
  table.add(arith::ExtUIOp::getOperationName(), decodeExtend);
  table.add(arith::CmpIOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              return decodeComparison(decoder, op,
                                      cast<arith::CmpIOp>(op).getPredicate());
            });
  table.add(arith::TruncFOp::getOperationName(), [](Decoder &decoder,
                                                    Operation *op) {
    bool isFast = getElementTypeOrSelf(op->getOperand(0).getType()).isF32() &&
                  getElementTypeOrSelf(op->getResult(0).getType()).isBF16();
    return emitOr(decoder, op, isFast ? runToBF16 : nullptr);
  });
}
