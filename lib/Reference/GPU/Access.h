//===- Access.h - Reads and writes of lanes ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One lane's access to memory with all that may be wrong about it: out of
// bounds, not aligned, a race, or memory that another kernel may still write.
// What is wrong is reported, and the result is false.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_ACCESS_H
#define MOE_MLIR_LIB_REFERENCE_GPU_ACCESS_H

#include "Block.h"

namespace moe::reference::simt {

/// Address spaces, as LLVM numbers them for GPUs.
enum Space : unsigned {
  kGlobalSpace = 1,
  kSharedSpace = 3,
  kConstantSpace = 4,
  kClusterSpace = 7
};

struct Access {
  Warp &warp;
  const Instruction &instruction;
  /// -1 where the warp is meant.
  int lane;

  /// The space of a pointer's type decides where.
  bool read(unsigned space, uint64_t address, unsigned bytes, void *to,
            bool &isSet, unsigned alignment);
  bool write(unsigned space, uint64_t address, unsigned bytes, const void *from,
             bool isSet, unsigned alignment);

  /// The buffer that has the bytes; notes the read.
  Buffer *readGlobal(uint64_t address, unsigned bytes, unsigned alignment);

  bool checkAligned(uint64_t address, unsigned alignment);
  /// Sees that shared memory has these bytes.
  bool checkShared(uint64_t address, unsigned bytes, unsigned alignment);
  /// Reports what an access to shared memory is not ordered behind.
  void report(const SharedMemory::Conflict &conflict, bool isWrite);

private:
  bool writeGlobal(uint64_t address, unsigned bytes, const void *from,
                   bool isSet, unsigned alignment);
  bool readTable(uint64_t address, unsigned bytes, void *to,
                 unsigned alignment);
  bool readShared(uint64_t address, unsigned bytes, void *to, bool &isSet,
                  unsigned alignment);
  bool writeShared(uint64_t address, unsigned bytes, const void *from,
                   bool isSet, unsigned alignment);
  Buffer *findGlobal(uint64_t address, unsigned bytes, bool isWrite,
                     unsigned alignment);
  SharedMemory::User getUser() const;
  bool isRace(const GlobalUse &use) const;
  GlobalUse own() const;
};

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_ACCESS_H
