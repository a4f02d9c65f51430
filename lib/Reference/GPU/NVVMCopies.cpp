//===- NVVMCopies.cpp - Copies into shared memory ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Asynchronous copies by threads and in bulk, and barriers in shared memory,
// as NVIDIA's manual of PTX defines them.
//
//===----------------------------------------------------------------------===//

#include "Access.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include <cstring>

using namespace mlir;
using namespace moe::reference::simt;

//===----------------------------------------------------------------------===//
// Copies by threads
//===----------------------------------------------------------------------===//

static void finish(Warp &warp, const Warp::Copy &copy) {
  ThreadBlock &block = warp.block;
  // Bounds were checked when it was started.
  Buffer &buffer = *block.launch.memory.find(copy.from, copy.bytes);
  uint64_t offset = copy.from - buffer.base;
  std::memcpy(block.shared.at(copy.to), buffer.bytes + offset, copy.bytes);
  for (uint32_t i = 0; i < copy.bytes; ++i)
    block.shared.isSet(copy.to)[i] = buffer.isInput || buffer.isSet[offset + i];
}

static Outcome runCopyAsync(Warp &warp, const Instruction &instruction) {
  if (!warp.checkDefined(instruction, instruction.operands[0], "the address") ||
      !warp.checkDefined(instruction, instruction.operands[1], "the address"))
    return Outcome::Fail;
  const uint64_t *to = warp.get<uint64_t>(instruction.operands[0]);
  const uint64_t *from = warp.get<uint64_t>(instruction.operands[1]);
  unsigned bytes = instruction.a;
  uint32_t group = warp.closedCopies + 1;
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    Access access{warp, instruction, int(lane)};
    isFine = isFine && access.readGlobal(from[lane], bytes, bytes) &&
             access.checkShared(to[lane], bytes, bytes);
    if (!isFine)
      return;
    if (auto conflict =
            warp.block.shared.write(to[lane], bytes,
                                    {ofCopies(warp.number), group},
                                    warp.knowledge, instruction)) {
      access.report(*conflict, true);
      isFine = false;
      return;
    }
    Warp::Copy copy{group, from[lane], uint32_t(to[lane]), bytes};
    if (warp.block.isNow())
      finish(warp, copy);
    else
      warp.copies.push_back(copy);
  });
  return isFine ? Outcome::Next : Outcome::Fail;
}

static Outcome runCommitCopies(Warp &warp, const Instruction &) {
  ++warp.closedCopies;
  return Outcome::Next;
}

/// All but the last `a` groups.
static Outcome runWaitCopies(Warp &warp, const Instruction &instruction) {
  uint32_t most = instruction.a;
  uint32_t arrived = warp.closedCopies - std::min(most, warp.closedCopies);
  auto isOpen = [&](const Warp::Copy &copy) { return copy.group > arrived; };
  auto open = std::stable_partition(warp.copies.begin(), warp.copies.end(),
                                    [&](auto &copy) { return !isOpen(copy); });
  for (auto it = warp.copies.begin(); it != open; ++it)
    finish(warp, *it);
  warp.copies.erase(warp.copies.begin(), open);
  uint32_t &time = warp.knowledge.seen[ofCopies(warp.number)];
  time = std::max(time, arrived);
  return Outcome::Next;
}

/// What the warp knows to be written is what copies in bulk and products see.
static Outcome runFenceProxy(Warp &warp, const Instruction &) {
  warp.knowledge.published.join(warp.knowledge.seen);
  warp.release();
  return Outcome::Next;
}

//===----------------------------------------------------------------------===//
// Barriers in shared memory
//===----------------------------------------------------------------------===//

/// The barrier at an address; null after an error.
static MemoryBarrier *getBarrier(Access access, uint64_t address) {
  Warp &warp = access.warp;
  if (!access.checkShared(address, 8, 8))
    return nullptr;
  auto it = warp.block.barriers.find(address);
  if (it == warp.block.barriers.end()) {
    warp.fail(access.instruction,
              "there is no barrier at byte " +
                  Twine(address - SharedMemory::kBase) + " of shared memory",
              access.lane);
    return nullptr;
  }
  if (it->second.created > warp.knowledge.seen[ofWarp(it->second.creator)]) {
    warp.fail(access.instruction,
              "race: uses a barrier that warp " + Twine(it->second.creator) +
                  " makes, and nothing orders it behind that",
              access.lane);
    return nullptr;
  }
  return &it->second;
}

