//===- KernelFacts.h - What the code of a kernel says -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_KERNELFACTS_H
#define MOE_MLIR_TARGET_KERNELFACTS_H

#include <cstdint>
#include <map>
#include <string>

namespace moe {

/// Of a kernel for a device, what its code says of it. Negative numbers are not
/// known.
struct KernelFacts {
  std::string name;
  /// Of a block.
  int64_t threads = -1;
  /// Bytes of memory that a block shares.
  int64_t sharedBytes = -1;
  /// Of a thread, as the vendor's assembler gives them; and bytes that it has
  /// in memory for a want of registers, or as arrays.
  int64_t registers = -1, spillBytes = -1, stackBytes = -1;
  /// Instructions of the code that artifacts hold, those of them that access a
  /// thread's own memory, and barriers of the block.
  int64_t instructions = -1, localAccesses = -1, barriers = -1;
  /// Products of matrices by how instructions are called, without loops.
  std::map<std::string, int64_t> matrix;
  /// Blocks that a multiprocessor has at once at most, the share of its warps
  /// that are at work then, from 0 to 1, and what there is too little of.
  int64_t blocksAtOnce = -1;
  double occupancy = -1;
  std::string limit;
};

} // namespace moe

#endif // MOE_MLIR_TARGET_KERNELFACTS_H
