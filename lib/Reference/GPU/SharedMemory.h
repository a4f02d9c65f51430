//===- SharedMemory.h - What a block's warps share --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Bytes with what is known of each: whether it has a value, who wrote it last,
// and when each reader read it. An access that is not ordered behind those
// before it is a race, whatever order the warps happened to run in.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_SHAREDMEMORY_H
#define MOE_MLIR_LIB_REFERENCE_GPU_SHAREDMEMORY_H

#include "Clock.h"
#include "Program.h"
#include <optional>

namespace moe::reference::simt {

class SharedMemory {
public:
  /// Where it begins. Not at 0, so that who forgets the base is found.
  static constexpr uint32_t kBase = 1024;

  SharedMemory(int64_t size, unsigned numWarps);

  int64_t getSize() const { return data.size(); }
  bool holds(uint64_t address, uint64_t bytes) const {
    return address >= kBase && bytes <= data.size() &&
           address - kBase <= data.size() - bytes;
  }
  uint8_t *at(uint64_t address) { return data.data() + (address - kBase); }
  /// 1 for bytes with a value.
  uint8_t *isSet(uint64_t address) { return set.data() + (address - kBase); }

  struct Conflict {
    enum Kind { WithWrite, WithRead, WithLane, Unpublished } kind;
    uint32_t address;
    const Instruction *other;
  };
  /// Who does it, at which of its times. Lanes of a warp are ordered by its
  /// steps: from one barrier of lanes to the next; -1 is no single lane.
  struct User {
    unsigned actor;
    uint32_t time;
    int lane = -1;
    uint32_t step = 0;

    bool operator==(const User &other) const {
      return actor == other.actor && time == other.time && lane == other.lane &&
             step == other.step;
    }
  };
  /// Notes a read and returns what it is not ordered behind. `isAsync`: it is
  /// not by a thread's own path, so what threads wrote has to be published.
  std::optional<Conflict> read(uint32_t address, uint32_t bytes,
                               const User &user, const Knowledge &knowledge,
                               bool isAsync, const Instruction &instruction);
  /// The same of a write.
  std::optional<Conflict> write(uint32_t address, uint32_t bytes,
                                const User &user, const Knowledge &knowledge,
                                const Instruction &instruction);

private:
  unsigned getReader(unsigned actor) const {
    return actor < kMaxWarps ? actor : numWarps + (actor - kMaxWarps);
  }

  struct Use {
    User user = {0, 0};
    const Instruction *instruction = nullptr;
  };
  /// What a use is not ordered behind of the last write.
  static std::optional<Conflict::Kind>
  findConflict(const Use &last, const User &user, const Knowledge &knowledge);

  unsigned numWarps, numReaders;
  std::vector<uint8_t> data, set;
  std::vector<Use> writes;
  /// When each reader read each byte.
  std::vector<uint32_t> readTimes;
  /// The last read of so many bytes by each reader, so that most writes need
  /// not look at each byte; and for messages.
  static constexpr uint32_t kChunk = 16;
  struct LastRead {
    uint32_t time = 0;
    const Instruction *instruction = nullptr;
  };
  std::vector<LastRead> lastReads;
};

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_SHAREDMEMORY_H
