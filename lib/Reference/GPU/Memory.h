//===- Memory.h - Memory of a device that is not there ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Global memory: buffers far from each other, so that an address beyond one of
// them is in none. Of every byte it is known whether somebody wrote it, and
// who used it last in the launch that runs.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_MEMORY_H
#define MOE_MLIR_LIB_REFERENCE_GPU_MEMORY_H

#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace moe::reference::simt {

struct Instruction;

/// The last use of a byte. Launches count from 1; `block` is kMany where
/// several blocks read.
struct GlobalUse {
  static constexpr uint32_t kMany = ~0u;
  uint32_t launch = 0, block = 0, warp = 0, epoch = 0;
  /// The turn of the warp, in which lanes have no order.
  uint32_t turn = 0;
  int32_t lane = -1;
  const Instruction *instruction = nullptr;
};

struct Buffer {
  std::string name;
  uint64_t base = 0, size = 0;
  uint8_t *bytes = nullptr;
  /// An argument that kernels may only read: all of it is there.
  bool isInput = false;
  /// Of what is no input: whether each byte has a value, and its last uses.
  std::vector<uint8_t> isSet = {};
  std::vector<GlobalUse> writes = {}, reads = {};
  /// Keeps the bytes.
  std::shared_ptr<void> storage = nullptr;
};

class GlobalMemory {
public:
  /// A buffer of bytes that stay where they are, all set.
  Buffer &addInput(llvm::StringRef name, std::shared_ptr<void> storage,
                   uint8_t *bytes, uint64_t size);
  /// One that nobody has written to.
  Buffer &add(llvm::StringRef name, uint64_t size);

  /// The buffer that has all of the bytes; null if none has.
  Buffer *find(uint64_t address, uint64_t bytes);
  /// Where an address that is in no buffer lies: "12 bytes behind the 4096 of
  /// 'y'".
  std::string describe(uint64_t address) const;

private:
  std::vector<std::unique_ptr<Buffer>> buffers;
  Buffer *last = nullptr;
  uint64_t next = kFirst;

  static constexpr uint64_t kFirst = uint64_t(1) << 40;
  /// Between two buffers, so that what is off by rows is not in the next one.
  static constexpr uint64_t kGap = uint64_t(1) << 30;
};

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_MEMORY_H
