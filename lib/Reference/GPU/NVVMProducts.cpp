//===- NVVMProducts.cpp - Products of matrices on NVIDIA's GPUs -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Products of warps, and loads of their operands. The hardware does not say in
// which order it adds up: here a product's terms are added in f64 and the sum
// is rounded to f32.
//
//===----------------------------------------------------------------------===//

#include "Access.h"
#include "Fragments.h"
#include "WarpgroupProducts.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "moe-mlir/Support/FloatConversions.h"

using namespace mlir;
using namespace moe::reference::simt;

static bool checkWhole(Warp &warp, const Instruction &instruction) {
  if (warp.active == kAllLanes)
    return true;
  warp.fail(instruction, "is executed by lanes 0x" +
                             Twine::utohexstr(warp.active) +
                             " alone: all of a warp have to");
  return false;
}

/// m16n8k16. Operands: four registers of A and two of B, two values each, and
/// four sums. `a`: whether values are bf16, or else f16.
static Outcome runMma(Warp &warp, const Instruction &instruction) {
  if (!checkWhole(warp, instruction))
    return Outcome::Fail;
  for (Slot slot : instruction.operands)
    if (warp.ticket(slot) && !warp.checkDefined(instruction, slot, ""))
      return Outcome::Fail;
  struct Element {
    double value;
    bool isUndefined;
  };
  Element a[16][16], b[16][8];
  auto get = [&](unsigned first, unsigned lane, unsigned element) {
    Slot slot = instruction.operands[first + element / 2];
    uint16_t bits =
        warp.get<uint32_t>(slot)[lane] >> (element % 2 * 16) & 0xffff;
    float value = instruction.a ? moe::bf16ToF32(bits) : moe::f16ToF32(bits);
    return Element{value, bool(warp.undefined(slot) >> lane & 1)};
  };
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    for (unsigned i = 0; i < 8; ++i) {
      Position at = getMmaA(lane, i);
      a[at.row][at.column] = get(0, lane, i);
    }
    for (unsigned i = 0; i < 4; ++i) {
      Position at = getMmaB(lane, i);
      b[at.row][at.column] = get(4, lane, i);
    }
  }
  for (unsigned i = 0; i < 4; ++i) {
    Slot from = instruction.operands[6 + i], to = instruction.results[i];
    uint32_t undefined = warp.undefined(from);
    float result[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      Position at = getMmaC(lane, i);
      double sum = warp.get<float>(from)[lane];
      bool isUndefined = false;
      for (unsigned k = 0; k < 16; ++k) {
        sum += a[at.row][k].value * b[k][at.column].value;
        isUndefined |= a[at.row][k].isUndefined || b[k][at.column].isUndefined;
      }
      result[lane] = float(sum);
      undefined |= uint32_t(isUndefined) << lane;
    }
    std::copy(result, result + kLanes, warp.get<float>(to));
    warp.undefined(to) = undefined;
  }
  return Outcome::Next;
}

static LogicalResult decodeMma(Decoder &decoder, Operation *op) {
  auto mma = cast<NVVM::MmaOp>(op);
  NVVM::MMAShapeAttr shape = mma.getShape();
  auto a = mma.getMultiplicandAPtxType(), b = mma.getMultiplicandBPtxType();
  if (shape.getM() != 16 || shape.getN() != 8 || shape.getK() != 16 ||
      mma.getLayoutA() != NVVM::MMALayout::row ||
      mma.getLayoutB() != NVVM::MMALayout::col || !a || a != b ||
      (*a != NVVM::MMATypes::bf16 && *a != NVVM::MMATypes::f16))
    return failure();
  SmallVector<Slot> operands;
  for (Value operand : op->getOperands()) {
    if (decoder.get(operand).size() != 1 || getWidth(operand.getType()) != 32)
      return failure();
    operands.push_back(decoder.getScalar(operand));
  }
  if (operands.size() != 10 || !mma.getOperandC()[0].getType().isF32())
    return failure();
  decoder.emit(runMma, op, decoder.define(mma.getRes()), operands,
               *a == NVVM::MMATypes::bf16);
  return success();
}