static Outcome runInitBarrier(Warp &warp, const Instruction &instruction) {
  for (Slot slot : instruction.operands)
    if (!warp.checkDefined(instruction, slot, "an operand"))
      return Outcome::Fail;
  const uint64_t *address = warp.get<uint64_t>(instruction.operands[0]);
  const uint32_t *count = warp.get<uint32_t>(instruction.operands[1]);
  ThreadBlock &block = warp.block;
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    Access access{warp, instruction, int(lane)};
    // Zeros, as of any other write.
    uint64_t zero = 0;
    if (block.barriers.count(address[lane])) {
      warp.fail(instruction, "makes a barrier where there is one", lane);
      isFine = false;
    }
    isFine =
        isFine && access.write(kSharedSpace, address[lane], 8, &zero, true, 8);
    if (!isFine)
      return;
    if (block.barriers.size() == kMaxBarriers) {
      warp.fail(instruction, "there are more barriers than the interpreter has",
                lane);
      isFine = false;
      return;
    }
    MemoryBarrier barrier;
    barrier.actor = ofBarrier(block.barriers.size());
    barrier.expected = barrier.missing = count[lane];
    barrier.creator = warp.number;
    barrier.created = warp.epoch();
    block.barriers.emplace(address[lane], barrier);
  });
  return isFine ? Outcome::Next : Outcome::Fail;
}

static Outcome runFenceBarrierInit(Warp &warp, const Instruction &) {
  for (auto &[address, barrier] : warp.block.barriers)
    barrier.isPublished |= barrier.creator == warp.number;
  return Outcome::Next;
}

/// Operands: the barrier and, with `a`, bytes that are expected first.
static Outcome runArrive(Warp &warp, const Instruction &instruction) {
  for (Slot slot : instruction.operands)
    if (!warp.checkDefined(instruction, slot, "an operand"))
      return Outcome::Fail;
  const uint64_t *address = warp.get<uint64_t>(instruction.operands[0]);
  const uint32_t *bytes =
      instruction.a ? warp.get<uint32_t>(instruction.operands[1]) : nullptr;
  bool isFine = true;
  uint64_t lastAddress = 0;
  uint32_t lastPhase = 0;
  forEachLane(warp.active, [&](unsigned lane) {
    if (!isFine)
      return;
    MemoryBarrier *barrier =
        getBarrier({warp, instruction, int(lane)}, address[lane]);
    isFine = barrier;
    if (!isFine)
      return;
    // A count that is too low: who waits is let go before all have arrived.
    if (address[lane] == lastAddress && barrier->phase != lastPhase) {
      warp.fail(instruction,
                "a phase of " + Twine(barrier->expected) +
                    " arrivals is over before all lanes of the warp have "
                    "arrived",
                lane);
      isFine = false;
      return;
    }
    lastAddress = address[lane];
    lastPhase = barrier->phase;
    if (bytes)
      barrier->missingBytes += bytes[lane];
    if (barrier->missing == 0) {
      warp.fail(instruction,
                "arrives at a barrier of " + Twine(barrier->expected) +
                    " arrivals once more in the same phase",
                lane);
      isFine = false;
      return;
    }
    --barrier->missing;
    barrier->current.join(warp.knowledge);
    warp.block.updatePhase(*barrier);
  });
  warp.release();
  for (Slot slot : instruction.results)
    warp.undefined(slot) = kAllLanes; // The state, which nobody here waits by.
  return isFine ? Outcome::Next : Outcome::Fail;
}

