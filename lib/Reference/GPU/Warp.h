//===- Warp.h - Lanes in step and where they are ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_WARP_H
#define MOE_MLIR_LIB_REFERENCE_GPU_WARP_H

#include "Clock.h"
#include "Memory.h"
#include "Program.h"
#include "llvm/ADT/Twine.h"

namespace moe::reference::simt {

class ThreadBlock;

/// A bit for each lane. NVIDIA's warps have 32, AMD's wavefronts 64, which are
/// warps here.
using LaneMask = uint64_t;
constexpr unsigned kMostLanes = 64;

/// Of NVIDIA's warps.
constexpr unsigned kLanes = 32;
constexpr uint32_t kAllLanes = ~0u;

constexpr LaneMask laneBit(unsigned lane) { return LaneMask(1) << lane; }
/// All lanes of a warp of so many, at least one.
constexpr LaneMask allLanes(unsigned count) {
  return ~LaneMask(0) >> (kMostLanes - count);
}
/// Lanes of a mask, one after another.
template <typename F> void forEachLane(LaneMask mask, F function) {
  for (; mask; mask &= mask - 1)
    function(unsigned(__builtin_ctzll(mask)));
}
inline unsigned firstLane(LaneMask mask) { return __builtin_ctzll(mask); }

class Warp {
public:
  Warp(ThreadBlock &block, const Program &program, unsigned number,
       LaneMask exists);

  /// Executes up to so many instructions.
  Outcome run(unsigned most);

  //===--------------------------------------------------------------------===//
  // Registers
  //===--------------------------------------------------------------------===//

  template <typename T> T *get(Slot slot) {
    return reinterpret_cast<T *>(
        reinterpret_cast<uint32_t *>(registers.data()) +
        size_t(slot) * numLanes);
  }
  /// Lanes that hold nothing that is defined: what came from memory that nobody
  /// wrote, and what was made of it.
  LaneMask &undefined(Slot slot) { return undefinedLanes[slot]; }
  /// The sums in flight that a slot stands for; 0 if it is its own value.
  uint32_t &ticket(Slot slot) { return tickets[slot]; }
  size_t getNumSlots() const { return undefinedLanes.size(); }

  /// Sees that an operand is defined in active lanes; reports otherwise that
  /// `what` is not.
  bool checkDefined(const Instruction &instruction, Slot slot,
                    const llvm::Twine &what);

  //===--------------------------------------------------------------------===//
  // Errors
  //===--------------------------------------------------------------------===//

  /// Reports an error at an instruction, in a lane or, without one, in the
  /// warp; `other` is shown with `note`.
  Outcome fail(const Instruction &instruction, const llvm::Twine &message,
               int lane = -1, const Instruction *other = nullptr,
               const llvm::Twine &note = "");

  ThreadBlock &block;
  const Program &program;
  const unsigned number;
  const unsigned numLanes;
  /// Lanes that are there at all.
  const LaneMask exists;
  LaneMask active;
  size_t pc = 0;
  bool hasExited = false;

  /// What an if or a loop goes back to.
  struct Frame {
    LaneMask outer, other;
  };
  llvm::SmallVector<Frame, 16> frames;

  Knowledge knowledge;
  uint32_t epoch() const { return knowledge.seen[ofWarp(number)]; }
  /// Of AMD's: what its last release gives to those who acquire behind a
  /// barrier, and what it may acquire itself.
  Knowledge released, offered;
  /// Others may learn now what the warp has done.
  void release() { ++knowledge.seen[ofWarp(number)]; }

  /// Barriers of its lanes that are behind it, and instructions.
  uint32_t step = 0, turn = 0;

  /// What it waits for, as the end of a sentence; empty while it runs.
  std::string waitsFor;
  /// Has arrived where it waits.
  bool hasArrived = false;
  unsigned barrierRound = 0;
  /// Of products of warpgroups: registers may not be what the warp left in
  /// them.
  bool isFenced = false;
  /// Kernels before this one in the stream have ended, or do not matter.
  bool hasWaitedForGrid = false;
  /// Groups of copies that were closed, and those that have arrived.
  uint32_t closedCopies = 0;
  /// A copy by threads that has not arrived: bytes of memory.
  struct Copy {
    uint32_t group;
    uint64_t from;
    uint32_t to, bytes;
  };
  std::vector<Copy> copies;

  /// The last read that gave something undefined.
  const Instruction *undefinedRead = nullptr;
  uint64_t undefinedAddress = 0;

private:
  bool reportTicket(const Instruction &instruction);

  std::vector<uint64_t> registers;
  std::vector<LaneMask> undefinedLanes;
  std::vector<uint32_t> tickets;
};

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_WARP_H
