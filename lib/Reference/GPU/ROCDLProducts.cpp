//===- ROCDLProducts.cpp - Products of matrices on AMD's GPUs ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Matrix instructions (MFMA) of a wavefront, as AMD's documents of CDNA 3 and
// CDNA 4 lay out their operands. In which order the hardware adds up is not
// said: here a product's terms are added in f64 and the sum is rounded to f32.
//
//===----------------------------------------------------------------------===//

#include "Access.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/IR/Matchers.h"
#include "moe-mlir/Support/FloatConversions.h"

using namespace mlir;
using namespace moe::reference::simt;

namespace {
constexpr unsigned kSize = 32, kWavefront = 64, kSums = 16;

/// Of 32 by 32 with a depth of `2 * each`: lane l has row (of A) or column (of
/// B) l mod 32, and of the depth `each` values that follow one another, the
/// lower ones in lanes below 32.
struct Operand {
  double values[kSize][kSize / 2];
  bool isUndefined[kSize][kSize / 2];

  Operand(Warp &warp, Slots slots) {
    unsigned each = slots.size();
    for (unsigned lane = 0; lane < kWavefront; ++lane)
      for (unsigned i = 0; i < each; ++i) {
        unsigned k = lane / kSize * each + i;
        values[lane % kSize][k] =
            moe::bf16ToF32(warp.get<uint32_t>(slots[i])[lane]);
        isUndefined[lane % kSize][k] = warp.undefined(slots[i]) >> lane & 1;
      }
  }
};
} // namespace

/// Of C and D: register i of lane l has column l mod 32, and of rows those of
/// four that follow one another, eight apart; lanes from 32 on have the second
/// four of each eight.
static unsigned getRow(unsigned lane, unsigned i) {
  return i / 4 * 8 + lane / kSize * 4 + i % 4;
}

/// Operands: A, B and C. `a`: the values of A, and of B, of a lane.
static Outcome runProduct(Warp &warp, const Instruction &instruction) {
  if (warp.active != allLanes(kWavefront))
    return warp.fail(instruction, "is executed by lanes 0x" +
                                      Twine::utohexstr(warp.active) +
                                      " alone, and multiplies what all have");
  unsigned each = instruction.a;
  Operand a(warp, instruction.operands.slice(0, each));
  Operand b(warp, instruction.operands.slice(each, each));
  for (unsigned i = 0; i < kSums; ++i) {
    Slot from = instruction.operands[2 * each + i];
    LaneMask undefined = warp.undefined(from);
    float result[kWavefront];
    for (unsigned lane = 0; lane < kWavefront; ++lane) {
      unsigned row = getRow(lane, i), column = lane % kSize;
      double sum = warp.get<float>(from)[lane];
      bool isUndefined = false;
      for (unsigned k = 0; k < 2 * each; ++k) {
        sum += a.values[row][k] * b.values[column][k];
        isUndefined |= a.isUndefined[row][k] || b.isUndefined[column][k];
      }
      result[lane] = float(sum);
      undefined |= LaneMask(isUndefined) << lane;
    }
    Slot to = instruction.results[i];
    std::copy_n(result, kWavefront, warp.get<float>(to));
    warp.undefined(to) = undefined;
  }
  return Outcome::Next;
}

/// `each`: the values of an operand that a lane has.
template <unsigned each>
static LogicalResult decodeProduct(Decoder &decoder, Operation *op) {
  if (op->getNumOperands() != 6)
    return failure();
  // Broadcasts, and changes of signs or lanes.
  for (Value option : op->getOperands().drop_front(3))
    if (!matchPattern(option, m_Zero()))
      return failure();
  SmallVector<Slot> operands;
  for (Value operand : op->getOperands().take_front(3))
    llvm::append_range(operands, decoder.get(operand));
  if (operands.size() != 2 * each + kSums ||
      getWidth(getElementTypeOrSelf(op->getOperand(0).getType())) != 16)
    return failure();
  decoder.emit(runProduct, op, decoder.define(op->getResult(0)), operands,
               each);
  return success();
}

void moe::reference::simt::addROCDLProductInstructions(
    InstructionTable &table) {
  table.add(ROCDL::mfma_f32_32x32x8bf16_1k::getOperationName(),
            decodeProduct<4>);
  table.add(ROCDL::mfma_f32_32x32x16_bf16::getOperationName(),
            decodeProduct<8>);
}
