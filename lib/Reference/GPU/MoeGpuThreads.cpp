//===- MoeGpuThreads.cpp - Threads of kernels for Vulkan --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The kernels of Vulkan in the form before SPIR-V. A warp is a subgroup here,
// whose width is the device's: whatever more than one subgroup does is ordered
// by barriers of the block alone. Values that threads exchange are in shared
// memory in this form; the operations that say so have no meaning here.
//
//===----------------------------------------------------------------------===//

#include "Access.h"
#include "moe_gpu/MoeGpu.h"

using namespace mlir;
using namespace moe::reference::simt;

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

static Outcome runThread(Warp &warp, const Instruction &instruction) {
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  for (unsigned lane = 0; lane < warp.numLanes; ++lane)
    result[lane] = warp.number * warp.numLanes + lane;
  return Outcome::Next;
}

static Outcome runBlock(Warp &warp, const Instruction &instruction) {
  std::fill_n(warp.get<uint32_t>(instruction.results[0]), warp.numLanes,
              uint32_t(warp.block.number));
  return Outcome::Next;
}

static Outcome runNumBlocks(Warp &warp, const Instruction &instruction) {
  std::fill_n(warp.get<uint32_t>(instruction.results[0]), warp.numLanes,
              uint32_t(warp.block.launch.numBlocks));
  return Outcome::Next;
}

template <typename Op>
static void addNumber(InstructionTable &table, Execute run) {
  table.add(Op::getOperationName(), [=](Decoder &decoder, Operation *op) {
    return decoder.emitElements(run, op);
  });
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

/// It orders memory of both kinds, for all threads of the block.
static Outcome runBarrier(Warp &warp, const Instruction &instruction) {
  ThreadBlock &block = warp.block;
  if (warp.active != warp.exists)
    return warp.fail(instruction, "is executed by lanes 0x" +
                                      Twine::utohexstr(warp.active) +
                                      " alone: all threads of a block have to");
  if (!warp.hasArrived) {
    warp.hasArrived = true;
    warp.barrierRound = block.barrierRounds;
    block.barrierCurrent.join(warp.knowledge);
    warp.release();
    if (++block.barrierArrived == block.warps.size()) {
      block.barrierCompleted = block.barrierCurrent;
      block.barrierArrived = 0;
      ++block.barrierRounds;
      block.notify();
    }
  }
  if (warp.barrierRound == block.barrierRounds) {
    warp.waitsFor = "all subgroups of the block, of which " +
                    std::to_string(block.barrierArrived) + " of " +
                    std::to_string(block.warps.size()) + " are there";
    return Outcome::Wait;
  }
  warp.hasArrived = false;
  ++warp.step;
  warp.knowledge.join(block.barrierCompleted);
  return Outcome::Next;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Operands: condition, value, address, of which nothing is known where the
/// condition does not hold.
static Outcome runStoreIf(Warp &warp, const Instruction &instruction) {
  Slot condition = instruction.operands[0], value = instruction.operands[1],
       address = instruction.operands[2];
  if (!warp.checkDefined(instruction, condition, "the condition of a store"))
    return Outcome::Fail;
  const uint32_t *holds = warp.get<uint32_t>(condition);
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    if (!isFine || !(holds[lane] & 1))
      return;
    if (warp.undefined(address) >> lane & 1) {
      isFine = warp.checkDefined(instruction, address, "the address");
      return;
    }
    isFine = Access{warp, instruction, int(lane)}.write(
        kGlobalSpace, warp.get<uint64_t>(address)[lane], 4,
        &warp.get<uint32_t>(value)[lane], !(warp.undefined(value) >> lane & 1),
        4);
  });
  return isFine ? Outcome::Next : Outcome::Fail;
}

/// `a`: the table.
static Outcome runLookUp(Warp &warp, const Instruction &instruction) {
  const auto &table =
      *reinterpret_cast<const SmallVector<int32_t> *>(instruction.a);
  const uint32_t *index = warp.get<uint32_t>(instruction.operands[0]);
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  LaneMask undefined = warp.undefined(instruction.operands[0]);
  bool isFine = true;
  forEachLane(warp.active & ~undefined, [&](unsigned lane) {
    if (isFine && index[lane] >= table.size()) {
      warp.fail(instruction,
                "index " + Twine(index[lane]) + " is out of the bounds of " +
                    Twine(table.size()) + " entries",
                lane);
      isFine = false;
    }
    if (isFine)
      result[lane] = table[index[lane]];
  });
  warp.undefined(instruction.results[0]) = undefined;
  return isFine ? Outcome::Next : Outcome::Fail;
}

void moe::reference::simt::addMoeGpuInstructions(InstructionTable &table) {
  addNumber<moegpu::ThreadOp>(table, runThread);
  addNumber<moegpu::BlockOp>(table, runBlock);
  addNumber<moegpu::NumBlocksOp>(table, runNumBlocks);
  table.add(moegpu::SharedOp::getOperationName(), [](Decoder &decoder,
                                                     Operation *op) {
    decoder.set(op->getResult(0), decoder.addConstant(SharedMemory::kBase, 64));
    return success();
  });
  table.add(moegpu::BarrierOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              decoder.emit(runBarrier, op, {}, {});
              return success();
            });
  table.add(moegpu::StoreIfOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              SmallVector<Slot> operands;
              for (Value operand : op->getOperands())
                operands.push_back(decoder.getScalar(operand));
              decoder.emit(runStoreIf, op, {}, operands);
              return success();
            });
  table.add(moegpu::LookUpOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              auto lookUp = cast<moegpu::LookUpOp>(op);
              SmallVector<int32_t> entries(lookUp.getTable());
              decoder.emit(runLookUp, op, decoder.define(lookUp.getEntry()),
                           decoder.getScalar(lookUp.getIndex()),
                           decoder.keepObject(std::move(entries)));
              return success();
            });
}
