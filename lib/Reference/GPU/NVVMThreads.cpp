//===- NVVMThreads.cpp - Threads of NVIDIA's GPUs ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Numbers of threads and blocks, what the lanes of a warp tell each other, the
// barrier of a block, and the registers it shares out.
//
//===----------------------------------------------------------------------===//

#include "Access.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include <cstring>

using namespace mlir;
using namespace moe::reference::simt;

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

namespace {
enum class Number { Thread, Threads, Block, Blocks, Lane, Warp };
} // namespace

template <Number number>
static Outcome runNumber(Warp &warp, const Instruction &instruction) {
  uint32_t *result = warp.get<uint32_t>(instruction.results[0]);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    switch (number) {
    case Number::Thread:
      result[lane] = warp.number * kLanes + lane;
      break;
    case Number::Threads:
      result[lane] = warp.block.launch.numThreads;
      break;
    case Number::Block:
      result[lane] = warp.block.number;
      break;
    case Number::Blocks:
      result[lane] = warp.block.launch.numBlocks;
      break;
    case Number::Lane:
      result[lane] = lane;
      break;
    case Number::Warp:
      result[lane] = warp.number;
      break;
    }
  return Outcome::Next;
}

template <typename Op, Number number>
static void addNumber(InstructionTable &table) {
  table.add(Op::getOperationName(), [](Decoder &decoder, Operation *op) {
    return decoder.emitElements(runNumber<number>, op);
  });
}

//===----------------------------------------------------------------------===//
// Lanes
//===----------------------------------------------------------------------===//

/// Sees that a mask of lanes names those that are here.
static bool checkMembers(Warp &warp, const Instruction &instruction,
                         Slot slot) {
  if (!warp.checkDefined(instruction, slot, "the mask of lanes"))
    return false;
  uint32_t members = warp.get<uint32_t>(slot)[firstLane(warp.active)];
  if (members == warp.active || (members & warp.exists) == warp.active)
    return true;
  warp.fail(instruction, "names lanes 0x" + Twine::utohexstr(members) +
                             ", of which 0x" + Twine::utohexstr(warp.active) +
                             " execute it");
  return false;
}

/// Operands: mask, value, offset, clamp.
template <NVVM::ShflKind kind>
static Outcome runShuffle(Warp &warp, const Instruction &instruction) {
  if (!checkMembers(warp, instruction, instruction.operands[0]) ||
      !warp.checkDefined(instruction, instruction.operands[2], "the lane") ||
      !warp.checkDefined(instruction, instruction.operands[3], "the clamp"))
    return Outcome::Fail;
  Slot from = instruction.operands[1], to = instruction.results[0];
  if (warp.ticket(from) && !warp.checkDefined(instruction, from, ""))
    return Outcome::Fail;
  const uint32_t *value = warp.get<uint32_t>(from);
  const uint32_t *offset = warp.get<uint32_t>(instruction.operands[2]);
  const uint32_t *clamp = warp.get<uint32_t>(instruction.operands[3]);
  uint32_t result[kLanes] = {}, valid[kLanes] = {}, undefined = 0;
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    // In the words of PTX: c has the clamp in bits 0 to 4 and a mask of
    // segments in bits 8 to 12.
    unsigned b = offset[lane] & 31, segments = clamp[lane] >> 8 & 31;
    unsigned most = (lane & segments) | (clamp[lane] & 31 & ~segments);
    int other = 0;
    bool isValid = true;
    switch (kind) {
    case NVVM::ShflKind::up:
      other = int(lane) - int(b);
      isValid = other >= int(most);
      break;
    case NVVM::ShflKind::down:
      other = lane + b;
      isValid = other <= int(most);
      break;
    case NVVM::ShflKind::bfly:
      other = lane ^ b;
      isValid = other <= int(most);
      break;
    case NVVM::ShflKind::idx:
      other = (lane & segments) | (b & ~segments & 31);
      isValid = other <= int(most);
      break;
    }
    if (!isValid)
      other = lane;
    if (isFine && !(warp.active >> other & 1)) {
      isFine = false;
      warp.fail(instruction,
                "reads lane " + Twine(other) + ", which does not execute it",
                lane);
    }
    result[lane] = value[other];
    valid[lane] = isValid;
    undefined |= (warp.undefined(from) >> other & 1) << lane;
  });
  std::memcpy(warp.get<uint32_t>(to), result, sizeof(result));
  warp.undefined(to) = undefined;
  if (instruction.results.size() > 1)
    std::memcpy(warp.get<uint32_t>(instruction.results[1]), valid,
                sizeof(valid));
  return isFine ? Outcome::Next : Outcome::Fail;
}

