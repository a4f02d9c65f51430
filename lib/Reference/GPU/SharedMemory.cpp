//===- SharedMemory.cpp - What a block's warps share ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "SharedMemory.h"

#include <algorithm>

using namespace moe::reference::simt;

SharedMemory::SharedMemory(int64_t size, unsigned numWarps)
    : numWarps(numWarps), numReaders(numWarps + (numWarps + 3) / 4),
      data(size, 0x5a), set(size, 0), writes(size),
      readTimes(size * numReaders, 0),
      lastReads((size + kChunk - 1) / kChunk * numReaders) {}

std::optional<SharedMemory::Conflict::Kind>
SharedMemory::findConflict(const Use &last, const User &user,
                           const Knowledge &knowledge) {
  if (last.user.time > knowledge.seen[last.user.actor])
    return Conflict::WithWrite;
  // Lanes of one warp need not be in step with each other.
  if (last.user.actor == user.actor && last.user.lane != user.lane &&
      last.user.lane >= 0 && user.lane >= 0 && last.user.step == user.step)
    return Conflict::WithLane;
  return std::nullopt;
}

std::optional<SharedMemory::Conflict>
SharedMemory::read(uint32_t address, uint32_t bytes, const User &user,
                   const Knowledge &knowledge, bool isAsync,
                   const Instruction &instruction) {
  unsigned reader = getReader(user.actor);
  uint32_t at = address - kBase, end = at + bytes;
  // Bytes next to each other have mostly been written together.
  User checked = {0, 0};
  while (at < end) {
    uint32_t chunk = at / kChunk;
    LastRead &last = lastReads[size_t(chunk) * numReaders + reader];
    last = {std::max(last.time, user.time), &instruction};
    for (uint32_t stop = std::min(end, (chunk + 1) * kChunk); at < stop; ++at) {
      readTimes[size_t(at) * numReaders + reader] = user.time;
      const Use &write = writes[at];
      if (write.user == checked)
        continue;
      if (auto kind = findConflict(write, user, knowledge))
        return Conflict{*kind, at + kBase, write.instruction};
      // Copies in bulk take the asynchronous path as well.
      if (isAsync && write.user.actor < ofBarrier(0) &&
          write.user.time > knowledge.published[write.user.actor])
        return Conflict{Conflict::Unpublished, at + kBase, write.instruction};
      checked = write.user;
    }
  }
  return std::nullopt;
}

std::optional<SharedMemory::Conflict>
SharedMemory::write(uint32_t address, uint32_t bytes, const User &user,
                    const Knowledge &knowledge,
                    const Instruction &instruction) {
  uint32_t at = address - kBase, end = at + bytes;
  User checked = {0, 0};
  while (at < end) {
    uint32_t chunk = at / kChunk, stop = std::min(end, (chunk + 1) * kChunk);
    for (unsigned reader = 0; reader < numReaders; ++reader) {
      unsigned of = reader < numWarps ? reader : ofProducts(reader - numWarps);
      const LastRead &last = lastReads[size_t(chunk) * numReaders + reader];
      // Only then it matters which bytes were read.
      if (last.time <= knowledge.seen[of])
        continue;
      for (uint32_t byte = at; byte < stop; ++byte)
        if (readTimes[size_t(byte) * numReaders + reader] > knowledge.seen[of])
          return Conflict{Conflict::WithRead, byte + kBase, last.instruction};
    }
    for (; at < stop; ++at) {
      Use &last = writes[at];
      if (!(last.user == checked)) {
        if (auto kind = findConflict(last, user, knowledge))
          return Conflict{*kind, at + kBase, last.instruction};
        checked = last.user;
      }
      last = {user, &instruction};
    }
  }
  return std::nullopt;
}