static Outcome runWait(Warp &warp, const Instruction &instruction) {
  for (Slot slot : instruction.operands)
    if (!warp.checkDefined(instruction, slot, "an operand"))
      return Outcome::Fail;
  const uint64_t *address = warp.get<uint64_t>(instruction.operands[0]);
  const uint32_t *parity = warp.get<uint32_t>(instruction.operands[1]);
  Outcome outcome = Outcome::Next;
  forEachLane(warp.active, [&](unsigned lane) {
    if (outcome != Outcome::Next)
      return;
    MemoryBarrier *barrier =
        getBarrier({warp, instruction, int(lane)}, address[lane]);
    if (!barrier) {
      outcome = Outcome::Fail;
      return;
    }
    // The phase of this parity is the one before the current one, or else it
    // is the current one and not over.
    if ((barrier->phase & 1) == (parity[lane] & 1)) {
      warp.waitsFor = "phase " + std::to_string(barrier->phase) +
                      " of the barrier at byte " +
                      std::to_string(address[lane] - SharedMemory::kBase) +
                      ", to which " + std::to_string(barrier->missing) +
                      " of " + std::to_string(barrier->expected) +
                      " arrivals and " + std::to_string(barrier->missingBytes) +
                      " bytes are missing";
      outcome = Outcome::Wait;
      return;
    }
    warp.knowledge.join(barrier->completed);
  });
  // One that goes on waiting orders nothing.
  if (outcome == Outcome::Next)
    ++warp.step;
  return outcome;
}

//===----------------------------------------------------------------------===//
// Copies in bulk
//===----------------------------------------------------------------------===//

/// Operands: where to, the map, the barrier, column and row.
static Outcome runCopyBox(Warp &warp, const Instruction &instruction) {
  for (Slot slot : instruction.operands)
    if (!warp.checkDefined(instruction, slot, "an operand"))
      return Outcome::Fail;
  ThreadBlock &block = warp.block;
  Launch &launch = block.launch;
  bool isFine = true;
  forEachLane(warp.active, [&](unsigned lane) {
    if (!isFine)
      return;
    isFine = false;
    Access access{warp, instruction, int(lane)};
    auto get = [&](unsigned operand) {
      return warp.get<uint64_t>(instruction.operands[operand])[lane];
    };
    uint64_t to = get(0), which = get(1) - kFirstMap, at = get(2);
    int64_t column = warp.get<int32_t>(instruction.operands[3])[lane];
    int64_t row = warp.get<int32_t>(instruction.operands[4])[lane];
    if (which >= launch.maps.size()) {
      warp.fail(instruction, "is given what is no tensor map", lane);
      return;
    }
    const TensorMap &map = launch.maps[which];
    int64_t rowBytes = TensorMap::kBoxColumns * 2;
    MemoryBarrier *barrier = getBarrier(access, at);
    if (!barrier || !access.checkShared(to, map.boxRows * rowBytes, 128))
      return;
    if (!barrier->isPublished &&
        barrier->created > warp.knowledge.published[ofWarp(barrier->creator)]) {
      warp.fail(instruction,
                "arrives at a barrier that was made without a "
                "fence.mbarrier.init or fence.proxy.async between",
                lane);
      return;
    }
    // What it reads: the part of the box that is in the matrix.
    for (int64_t i = std::max<int64_t>(row, 0);
         i < std::min(row + map.boxRows, map.rows); ++i) {
      int64_t first = std::clamp<int64_t>(column, 0, map.columns);
      int64_t end =
          std::clamp<int64_t>(column + TensorMap::kBoxColumns, 0, map.columns);
      if (first < end &&
          !access.readGlobal(map.base + (i * map.columns + first) * 2,
                             (end - first) * 2, 2))
        return;
    }
    uint32_t time = barrier->phase + 1;
    if (auto conflict =
            block.shared.write(to, map.boxRows * rowBytes,
                               {barrier->actor, time}, warp.knowledge,
                               instruction)) {
      access.report(*conflict, true);
      return;
    }
    block.boxCopies.push_back({map, row, column, uint32_t(to), uint32_t(at),
                               time, warp.number, &instruction});
    if (block.isNow())
      block.deliver(block.boxCopies.size() - 1);
    isFine = true;
  });
  return isFine ? Outcome::Next : Outcome::Fail;
}

