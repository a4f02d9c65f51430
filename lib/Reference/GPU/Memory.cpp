//===- Memory.cpp - Memory of a device that is not there --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Memory.h"

#include "llvm/ADT/Twine.h"
#include "llvm/Support/MathExtras.h"

using namespace moe::reference::simt;

Buffer &GlobalMemory::addInput(llvm::StringRef name,
                               std::shared_ptr<void> storage, uint8_t *bytes,
                               uint64_t size) {
  auto buffer = std::make_unique<Buffer>();
  buffer->name = name.str();
  buffer->base = next;
  buffer->size = size;
  buffer->bytes = bytes;
  buffer->isInput = true;
  buffer->storage = std::move(storage);
  next = llvm::alignTo(next + size + kGap, 256);
  buffers.push_back(std::move(buffer));
  return *buffers.back();
}

Buffer &GlobalMemory::add(llvm::StringRef name, uint64_t size) {
  // Whatever was there before: not zeros, which often happen to be right.
  auto bytes = std::make_shared<std::vector<uint8_t>>(size, 0xa5);
  Buffer &buffer = addInput(name, bytes, bytes->data(), size);
  buffer.isInput = false;
  buffer.isSet.assign(size, 0);
  buffer.writes.resize(size);
  buffer.reads.resize(size);
  return buffer;
}

Buffer *GlobalMemory::find(uint64_t address, uint64_t bytes) {
  auto holds = [&](const Buffer &buffer) {
    return address >= buffer.base && bytes <= buffer.size &&
           address - buffer.base <= buffer.size - bytes;
  };
  if (last && holds(*last))
    return last;
  for (auto &buffer : buffers)
    if (holds(*buffer))
      return last = buffer.get();
  return nullptr;
}

std::string GlobalMemory::describe(uint64_t address) const {
  if (address < kFirst / 2)
    return "no buffer of the device";
  const Buffer *nearest = nullptr;
  uint64_t distance = ~uint64_t(0);
  for (const auto &buffer : buffers) {
    uint64_t own = address < buffer->base ? buffer->base - address
                   : address < buffer->base + buffer->size
                       ? 0
                       : address - (buffer->base + buffer->size);
    if (own < distance) {
      distance = own;
      nearest = buffer.get();
    }
  }
  if (!nearest)
    return "no buffer of the device";
  std::string size =
      std::to_string(nearest->size) + " bytes of '" + nearest->name + "'";
  if (address < nearest->base)
    return std::to_string(distance) + " bytes before the " + size;
  return "byte " + std::to_string(address - nearest->base) + " of the " + size;
}