static LogicalResult decodeShuffle(Decoder &decoder, Operation *op) {
  auto shuffle = cast<NVVM::ShflOp>(op);
  if (getWidth(shuffle.getVal().getType()) != 32)
    return failure();
  Execute run = nullptr;
  switch (shuffle.getKind()) {
  case NVVM::ShflKind::up:
    run = runShuffle<NVVM::ShflKind::up>;
    break;
  case NVVM::ShflKind::down:
    run = runShuffle<NVVM::ShflKind::down>;
    break;
  case NVVM::ShflKind::bfly:
    run = runShuffle<NVVM::ShflKind::bfly>;
    break;
  case NVVM::ShflKind::idx:
    run = runShuffle<NVVM::ShflKind::idx>;
    break;
  }
  SmallVector<Slot> operands;
  for (Value operand : op->getOperands())
    operands.push_back(decoder.getScalar(operand));
  decoder.emit(run, op, decoder.define(shuffle.getRes()), operands);
  return success();
}

static Outcome runVote(Warp &warp, const Instruction &instruction) {
  if (!checkMembers(warp, instruction, instruction.operands[0]) ||
      !warp.checkDefined(instruction, instruction.operands[1],
                         "what is voted on"))
    return Outcome::Fail;
  const uint32_t *predicate = warp.get<uint32_t>(instruction.operands[1]);
  uint32_t lanes = 0, result = 0;
  forEachLane(warp.active,
              [&](unsigned lane) { lanes |= (predicate[lane] & 1) << lane; });
  switch (static_cast<NVVM::VoteSyncKind>(instruction.a)) {
  case NVVM::VoteSyncKind::ballot:
    result = lanes;
    break;
  case NVVM::VoteSyncKind::any:
    result = lanes != 0;
    break;
  case NVVM::VoteSyncKind::all:
    result = lanes == warp.active;
    break;
  case NVVM::VoteSyncKind::uni:
    result = lanes == 0 || lanes == warp.active;
    break;
  }
  for (unsigned lane = 0; lane < kLanes; ++lane)
    warp.get<uint32_t>(instruction.results[0])[lane] = result;
  warp.undefined(instruction.results[0]) = 0;
  return Outcome::Next;
}

static LogicalResult decodeVote(Decoder &decoder, Operation *op) {
  auto vote = cast<NVVM::VoteSyncOp>(op);
  decoder.emit(
      runVote, op, decoder.define(vote.getRes()),
      {decoder.getScalar(vote.getMask()), decoder.getScalar(vote.getPred())},
      static_cast<int64_t>(vote.getKind()));
  return success();
}

static Outcome runRedux(Warp &warp, const Instruction &instruction) {
  if (!checkMembers(warp, instruction, instruction.operands[0]) ||
      !warp.checkDefined(instruction, instruction.operands[1],
                         "what is reduced"))
    return Outcome::Fail;
  const int32_t *value = warp.get<int32_t>(instruction.operands[1]);
  auto kind = static_cast<NVVM::ReduxKind>(instruction.a);
  std::optional<int32_t> result;
  forEachLane(warp.active, [&](unsigned lane) {
    if (!result)
      result = value[lane];
    else if (kind == NVVM::ReduxKind::ADD)
      result = static_cast<uint32_t>(*result) +
               static_cast<uint32_t>(value[lane]);
    else if (kind == NVVM::ReduxKind::MAX)
      result = std::max(*result, value[lane]);
    else
      result = std::min(*result, value[lane]);
  });
  for (unsigned lane = 0; lane < kLanes; ++lane)
    warp.get<int32_t>(instruction.results[0])[lane] = *result;
  warp.undefined(instruction.results[0]) = 0;
  return Outcome::Next;
}

