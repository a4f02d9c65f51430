//===- ROCDLThreads.cpp - Threads of AMD's GPUs -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Numbers of threads and blocks, what the lanes of a wavefront tell each other,
// and the barrier of a block, by AMD's documents of the instruction set of
// CDNA 3. Of memory, by LLVM's model for AMDGPU: the barrier itself orders
// nothing. What a wavefront did before a release is seen by those that acquire
// behind a barrier.
//
//===----------------------------------------------------------------------===//

#include "Access.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include <cstring>

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
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  std::fill_n(result, warp.numLanes, warp.block.number);
  return Outcome::Next;
}

/// Of 64 bits.
static Outcome runBlocks(Warp &warp, const Instruction &instruction) {
  uint64_t *result = warp.get<uint64_t>(instruction.results[0]);
  std::fill_n(result, warp.numLanes, warp.block.launch.numBlocks);
  return Outcome::Next;
}

template <typename Op>
static void addNumber(InstructionTable &table, Execute run, unsigned width) {
  table.add(Op::getOperationName(), [=](Decoder &decoder, Operation *op) {
    if (getWidth(op->getResult(0).getType()) != width)
      return failure();
    return decoder.emitElements(run, op);
  });
}

//===----------------------------------------------------------------------===//
// Lanes
//===----------------------------------------------------------------------===//

/// Gives each active lane the word of another one, which `find` says. The
/// hardware gives 0 for a lane that does not execute it; nobody wants that.
template <typename F>
static Outcome exchange(Warp &warp, const Instruction &instruction, Slot from,
                        F find) {
  if (warp.ticket(from) && !warp.checkDefined(instruction, from, ""))
    return Outcome::Fail;
  const uint32_t *value = warp.get<uint32_t>(from);
  uint32_t result[kMostLanes] = {};
  LaneMask undefined = 0;
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    unsigned other = find(lane);
    if (isFine && !(warp.active >> other & 1)) {
      isFine = false;
      warp.fail(instruction,
                "reads lane " + Twine(other) + ", which does not execute it",
                lane);
    }
    result[lane] = value[other];
    undefined |= (warp.undefined(from) >> other & 1) << lane;
  });
  Slot to = instruction.results[0];
  std::copy_n(result, warp.numLanes, warp.get<uint32_t>(to));
  warp.undefined(to) = undefined;
  return isFine ? Outcome::Next : Outcome::Fail;
}

/// DS_SWIZZLE_B32 with bit 15 of the offset 0: among 32 lanes, the number of
/// the one that is read is `((lane & and) | or) ^ xor`, of bits 0 to 4, 5 to 9
/// and 10 to 14. `a`: the offset.
static Outcome runSwizzle(Warp &warp, const Instruction &instruction) {
  unsigned offset = instruction.a;
  return exchange(warp, instruction, instruction.operands[0],
                  [&](unsigned lane) {
                    unsigned own = lane & 31;
                    own = ((own & offset) | offset >> 5) ^ offset >> 10;
                    return (lane & 32) | (own & 31);
                  });
}

static LogicalResult decodeSwizzle(Decoder &decoder, Operation *op) {
  auto swizzle = cast<ROCDL::DsSwizzleOp>(op);
  // A constant of the instruction.
  auto constant = swizzle.getOffset().getDefiningOp();
  IntegerAttr offset =
      constant ? constant->getAttrOfType<IntegerAttr>("value") : IntegerAttr();
  if (!offset || offset.getInt() < 0 || offset.getInt() >> 15)
    return failure();
  decoder.emit(runSwizzle, op, decoder.define(swizzle.getRes()),
               decoder.getScalar(swizzle.getSrc()), offset.getInt());
  return success();
}

