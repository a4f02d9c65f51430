//===- NVVMBits.cpp - Bits and bytes of words, of NVIDIA's ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "ScalarInstructions.h"
#include "Warp.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "moe-mlir/Support/FloatConversions.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace moe::reference::simt;

/// lop3: bit i of `a` where the bits of the operands are those of i, the first
/// the highest.
static Outcome runLogic(Warp &warp, const Instruction &instruction) {
  const uint32_t *words[3];
  uint32_t undefined = 0;
  for (unsigned i = 0; i < 3; ++i) {
    words[i] = warp.get<uint32_t>(instruction.operands[i]);
    undefined |= warp.undefined(instruction.operands[i]);
  }
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    uint32_t bits = 0;
    for (unsigned bit = 0; bit < 32; ++bit) {
      unsigned which = 0;
      for (const uint32_t *word : words)
        which = which << 1 | (word[lane] >> bit & 1);
      bits |= uint32_t(instruction.a >> which & 1) << bit;
    }
    result[lane] = bits;
  }
  warp.undefined(instruction.results[0]) = undefined;
  return Outcome::Next;
}

LogicalResult moe::reference::simt::decodeBitLogic(Decoder &decoder,
                                                   Operation *operation) {
  auto op = cast<LLVM::InlineAsmOp>(operation);
  StringRef text = op.getAsmString().trim();
  unsigned table;
  if (!text.consume_front("lop3.b32 $0, $1, $2, $3, ") ||
      !text.consume_back(";") || text.getAsInteger(10, table) || table > 255 ||
      op.getConstraints() != "=r,r,r,r" || op->getNumOperands() != 3)
    return failure();
  SmallVector<Slot> operands;
  for (Value operand : op->getOperands())
    operands.push_back(decoder.getScalar(operand));
  decoder.emit(runLogic, op, decoder.define(op->getResult(0)), operands, table);
  return success();
}

/// prmt: bytes of two words, the first of them lowest. Four bits say which one;
/// the highest asks for its sign in all bits.
static Outcome runPermuteBytes(Warp &warp, const Instruction &instruction) {
  const uint32_t *low = warp.get<uint32_t>(instruction.operands[0]);
  const uint32_t *high = warp.get<uint32_t>(instruction.operands[1]);
  const uint32_t *selector = warp.get<uint32_t>(instruction.operands[2]);
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    uint64_t bytes = low[lane] | uint64_t(high[lane]) << 32;
    uint32_t chosen = 0;
    for (unsigned i = 0; i < 4; ++i) {
      unsigned which = selector[lane] >> (4 * i) & 15;
      uint32_t byte = bytes >> (which % 8 * 8) & 255;
      if (which >= 8)
        byte = byte & 128 ? 255 : 0;
      chosen |= byte << (8 * i);
    }
    result[lane] = chosen;
  }
  return Outcome::Next;
}

static LogicalResult decodePermute(Decoder &decoder, Operation *op) {
  auto permute = cast<NVVM::PermuteOp>(op);
  if (permute.getMode() != NVVM::PermuteMode::DEFAULT || !permute.getHi())
    return failure();
  return decoder.emitElements(runPermuteBytes, op);
}

/// cvt.rn.satfinite.e4m3x2.f32: the first operand becomes the upper byte. What
/// is beyond the largest number, infinities among them, becomes that; NaN stays
/// NaN.
static Outcome runToE4M3(Warp &warp, const Instruction &instruction) {
  constexpr float largest = 448;
  auto convert = [&](float value) -> uint32_t {
    if (std::isnan(value))
      return 0x7f;
    return moe::f32ToF8E4M3(std::clamp(value, -largest, largest));
  };
  const float *high = warp.get<float>(instruction.operands[0]);
  const float *low = warp.get<float>(instruction.operands[1]);
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    result[lane] = convert(high[lane]) << 8 | convert(low[lane]);
  return Outcome::Next;
}

static LogicalResult decodeToE4M3(Decoder &decoder, Operation *operation) {
  auto op = cast<NVVM::ConvertF32x2ToF8x2Op>(operation);
  if (!isa<Float8E4M3FNType>(op.getDstTy()) ||
      !op.getDst().getType().isInteger(16) || op.getRelu() ||
      op.getRnd() != NVVM::FPRoundingMode::RN ||
      op.getSat() != NVVM::SaturationMode::SATFINITE)
    return failure();
  return decoder.emitElements(runToE4M3, op);
}

void moe::reference::simt::addNVVMBitInstructions(InstructionTable &table) {
  table.add(NVVM::ConvertF32x2ToF8x2Op::getOperationName(), decodeToE4M3);
  table.add(NVVM::PermuteOp::getOperationName(), decodePermute);
}