/// Matrices of 8 by 8 values of 16 bits; lane 8 i + r has the address of row r
/// of matrix i. `a`: transposed.
static Outcome runLoadMatrix(Warp &warp, const Instruction &instruction) {
  if (!checkWhole(warp, instruction) ||
      !warp.checkDefined(instruction, instruction.operands[0], "the address"))
    return Outcome::Fail;
  const uint64_t *address = warp.get<uint64_t>(instruction.operands[0]);
  for (auto [i, slot] : llvm::enumerate(instruction.results)) {
    uint16_t values[8][8];
    bool isSet[8];
    for (unsigned row = 0; row < 8; ++row)
      if (!Access{warp, instruction, int(i * 8 + row)}.read(
              kSharedSpace, address[i * 8 + row], 16, values[row], isSet[row],
              16))
        return Outcome::Fail;
    uint32_t undefined = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      unsigned row = lane / 4, column = lane % 4 * 2;
      uint32_t low = instruction.a ? values[column][row] : values[row][column];
      uint32_t high =
          instruction.a ? values[column + 1][row] : values[row][column + 1];
      warp.get<uint32_t>(slot)[lane] = low | high << 16;
      bool isDefined =
          instruction.a ? isSet[column] && isSet[column + 1] : isSet[row];
      undefined |= uint32_t(!isDefined) << lane;
    }
    warp.undefined(slot) = undefined;
  }
  return Outcome::Next;
}

static LogicalResult decodeLoadMatrix(Decoder &decoder, Operation *op) {
  auto load = cast<NVVM::LdMatrixOp>(op);
  if (load.getShape().getM() != 8 || load.getShape().getN() != 8 ||
      load.getEltType() != NVVM::LdStMatrixEltType::B16)
    return failure();
  decoder.emit(runLoadMatrix, op, decoder.define(load.getRes()),
               decoder.get(load.getPtr()),
               load.getLayout() == NVVM::MMALayout::col);
  return success();
}

static LogicalResult decodeWgmma(Decoder &decoder, Operation *op) {
  auto wgmma = cast<NVVM::WgmmaMmaAsyncOp>(op);
  NVVM::MMAShapeAttr shape = wgmma.getShape();
  Slots sums = decoder.get(wgmma.getInouts());
  NVVM::WGMMATypes type = wgmma.getTypeA();
  bool isE4M3 = type == NVVM::WGMMATypes::e4m3;
  if (shape.getM() != 64 || shape.getK() != (isE4M3 ? 32 : 16) ||
      shape.getN() % 8 || sums.size() != size_t(shape.getN() / 2) ||
      (!isE4M3 && type != NVVM::WGMMATypes::bf16) || wgmma.getTypeB() != type ||
      wgmma.getTypeD() != NVVM::WGMMATypes::f32 ||
      wgmma.getLayoutA() != NVVM::MMALayout::row ||
      wgmma.getLayoutB() != NVVM::MMALayout::col ||
      wgmma.getScaleA() != NVVM::WGMMAScaleIn::one ||
      wgmma.getScaleB() != NVVM::WGMMAScaleIn::one)
    return failure();
  SmallVector<Slot> operands{decoder.getScalar(wgmma.getDescriptorA()),
                             decoder.getScalar(wgmma.getDescriptorB())};
  llvm::append_range(operands, sums);
  decoder.emit(runWarpgroupProduct, op, decoder.define(wgmma.getResults()),
               operands, shape.getN(),
               ProductKind{wgmma.getScaleD() == NVVM::WGMMAScaleOut::one,
                           isE4M3 ? ProductType::E4M3 : ProductType::BF16}
                   .getBits());
  return success();
}

void moe::reference::simt::addNVVMProductInstructions(InstructionTable &table) {
  table.add(NVVM::MmaOp::getOperationName(), decodeMma);
  table.add(NVVM::LdMatrixOp::getOperationName(), decodeLoadMatrix);
  table.add(NVVM::WgmmaMmaAsyncOp::getOperationName(), decodeWgmma);
  auto plain = [](Execute run) {
    return [run](Decoder &decoder, Operation *op) {
      decoder.emit(run, op, {}, {});
      return success();
    };
  };
  table.add(NVVM::WgmmaFenceAlignedOp::getOperationName(),
            plain(runWarpgroupFence));
  table.add(NVVM::WgmmaGroupSyncAlignedOp::getOperationName(),
            plain(runWarpgroupCommit));
  table.add(NVVM::WgmmaWaitGroupSyncOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              decoder.emit(runWarpgroupWait, op, {}, {},
                           cast<NVVM::WgmmaWaitGroupSyncOp>(op).getGroup());
              return success();
            });
}