/// DS_BPERMUTE_B32: a lane reads the one whose number its index has in bits 2
/// to
/// 7. Operands: index, value.
static Outcome runPermute(Warp &warp, const Instruction &instruction) {
  if (!warp.checkDefined(instruction, instruction.operands[0], "the lane"))
    return Outcome::Fail;
  const uint32_t *index = warp.get<uint32_t>(instruction.operands[0]);
  return exchange(warp, instruction, instruction.operands[1],
                  [&](unsigned lane) { return index[lane] >> 2 & 63; });
}

static Outcome runBallot(Warp &warp, const Instruction &instruction) {
  if (!warp.checkDefined(instruction, instruction.operands[0],
                         "what is voted on"))
    return Outcome::Fail;
  const uint32_t *predicate = warp.get<uint32_t>(instruction.operands[0]);
  LaneMask lanes = 0;
  forEachLane(warp.active, [&](unsigned lane) {
    lanes |= LaneMask(predicate[lane] & 1) << lane;
  });
  std::fill_n(warp.get<uint64_t>(instruction.results[0]), warp.numLanes, lanes);
  warp.undefined(instruction.results[0]) = 0;
  return Outcome::Next;
}

/// V_READFIRSTLANE_B32: the word of the lowest active lane, for all.
static Outcome runReadFirst(Warp &warp, const Instruction &instruction) {
  Slot from = instruction.operands[0], to = instruction.results[0];
  if (warp.ticket(from) && !warp.checkDefined(instruction, from, ""))
    return Outcome::Fail;
  unsigned lane = firstLane(warp.active);
  uint32_t word = warp.get<uint32_t>(from)[lane];
  bool isUndefined = warp.undefined(from) >> lane & 1;
  std::fill_n(warp.get<uint32_t>(to), warp.numLanes, word);
  warp.undefined(to) = isUndefined ? allLanes(warp.numLanes) : 0;
  return Outcome::Next;
}

//===----------------------------------------------------------------------===//
// Memory and blocks
//===----------------------------------------------------------------------===//

/// `a`: whether it releases, or else acquires.
static Outcome runFence(Warp &warp, const Instruction &instruction) {
  if (instruction.a) {
    warp.released = warp.knowledge;
    warp.release();
  } else {
    warp.knowledge.join(warp.offered);
    ++warp.step;
  }
  return Outcome::Next;
}

static LogicalResult decodeFence(Decoder &decoder, Operation *op) {
  auto fence = cast<LLVM::FenceOp>(op);
  bool releases = fence.getOrdering() == LLVM::AtomicOrdering::release;
  if (fence.getSyncscope() != "workgroup" ||
      (!releases && fence.getOrdering() != LLVM::AtomicOrdering::acquire))
    return failure();
  decoder.emit(runFence, op, {}, {}, releases);
  return success();
}

static Outcome runBarrier(Warp &warp, const Instruction &instruction) {
  ThreadBlock &block = warp.block;
  if (warp.active != warp.exists)
    return warp.fail(instruction, "is executed by lanes 0x" +
                                      Twine::utohexstr(warp.active) +
                                      " alone: all of a wavefront have to");
  if (!warp.hasArrived) {
    warp.hasArrived = true;
    warp.barrierRound = block.barrierRounds;
    block.barrierCurrent.join(warp.released);
    if (++block.barrierArrived == block.warps.size()) {
      block.barrierCompleted = block.barrierCurrent;
      block.barrierArrived = 0;
      ++block.barrierRounds;
      block.notify();
    }
  }
  if (warp.barrierRound == block.barrierRounds) {
    warp.waitsFor = "all wavefronts of the block, of which " +
                    std::to_string(block.barrierArrived) + " of " +
                    std::to_string(block.warps.size()) + " are there";
    return Outcome::Wait;
  }
  warp.hasArrived = false;
  warp.offered.join(block.barrierCompleted);
  return Outcome::Next;
}

//===----------------------------------------------------------------------===//
// Assembly as a text
//===----------------------------------------------------------------------===//