static LogicalResult decodeCopyBox(Decoder &decoder, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp>(op);
  if (copy.getCoordinates().size() != 2 || copy.getMulticastMask() ||
      copy.getPredicate() || copy.getL2CacheHint() ||
      !copy.getIm2colOffsets().empty() ||
      copy.getMode() != NVVM::TMALoadMode::TILE)
    return failure();
  decoder.emit(runCopyBox, op, {},
               {decoder.getScalar(copy.getDstMem()),
                decoder.getScalar(copy.getTmaDescriptor()),
                decoder.getScalar(copy.getMbar()),
                decoder.getScalar(copy.getCoordinates()[0]),
                decoder.getScalar(copy.getCoordinates()[1])});
  return success();
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

/// An instruction of the operation's operands that makes nothing.
static InstructionTable::Decode plain(Execute run, unsigned operands = 0) {
  return [run, operands](Decoder &decoder, Operation *op) -> LogicalResult {
    if (op->getNumOperands() < operands)
      return failure();
    SmallVector<Slot> slots;
    for (Value operand : op->getOperands().take_front(operands))
      slots.push_back(decoder.getScalar(operand));
    decoder.emit(run, op, {}, slots);
    return success();
  };
}

void moe::reference::simt::addNVVMCopyInstructions(InstructionTable &table) {
  table.add(NVVM::CpAsyncOp::getOperationName(),
            [](Decoder &decoder, Operation *op) -> LogicalResult {
              auto copy = cast<NVVM::CpAsyncOp>(op);
              if (copy.getCpSize())
                return failure();
              decoder.emit(runCopyAsync, op, {},
                           {decoder.getScalar(copy.getDst()),
                            decoder.getScalar(copy.getSrc())},
                           copy.getSize());
              return success();
            });
  table.add(NVVM::CpAsyncCommitGroupOp::getOperationName(),
            plain(runCommitCopies));
  table.add(NVVM::CpAsyncWaitGroupOp::getOperationName(),
            [](Decoder &decoder, Operation *op) {
              decoder.emit(runWaitCopies, op, {}, {},
                           cast<NVVM::CpAsyncWaitGroupOp>(op).getN());
              return success();
            });
  table.add(NVVM::FenceProxyOp::getOperationName(),
            [](Decoder &decoder, Operation *op) -> LogicalResult {
              NVVM::ProxyKind kind = cast<NVVM::FenceProxyOp>(op).getKind();
              if (kind != NVVM::ProxyKind::async &&
                  kind != NVVM::ProxyKind::async_shared)
                return failure();
              decoder.emit(runFenceProxy, op, {}, {});
              return success();
            });
  table.add(NVVM::FenceMbarrierInitOp::getOperationName(),
            plain(runFenceBarrierInit));
  table.add(NVVM::MBarrierInitOp::getOperationName(),
            [](Decoder &decoder, Operation *op) -> LogicalResult {
              if (cast<NVVM::MBarrierInitOp>(op).getPredicate())
                return failure();
              return plain(runInitBarrier, 2)(decoder, op);
            });
  table.add(NVVM::MBarrierTryWaitParityOp::getOperationName(),
            plain(runWait, 2));
  table.add(NVVM::MBarrierArriveOp::getOperationName(),
            [](Decoder &decoder, Operation *op) -> LogicalResult {
              auto arrive = cast<NVVM::MBarrierArriveOp>(op);
              if (arrive.getCount())
                return failure();
              Slots results;
              if (Value state = arrive.getRes())
                results = decoder.define(state);
              decoder.emit(runArrive, op, results,
                           decoder.get(arrive.getAddr()));
              return success();
            });
  table.add(NVVM::MBarrierArriveExpectTxOp::getOperationName(),
            [](Decoder &decoder, Operation *op) -> LogicalResult {
              auto arrive = cast<NVVM::MBarrierArriveExpectTxOp>(op);
              if (arrive.getPredicate())
                return failure();
              Slots results;
              if (Value state = arrive.getRes())
                results = decoder.define(state);
              decoder.emit(runArrive, op, results,
                           {decoder.getScalar(arrive.getAddr()),
                            decoder.getScalar(arrive.getTxcount())},
                           /*a=*/1);
              return success();
            });
  table.add(NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::getOperationName(),
            decodeCopyBox);
}
