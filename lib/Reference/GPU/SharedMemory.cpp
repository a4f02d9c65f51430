//===- SharedMemory.cpp - What a block's warps share ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "SharedMemory.h"

using namespace moe::reference::simt;

SharedMemory::SharedMemory(int64_t size, unsigned numWarps)
    : numWarps(numWarps), numReaders(numWarps + (numWarps + 3) / 4),
      data(size, 0x5a), set(size, 0), writes(size),
      readTimes(size * numReaders, 0),
      readers((size + 15) / 16 * numReaders, nullptr) {}

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
  for (uint32_t at = address - kBase, end = at + bytes; at < end; ++at) {
    const Use &last = writes[at];
    if (auto kind = findConflict(last, user, knowledge))
      return Conflict{*kind, at + kBase, last.instruction};
    // Copies in bulk take the asynchronous path as well.
    if (isAsync && last.user.actor < ofBarrier(0) &&
        last.user.time > knowledge.published[last.user.actor])
      return Conflict{Conflict::Unpublished, at + kBase, last.instruction};
    readTimes[size_t(at) * numReaders + reader] = user.time;
    readers[size_t(at / 16) * numReaders + reader] = &instruction;
  }
  return std::nullopt;
}

std::optional<SharedMemory::Conflict>
SharedMemory::write(uint32_t address, uint32_t bytes, const User &user,
                    const Knowledge &knowledge,
                    const Instruction &instruction) {
  for (uint32_t at = address - kBase, end = at + bytes; at < end; ++at) {
    Use &last = writes[at];
    if (auto kind = findConflict(last, user, knowledge))
      return Conflict{*kind, at + kBase, last.instruction};
    const uint32_t *times = &readTimes[size_t(at) * numReaders];
    for (unsigned reader = 0; reader < numReaders; ++reader) {
      unsigned of = reader < numWarps ? reader : ofProducts(reader - numWarps);
      if (times[reader] > knowledge.seen[of])
        return Conflict{Conflict::WithRead, at + kBase,
                        readers[size_t(at / 16) * numReaders + reader]};
    }
    last = {user, &instruction};
  }
  return std::nullopt;
}