/// Operands: the mask of lanes, the address, and the word.
static Outcome runMaskedStore(Warp &warp, const Instruction &instruction) {
  Slot maskSlot = instruction.operands[0], addresses = instruction.operands[1];
  if (!warp.checkDefined(instruction, maskSlot, "the mask of lanes"))
    return Outcome::Fail;
  // It is in scalar registers, one for all lanes.
  const uint64_t *masks = warp.get<uint64_t>(maskSlot);
  LaneMask mask = masks[firstLane(warp.active)];
  const uint32_t *word = warp.get<uint32_t>(instruction.operands[2]);
  LaneMask undefined = warp.undefined(instruction.operands[2]);
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    if (isFine && masks[lane] != mask) {
      isFine = false;
      warp.fail(instruction, "has a mask that is not the same in all lanes",
                lane);
    }
    if (!isFine || !(mask >> lane & 1))
      return;
    if (warp.undefined(addresses) >> lane & 1) {
      isFine = warp.checkDefined(instruction, addresses, "the address");
      return;
    }
    isFine = Access{warp, instruction, int(lane)}.write(
        kGlobalSpace, warp.get<uint64_t>(addresses)[lane], 4, &word[lane],
        !(undefined >> lane & 1), 4);
  });
  return isFine ? Outcome::Next : Outcome::Fail;
}

/// Exec is what it was behind the text; of its result, that, nobody asks.
static bool isMaskedStore(LLVM::InlineAsmOp assembly) {
  SmallVector<StringRef> lines;
  assembly.getAsmString().split(lines, '\n');
  return lines.size() == 3 && lines[0].trim() == "s_and_saveexec_b64 $0, $1" &&
         lines[1].trim() == "global_store_dword $2, $3, off" &&
         lines[2].trim() == "s_mov_b64 exec, $0" &&
         assembly.getConstraints().starts_with("=&s,s,v,v,") &&
         assembly->getNumOperands() == 3 && assembly->use_empty();
}

void moe::reference::simt::addROCDLThreadInstructions(InstructionTable &table) {
  addNumber<ROCDL::ThreadIdXOp>(table, runThread, 32);
  addNumber<ROCDL::BlockIdXOp>(table, runBlock, 32);
  addNumber<ROCDL::GridDimXOp>(table, runBlocks, 64);
  table.add(ROCDL::DsSwizzleOp::getOperationName(), decodeSwizzle);
  table.add(ROCDL::DsBpermuteOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              decoder.emit(runPermute, op, decoder.define(op->getResult(0)),
                           {decoder.getScalar(op->getOperand(0)),
                            decoder.getScalar(op->getOperand(1))});
              return success();
            });
  table.add(ROCDL::BallotOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              if (getWidth(op->getResult(0).getType()) != 64)
                return failure();
              decoder.emit(runBallot, op, decoder.define(op->getResult(0)),
                           decoder.get(op->getOperand(0)));
              return success();
            });
  table.add(ROCDL::ReadfirstlaneOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              if (getWidth(op->getResult(0).getType()) != 32)
                return failure();
              decoder.emit(runReadFirst, op, decoder.define(op->getResult(0)),
                           decoder.get(op->getOperand(0)));
              return success();
            });
  table.add(ROCDL::SBarrierOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              decoder.emit(runBarrier, op, {}, {});
              return success();
            });
  // For the code generator alone.
  table.add(ROCDL::SchedBarrier::getOperationName(),
            [](Decoder &, Operation *) { return success(); });
  table.add(LLVM::FenceOp::getOperationName(), decodeFence);
  // Texts of others are what they were.
  InstructionTable::Decode others =
      *table.find(LLVM::InlineAsmOp::getOperationName());
  table.add(LLVM::InlineAsmOp::getOperationName(),
            [others](Decoder &decoder, Operation *op) -> LogicalResult {
              if (!isMaskedStore(cast<LLVM::InlineAsmOp>(op)))
                return others(decoder, op);
              SmallVector<Slot> operands;
              for (Value operand : op->getOperands())
                operands.push_back(decoder.getScalar(operand));
              decoder.emit(runMaskedStore, op, {}, operands);
              return success();
            });
}