static LogicalResult decodeRedux(Decoder &decoder, Operation *op) {
  auto redux = cast<NVVM::ReduxOp>(op);
  bool isKnown = redux.getKind() == NVVM::ReduxKind::ADD ||
                 redux.getKind() == NVVM::ReduxKind::MAX ||
                 redux.getKind() == NVVM::ReduxKind::MIN;
  if (!isKnown || !redux.getVal().getType().isInteger(32))
    return failure();
  decoder.emit(runRedux, op, decoder.define(redux.getRes()),
               {decoder.getScalar(redux.getMaskAndClamp()),
                decoder.getScalar(redux.getVal())},
               static_cast<int64_t>(redux.getKind()));
  return success();
}

static Outcome runWarpBarrier(Warp &warp, const Instruction &instruction) {
  if (!checkMembers(warp, instruction, instruction.operands[0]))
    return Outcome::Fail;
  ++warp.step;
  return Outcome::Next;
}

//===----------------------------------------------------------------------===//
// Blocks and grids
//===----------------------------------------------------------------------===//

static Outcome runBarrier(Warp &warp, const Instruction &instruction) {
  ThreadBlock &block = warp.block;
  if (warp.active != warp.exists)
    return warp.fail(instruction, "is executed by lanes 0x" +
                                      Twine::utohexstr(warp.active) +
                                      " alone: all of a warp have to");
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
    warp.waitsFor = "all warps of the block, of which " +
                    std::to_string(block.barrierArrived) + " of " +
                    std::to_string(block.warps.size()) + " are there";
    return Outcome::Wait;
  }
  warp.hasArrived = false;
  ++warp.step;
  warp.knowledge.join(block.barrierCompleted);
  return Outcome::Next;
}

static LogicalResult decodeBarrier(Decoder &decoder, Operation *op) {
  // Number 0, of all threads.
  if (op->getNumOperands() || op->getNumResults())
    return failure();
  decoder.emit(runBarrier, op, {}, {});
  return success();
}

static Outcome runGridWait(Warp &warp, const Instruction &) {
  warp.hasWaitedForGrid = true;
  return Outcome::Next;
}
/// That the next kernel may begin. It counts on those before this one.
static Outcome runGridTrigger(Warp &warp, const Instruction &instruction) {
  if (warp.block.launch.overlaps && !warp.hasWaitedForGrid)
    return warp.fail(instruction, "lets the next kernel begin before it has "
                                  "waited for those before it");
  return Outcome::Next;
}

static LogicalResult decodeGridControl(Decoder &decoder, Operation *op) {
  bool waits = cast<NVVM::GriddepcontrolOp>(op).getKind() ==
               NVVM::GridDepActionKind::wait;
  decoder.emit(waits ? runGridWait : runGridTrigger, op, {}, {});
  return success();
}

/// Changes no value, and reads none; that of a wild address is a mistake.
static Outcome runPrefetch(Warp &warp, const Instruction &instruction) {
  if (!warp.checkDefined(instruction, instruction.operands[0], "the address"))
    return Outcome::Fail;
  const uint64_t *address = warp.get<uint64_t>(instruction.operands[0]);
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    isFine &= warp.block.launch.memory.find(address[lane], 1) != nullptr;
  });
  return isFine ? Outcome::Next
                : warp.fail(instruction, "prefetches out of bounds");
}

static LogicalResult decodePrefetch(Decoder &decoder, Operation *op) {
  auto prefetch = cast<NVVM::PrefetchOp>(op);
  auto type = cast<LLVM::LLVMPointerType>(prefetch.getAddr().getType());
  if (prefetch.getPredicate() || prefetch.getTensormap() ||
      type.getAddressSpace() != kGlobalSpace)
    return failure();
  decoder.emit(runPrefetch, op, {}, decoder.get(prefetch.getAddr()));
  return success();
}

