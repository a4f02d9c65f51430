//===- Access.cpp - Reads and writes of lanes -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Access.h"

#include <cstring>

using namespace moe::reference::simt;
using llvm::Twine;

static std::string hex(uint64_t address) {
  return "0x" + llvm::utohexstr(address, /*LowerCase=*/true);
}

bool Access::checkAligned(uint64_t address, unsigned alignment) {
  if (address % alignment == 0)
    return true;
  warp.fail(instruction,
            "address " + hex(address) + " is not a multiple of " +
                Twine(alignment) + " bytes",
            lane);
  return false;
}

bool Access::read(unsigned space, uint64_t address, unsigned bytes, void *to,
                  bool &isSet, unsigned alignment) {
  if (space == kConstantSpace) {
    isSet = true;
    return readTable(address, bytes, to, alignment);
  }
  if (space != kGlobalSpace)
    return readShared(address, bytes, to, isSet, alignment);
  Buffer *buffer = readGlobal(address, bytes, alignment);
  if (!buffer)
    return false;
  uint64_t offset = address - buffer->base;
  std::memcpy(to, buffer->bytes + offset, bytes);
  isSet = true;
  for (unsigned i = 0; !buffer->isInput && i < bytes; ++i)
    isSet &= buffer->isSet[offset + i];
  return true;
}

bool Access::write(unsigned space, uint64_t address, unsigned bytes,
                   const void *from, bool isSet, unsigned alignment) {
  if (space != kGlobalSpace)
    return writeShared(address, bytes, from, isSet, alignment);
  return writeGlobal(address, bytes, from, isSet, alignment);
}

bool Access::readTable(uint64_t address, unsigned bytes, void *to,
                       unsigned alignment) {
  for (const Program::Table &table : warp.block.launch.program.tables)
    if (address >= table.base && bytes <= table.bytes.size() &&
        address - table.base <= table.bytes.size() - bytes) {
      if (!checkAligned(address, alignment))
        return false;
      std::memcpy(to, table.bytes.data() + (address - table.base), bytes);
      return true;
    }
  warp.fail(instruction,
            "reads " + Twine(bytes) +
                " bytes out of bounds, of no table of constants",
            lane);
  return false;
}

//===----------------------------------------------------------------------===//
// Global memory
//===----------------------------------------------------------------------===//

Buffer *Access::findGlobal(uint64_t address, unsigned bytes, bool isWrite,
                           unsigned alignment) {
  Launch &launch = warp.block.launch;
  Buffer *buffer = launch.memory.find(address, bytes);
  if (!buffer) {
    warp.fail(instruction,
              Twine(isWrite ? "writes " : "reads ") + Twine(bytes) +
                  " bytes out of bounds, at address " + hex(address) + ": " +
                  launch.memory.describe(address),
              lane);
    return nullptr;
  }
  if (!checkAligned(address, alignment))
    return nullptr;
  // Kernels let the next one begin when they have waited themselves: those
  // before the last have ended.
  if (launch.overlaps && !warp.hasWaitedForGrid) {
    auto *last = buffer->writes.data() + (address - buffer->base);
    bool isRunning = !buffer->isInput && std::any_of(last, last + bytes, [&](
                         const GlobalUse &write) {
      return write.launch + 1 >= launch.number;
    });
    if (isWrite || isRunning) {
      warp.fail(instruction,
                Twine(isWrite ? "writes" : "uses") + " '" + buffer->name +
                    "' before the kernel has waited for those before it, which "
                    "may still run",
                lane);
      return nullptr;
    }
  }
  return buffer;
}

GlobalUse Access::own() const {
  return {warp.block.launch.number, static_cast<uint32_t>(warp.block.number),
          warp.number, warp.epoch(), warp.turn, lane, &instruction};
}

/// Of another block in this launch, or of another warp that nothing orders.
bool Access::isRace(const GlobalUse &use) const {
  if (use.launch != warp.block.launch.number)
    return false;
  // In one instruction, lanes have no order.
  return use.block != warp.block.number ||
         use.epoch > warp.knowledge.seen[ofWarp(use.warp)] ||
         (use.warp == warp.number && use.turn == warp.turn &&
          use.lane != lane);
}

static std::string describe(const GlobalUse &use) {
  if (use.block == GlobalUse::kMany)
    return "several blocks";
  return "block " + std::to_string(use.block) + ", warp " +
         std::to_string(use.warp);
}

Buffer *Access::readGlobal(uint64_t address, unsigned bytes,
                           unsigned alignment) {
  Buffer *buffer = findGlobal(address, bytes, false, alignment);
  if (!buffer || buffer->isInput)
    return buffer;
  GlobalUse own = this->own();
  for (uint64_t i = address - buffer->base, end = i + bytes; i < end; ++i) {
    const GlobalUse &write = buffer->writes[i];
    if (isRace(write)) {
      warp.fail(instruction,
                "race: reads byte " + Twine(i) + " of '" + buffer->name +
                    "', which " + describe(write) +
                    " writes in the same launch",
                lane, write.instruction, "the write");
      return nullptr;
    }
    GlobalUse &last = buffer->reads[i];
    // Of the reads of a block, the latest.
    if (last.launch == own.launch && last.block != own.block)
      last.block = GlobalUse::kMany;
    else
      last = own;
  }
  return buffer;
}

