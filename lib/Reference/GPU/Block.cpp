//===- Block.cpp - A block of threads ---------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Block.h"

#include "Fragments.h"
#include "mlir/IR/Diagnostics.h"
#include <cstring>

using namespace mlir;
using namespace moe::reference::simt;

static unsigned getNumWarps(const Launch &launch) {
  int64_t lanes = launch.program.numLanes;
  return (launch.numThreads + lanes - 1) / lanes;
}

ThreadBlock::ThreadBlock(Launch &launch, int64_t number)
    : launch(launch), number(number),
      shared(launch.sharedBytes, getNumWarps(launch)),
      random(launch.seed * 0x9e3779b97f4a7c15 + number) {
  const Program &program = launch.program;
  for (unsigned i = 0; i < getNumWarps(launch); ++i) {
    int64_t rest = launch.numThreads - int64_t(i) * program.numLanes;
    LaneMask exists = allLanes(std::min<int64_t>(rest, program.numLanes));
    warps.push_back(std::make_unique<Warp>(*this, program, i, exists));
    Warp &warp = *warps.back();
    for (auto [argument, value] :
         llvm::zip(program.arguments, launch.arguments))
      for (unsigned lane = 0; lane < program.numLanes; ++lane)
        if (argument.isWide)
          warp.get<uint64_t>(argument.slot)[lane] = value;
        else
          warp.get<uint32_t>(argument.slot)[lane] = value;
  }
  // A thread gets a multiple of eight registers, of 64 K for all.
  registersOf.assign(
      warps.size(),
      std::min<int64_t>(65536 / (warps.size() * program.numLanes), 255) / 8 *
          8);
}

bool ThreadBlock::beginReport() {
  if (launch.hasFailed)
    return false;
  return launch.hasFailed = true;
}

bool ThreadBlock::isNow() {
  switch (launch.moment) {
  case Moment::Late:
    return false;
  case Moment::Early:
    return true;
  case Moment::Any:
    return random() % 2;
  }
  llvm_unreachable("all moments");
}

bool ThreadBlock::run() {
  // When each warp last found that it has to wait.
  std::vector<uint64_t> stuckAt(warps.size(), 0);
  size_t exited = 0;
  SmallVector<unsigned> ready;
  while (exited < warps.size()) {
    if (launch.moment == Moment::Any && !boxCopies.empty() && random() % 4 == 0)
      deliver(random() % boxCopies.size());
    ready.clear();
    for (unsigned i = 0; i < warps.size(); ++i)
      if (!warps[i]->hasExited && stuckAt[i] != changes)
        ready.push_back(i);
    if (ready.empty()) {
      if (boxCopies.empty()) {
        reportDeadlock();
        return false;
      }
      deliver(random() % boxCopies.size());
      continue;
    }
    unsigned own = ready[random() % ready.size()];
    switch (warps[own]->run(1 + random() % 64)) {
    case Outcome::Fail:
      return false;
    case Outcome::Exit:
      warps[own]->hasExited = true;
      ++exited;
      notify();
      break;
    case Outcome::Wait:
      stuckAt[own] = changes;
      break;
    default:
      break;
    }
  }
  if (boxCopies.empty())
    return true;
  const BoxCopy &copy = boxCopies.front();
  warps[copy.warp]->fail(*copy.instruction,
                         "the block ends before this copy has arrived: "
                         "nothing waits for it");
  return false;
}

ThreadBlock::Arrival
ThreadBlock::arriveTogether(Warp &warp, const Instruction &instruction) {
  Warpgroup &group = groups[warp.number / 4];
  uint32_t own = 1u << (warp.number % 4);
  if (warp.active != kAllLanes || (warp.number | 3) >= warps.size()) {
    warp.fail(instruction, "a warpgroup of four warps has to execute this with "
                           "all of its lanes");
    return Arrival::Fails;
  }
  if (group.arrived && group.at != &instruction) {
    warp.fail(instruction,
              "the warps of a warpgroup have to execute the same one", -1,
              group.at, "another warp of the group is here");
    return Arrival::Fails;
  }
  group.at = &instruction;
  group.arrived |= own;
  if (group.arrived != 0xf) {
    warp.waitsFor = "the other warps of its warpgroup";
    return Arrival::Waits;
  }
  // The others go on behind it.
  group.arrived = 0;
  for (unsigned i = 0; i < 4; ++i) {
    Warp &other = *warps[warp.number / 4 * 4 + i];
    if (&other == &warp)
      continue;
    ++other.pc;
  }
  notify();
  return Arrival::Last;
}

void ThreadBlock::updatePhase(MemoryBarrier &barrier) {
  if (barrier.missing || barrier.missingBytes)
    return;
  barrier.completed.join(barrier.current);
  barrier.current = Knowledge();
  barrier.missing = barrier.expected;
  ++barrier.phase;
  notify();
}

void ThreadBlock::deliver(size_t index) {
  BoxCopy copy = boxCopies[index];
  boxCopies.erase(boxCopies.begin() + index);
  for (int64_t row = 0; row < copy.map.boxRows; ++row)
    for (int64_t column = 0; column < TensorMap::kBoxColumns; ++column) {
      // What is outside of the matrix is 0.
      int64_t fromRow = copy.row + row, fromColumn = copy.column + column;
      uint16_t value = 0;
      bool isSet = true;
      if (fromRow >= 0 && fromRow < copy.map.rows && fromColumn >= 0 &&
          fromColumn < copy.map.columns) {
        uint64_t from =
            copy.map.base + (fromRow * copy.map.columns + fromColumn) * 2;
        // Bounds were checked when the copy was started.
        Buffer &buffer = *launch.memory.find(from, 2);
        std::memcpy(&value, buffer.bytes + (from - buffer.base), 2);
        isSet = buffer.isInput || (buffer.isSet[from - buffer.base] &&
                                   buffer.isSet[from - buffer.base + 1]);
      }
      uint32_t to = swizzle(
          copy.to + (row * TensorMap::kBoxColumns + column) * 2, kSwizzle128);
      std::memcpy(shared.at(to), &value, 2);
      shared.isSet(to)[0] = shared.isSet(to)[1] = isSet;
    }
  MemoryBarrier &barrier = barriers.at(copy.barrier);
  barrier.missingBytes -= copy.map.boxRows * TensorMap::kBoxColumns * 2;
  uint32_t &time = barrier.current.seen[barrier.actor];
  time = std::max(time, copy.time);
  updatePhase(barrier);
}

void ThreadBlock::reportDeadlock() {
  if (!beginReport())
    return;
  const Warp *first = nullptr;
  for (const auto &warp : warps)
    if (!warp->hasExited && !first)
      first = warp.get();
  InFlightDiagnostic error =
      emitError(first->program.code[first->pc].op->getLoc());
  error << "kernel '" << first->program.name << "', block " << number
        << ": no warp can go on";
  std::string exited;
  for (const auto &warp : warps) {
    if (warp->hasExited) {
      exited += (exited.empty() ? "" : ", ") + std::to_string(warp->number);
      continue;
    }
    Operation *op = warp->program.code[warp->pc].op;
    error.attachNote(op->getLoc())
        << "warp " << warp->number << " waits at '" << op->getName() << "' for "
        << warp->waitsFor;
  }
  if (!exited.empty())
    error.attachNote() << "the kernel has ended for warps " << exited;
}