/// `a` registers for each thread from now on; `b`: more than before.
static Outcome runRegisters(Warp &warp, const Instruction &instruction) {
  ThreadBlock &block = warp.block;
  int64_t &own = block.registersOf[warp.number];
  int64_t more = (instruction.a - own) * kLanes;
  if (instruction.b ? more < 0 : more > 0)
    return warp.fail(instruction, "asks for " + Twine(instruction.a) +
                                      " registers, and has " + Twine(own));
  if (more > block.freeRegisters) {
    warp.waitsFor = std::to_string(more) + " registers, of which " +
                    std::to_string(block.freeRegisters) + " are free";
    return Outcome::Wait;
  }
  block.freeRegisters -= more;
  own = instruction.a;
  block.notify();
  return Outcome::Next;
}

static LogicalResult decodeRegisters(Decoder &decoder, Operation *op) {
  auto set = cast<NVVM::SetMaxRegisterOp>(op);
  decoder.emit(runRegisters, op, {}, {}, set.getRegCount(),
               set.getAction() == NVVM::SetMaxRegisterAction::increase);
  return success();
}

//===----------------------------------------------------------------------===//
// PTX as a text
//===----------------------------------------------------------------------===//

/// Operands: address, word, and whether it is stored.
static Outcome runStoreWord(Warp &warp, const Instruction &instruction) {
  if (!warp.checkDefined(instruction, instruction.operands[2], "the predicate"))
    return Outcome::Fail;
  const uint64_t *address = warp.get<uint64_t>(instruction.operands[0]);
  const uint32_t *word = warp.get<uint32_t>(instruction.operands[1]);
  const uint32_t *predicate = warp.get<uint32_t>(instruction.operands[2]);
  uint32_t undefined = warp.undefined(instruction.operands[1]);
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    if (!isFine || !(predicate[lane] & 1))
      return;
    if (warp.undefined(instruction.operands[0]) >> lane & 1) {
      isFine = warp.checkDefined(instruction, instruction.operands[0],
                                 "the address");
      return;
    }
    isFine = Access{warp, instruction, int(lane)}.write(
        kGlobalSpace, address[lane], 4, &word[lane], !(undefined >> lane & 1),
        4);
  });
  return isFine ? Outcome::Next : Outcome::Fail;
}

static LogicalResult decodeInlinePtx(Decoder &decoder, Operation *op) {
  auto ptx = cast<NVVM::InlinePtxOp>(op);
  if (ptx.getPtxCode() != "st.global.b32 [$0], $1;" || !ptx.getPredicate() ||
      ptx.getReadOnlyArgs().size() != 2)
    return failure();
  decoder.emit(runStoreWord, op, {},
               {decoder.getScalar(ptx.getReadOnlyArgs()[0]),
                decoder.getScalar(ptx.getReadOnlyArgs()[1]),
                decoder.getScalar(ptx.getPredicate())});
  return success();
}

void moe::reference::simt::addNVVMThreadInstructions(InstructionTable &table) {
  addNumber<NVVM::ThreadIdXOp, Number::Thread>(table);
  addNumber<NVVM::BlockDimXOp, Number::Threads>(table);
  addNumber<NVVM::BlockIdXOp, Number::Block>(table);
  addNumber<NVVM::GridDimXOp, Number::Blocks>(table);
  addNumber<NVVM::LaneIdOp, Number::Lane>(table);
  addNumber<NVVM::WarpIdOp, Number::Warp>(table);
  table.add(NVVM::ShflOp::getOperationName(), decodeShuffle);
  table.add(NVVM::VoteSyncOp::getOperationName(), decodeVote);
  table.add(NVVM::Barrier0Op::getOperationName(), decodeBarrier);
  table.add(NVVM::BarrierOp::getOperationName(), decodeBarrier);
  table.add(NVVM::ReduxOp::getOperationName(), decodeRedux);
  table.add(NVVM::GriddepcontrolOp::getOperationName(), decodeGridControl);
  table.add(NVVM::PrefetchOp::getOperationName(), decodePrefetch);
  table.add(NVVM::SetMaxRegisterOp::getOperationName(), decodeRegisters);
  table.add(NVVM::InlinePtxOp::getOperationName(), decodeInlinePtx);
  table.add(NVVM::SyncWarpOp::getOperationName(), [](Decoder &decoder,
                                                     Operation *op) {
    decoder.emit(runWarpBarrier, op, {}, decoder.get(op->getOperand(0)));
    return success();
  });
}
