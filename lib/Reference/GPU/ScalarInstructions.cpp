//===- ScalarInstructions.cpp - Operations lane by lane ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ScalarInstructions.h"

#include "../Rounding.h"
#include "../Scalars.h"
#include "../Values.h"
#include "Warp.h"
#include "moe-mlir/Support/FloatConversions.h"

using namespace mlir;
using namespace moe::reference;
using namespace moe::reference::simt;

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
  LaneMask undefined = 0;
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

LogicalResult moe::reference::simt::decodeScalar(Decoder &decoder,
                                                 Operation *op) {
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