bool Access::writeGlobal(uint64_t address, unsigned bytes, const void *from,
                         bool isSet, unsigned alignment) {
  Buffer *buffer = findGlobal(address, bytes, true, alignment);
  if (!buffer)
    return false;
  if (buffer->isInput) {
    warp.fail(instruction, "writes into the input '" + buffer->name + "'",
              lane);
    return false;
  }
  if (!isSet) {
    warp.fail(instruction,
              "writes to '" + buffer->name +
                  "' what was made of memory that nobody wrote, or of poison",
              lane, warp.undefinedRead,
              "the last such read is here, of address " +
                  hex(warp.undefinedAddress));
    return false;
  }
  GlobalUse own = this->own();
  uint64_t offset = address - buffer->base;
  for (uint64_t i = offset; i < offset + bytes; ++i) {
    const GlobalUse &write = buffer->writes[i], &read = buffer->reads[i];
    bool wasRead = isRace(read);
    if (isRace(write) || wasRead) {
      const GlobalUse &other = wasRead ? read : write;
      warp.fail(instruction,
                "race: writes byte " + Twine(i) + " of '" + buffer->name +
                    "', which " + describe(other) +
                    (wasRead ? " reads" : " writes") + " in the same launch",
                lane, other.instruction, wasRead ? "the read" : "the write");
      return false;
    }
    buffer->writes[i] = own;
    buffer->isSet[i] = 1;
  }
  std::memcpy(buffer->bytes + offset, from, bytes);
  return true;
}

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

bool Access::checkShared(uint64_t address, unsigned bytes, unsigned alignment) {
  SharedMemory &shared = warp.block.shared;
  if (shared.holds(address, bytes))
    return checkAligned(address, alignment);
  int64_t offset = static_cast<int64_t>(address) - SharedMemory::kBase;
  warp.fail(instruction,
            "uses " + Twine(bytes) + " bytes at byte " + Twine(offset) +
                " of shared memory, of which the block has " +
                Twine(shared.getSize()),
            lane);
  return false;
}

void Access::report(const SharedMemory::Conflict &conflict, bool isWrite) {
  std::string place = "byte " +
                      std::to_string(conflict.address - SharedMemory::kBase) +
                      " of shared memory";
  if (conflict.kind == SharedMemory::Conflict::Unpublished) {
    warp.fail(instruction,
              "reads " + place +
                  ", which threads wrote, without a fence.proxy.async between: "
                  "it may see what was there before",
              lane, conflict.other, "the write");
    return;
  }
  if (conflict.kind == SharedMemory::Conflict::WithLane) {
    warp.fail(instruction,
              Twine("race: ") + (isWrite ? "writes " : "reads ") + place +
                  ", which another lane of the warp writes, without a " +
                  warp.program.laneBarrier + " between",
              lane, conflict.other, "the write");
    return;
  }
  bool withRead = conflict.kind == SharedMemory::Conflict::WithRead;
  warp.fail(instruction,
            Twine("race: ") + (isWrite ? "writes " : "reads ") + place +
                (withRead ? ", and nothing orders it behind a read of it"
                          : ", and nothing orders it behind a write of it"),
            lane, conflict.other, withRead ? "the read" : "the write");
}

SharedMemory::User Access::getUser() const {
  return {ofWarp(warp.number), warp.epoch(), lane, warp.step};
}

bool Access::readShared(uint64_t address, unsigned bytes, void *to, bool &isSet,
                        unsigned alignment) {
  if (!checkShared(address, bytes, alignment))
    return false;
  SharedMemory &shared = warp.block.shared;
  if (auto conflict =
          shared.read(address, bytes, getUser(), warp.knowledge,
                      /*isAsync=*/false, instruction)) {
    report(*conflict, false);
    return false;
  }
  std::memcpy(to, shared.at(address), bytes);
  isSet = true;
  for (unsigned i = 0; i < bytes; ++i)
    isSet &= shared.isSet(address)[i];
  return true;
}

bool Access::writeShared(uint64_t address, unsigned bytes, const void *from,
                         bool isSet, unsigned alignment) {
  if (!checkShared(address, bytes, alignment))
    return false;
  SharedMemory &shared = warp.block.shared;
  for (const auto &[at, barrier] : warp.block.barriers)
    if (address < at + 8 && at < address + bytes) {
      warp.fail(instruction,
                "writes over the barrier at byte " +
                    Twine(at - SharedMemory::kBase) + " of shared memory",
                lane);
      return false;
    }
  if (auto conflict = shared.write(address, bytes, getUser(), warp.knowledge, instruction)) {
    report(*conflict, true);
    return false;
  }
  std::memcpy(shared.at(address), from, bytes);
  std::memset(shared.isSet(address), isSet, bytes);
  return true;
}
