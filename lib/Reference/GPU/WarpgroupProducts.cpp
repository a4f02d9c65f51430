//===- WarpgroupProducts.cpp - Asynchronous products ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A product's operands are read when it is started or when it is waited for, as
// the launch says. Until then its sums are in no register: those that hold them
// have a ticket, which copies take along, and whoever else reads one is in
// error.
//
//===----------------------------------------------------------------------===//

#include "WarpgroupProducts.h"

#include "Access.h"
#include "Fragments.h"
#include "moe-mlir/Support/FloatConversions.h"
#include <cstring>

using namespace moe::reference::simt;
using llvm::Twine;

/// Rows of A, and the bytes of a row.
static constexpr unsigned kRows = 64, kRowBytes = 32;

static Warpgroup &getGroup(Warp &warp) {
  return warp.block.groups[warp.number / 4];
}
static Warp &getWarp(Warp &warp, unsigned i) {
  return *warp.block.warps[warp.number / 4 * 4 + i];
}

static void execute(ThreadBlock &block, Product &product) {
  Sums &sums = *product.sums;
  unsigned columns = sums.columns;
  bool isE4M3 = product.kind.type == ProductType::E4M3;
  unsigned size = isE4M3 ? 1 : 2, depth = kRowBytes / size;
  auto load = [&](uint64_t descriptor, unsigned rows,
                  std::vector<float> &values, std::vector<uint8_t> &undefined) {
    MatrixDescriptor matrix(descriptor);
    values.resize(rows * depth);
    undefined.assign(rows, 0);
    for (unsigned row = 0; row < rows; ++row)
      for (unsigned k = 0; k < depth; ++k) {
        uint32_t at = matrix.getAddress(row, k * size);
        uint16_t bits = 0;
        std::memcpy(&bits, block.shared.at(at), size);
        values[row * depth + k] =
            isE4M3 ? moe::f8E4M3ToF32(bits) : moe::bf16ToF32(bits);
        for (unsigned i = 0; i < size; ++i)
          undefined[row] |= !block.shared.isSet(at)[i];
      }
  };
  if (!product.kind.adds) {
    llvm::fill(sums.values, 0);
    llvm::fill(sums.undefined, 0);
  }
  std::vector<float> a, b;
  std::vector<uint8_t> undefinedA, undefinedB;
  load(product.lhs, kRows, a, undefinedA);
  load(product.rhs, columns, b, undefinedB);
  // All columns of a row at once, depth after depth: each sum has its terms in
  // the same order.
  std::vector<double> turned(b.size()), sum(columns);
  for (unsigned column = 0; column < columns; ++column)
    for (unsigned k = 0; k < depth; ++k)
      turned[k * columns + column] = b[column * depth + k];
  for (unsigned row = 0; row < kRows; ++row) {
    float *values = &sums.values[row * columns];
    std::copy_n(values, columns, sum.begin());
    for (unsigned k = 0; k < depth; ++k) {
      double x = a[row * depth + k];
      const double *__restrict y = &turned[k * columns];
      double *__restrict total = sum.data();
      for (unsigned column = 0; column < columns; ++column)
        total[column] += x * y[column];
    }
    for (unsigned column = 0; column < columns; ++column) {
      values[column] = float(sum[column]);
      sums.undefined[row * columns + column] |=
          undefinedA[row] | undefinedB[column];
    }
  }
  product.isDone = true;
}

/// The sums that the registers of all four warps hold or stand for.
static std::shared_ptr<Sums> takeSums(Warp &warp,
                                      const Instruction &instruction) {
  Warpgroup &group = getGroup(warp);
  Slots slots = instruction.operands.drop_front(2);
  uint32_t ticket = warp.ticket(slots[0]);
  for (unsigned i = 0; i < 4; ++i) {
    Warp &own = getWarp(warp, i);
    for (auto [element, slot] : llvm::enumerate(slots)) {
      bool isSame = own.ticket(slot) == ticket &&
                    (!ticket || own.get<uint32_t>(slot)[0] == element);
      if (isSame)
        continue;
      own.fail(instruction, "adds to sums some of which are in flight and some "
                            "are not, or are others");
      return nullptr;
    }
  }
  if (ticket) {
    for (const auto &sums : group.open)
      if (sums->ticket == ticket)
        return sums;
    llvm_unreachable("tickets are of sums that are open");
  }
  auto sums = std::make_shared<Sums>();
  sums->ticket = group.nextTicket++;
  sums->columns = instruction.a;
  sums->values.assign(kRows * instruction.a, 0);
  sums->undefined.assign(kRows * instruction.a, 0);
  if (ProductKind::get(instruction.b).adds)
    for (unsigned thread = 0; thread < 4 * kLanes; ++thread) {
      Warp &own = getWarp(warp, thread / kLanes);
      unsigned lane = thread % kLanes;
      for (auto [element, slot] : llvm::enumerate(slots)) {
        Position at = getWgmmaD(thread, element);
        size_t index = at.row * instruction.a + at.column;
        sums->values[index] = own.get<float>(slot)[lane];
        sums->undefined[index] = own.undefined(slot) >> lane & 1;
      }
    }
  group.open.push_back(sums);
  return sums;
}

/// Notes that the matrix is read, in pieces of 16 bytes.
static bool readMatrix(Warp &warp, const Instruction &instruction,
                       uint64_t descriptor, unsigned rows,
                       const Knowledge &knowledge) {
  MatrixDescriptor matrix(descriptor);
  Access access{warp, instruction, -1};
  unsigned group = warp.number / 4;
  for (unsigned row = 0; row < rows; ++row)
    for (unsigned byte = 0; byte < kRowBytes; byte += 16) {
      uint32_t at = matrix.getAddress(row, byte);
      if (!access.checkShared(at, 16, 16))
        return false;
      if (auto conflict = warp.block.shared.read(
              at, 16,
              {ofProducts(group), warp.block.groups[group].closedGroups + 1},
              knowledge,
              /*isAsync=*/true, instruction)) {
        access.report(*conflict, false);
        return false;
      }
    }
  return true;
}

Outcome
moe::reference::simt::runWarpgroupProduct(Warp &warp,
                                          const Instruction &instruction) {
  ThreadBlock &block = warp.block;
  for (Slot slot : instruction.operands.take_front(2))
    if (!warp.checkDefined(instruction, slot, "a descriptor"))
      return Outcome::Fail;
  if (!warp.isFenced)
    return warp.fail(instruction,
                     "no wgmma.fence orders it behind what was done "
                     "with its registers before");
  switch (block.arriveTogether(warp, instruction)) {
  case ThreadBlock::Arrival::Fails:
    return Outcome::Fail;
  case ThreadBlock::Arrival::Waits:
    return Outcome::Wait;
  case ThreadBlock::Arrival::Last:
    break;
  }
  // What all four know.
  Knowledge knowledge = warp.knowledge;
  uint64_t descriptors[2];
  for (unsigned i = 0; i < 2; ++i)
    descriptors[i] = warp.get<uint64_t>(instruction.operands[i])[0];
  for (unsigned i = 0; i < 4; ++i) {
    Warp &own = getWarp(warp, i);
    for (unsigned actor = 0; actor < kMaxActors; ++actor) {
      knowledge.seen[actor] =
          std::min(knowledge.seen[actor], own.knowledge.seen[actor]);
      knowledge.published[actor] =
          std::min(knowledge.published[actor], own.knowledge.published[actor]);
    }
    for (unsigned j = 0; j < 2; ++j)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        if (own.get<uint64_t>(instruction.operands[j])[lane] != descriptors[j])
          return own.fail(instruction,
                          "has another descriptor than the other threads of "
                          "its warpgroup",
                          lane);
  }
  if (!readMatrix(warp, instruction, descriptors[0], kRows, knowledge) ||
      !readMatrix(warp, instruction, descriptors[1], instruction.a, knowledge))
    return Outcome::Fail;
  std::shared_ptr<Sums> sums = takeSums(warp, instruction);
  if (!sums)
    return Outcome::Fail;
  Warpgroup &group = getGroup(warp);
  sums->lastGroup = group.closedGroups + 1;
  group.products.push_back({sums, descriptors[0], descriptors[1],
                            ProductKind::get(instruction.b), sums->lastGroup});
  // Products on the same sums follow one another.
  bool isFirst = true;
  for (const Product &other : group.products)
    isFirst &= other.isDone || &other == &group.products.back();
  if (isFirst && block.isNow())
    execute(block, group.products.back());
  for (unsigned i = 0; i < 4; ++i) {
    Warp &own = getWarp(warp, i);
    for (auto [element, slot] : llvm::enumerate(instruction.results)) {
      own.ticket(slot) = sums->ticket;
      own.undefined(slot) = kAllLanes;
      own.get<uint32_t>(slot)[0] = element;
    }
  }
  return Outcome::Next;
}

Outcome moe::reference::simt::runWarpgroupFence(Warp &warp,
                                                const Instruction &) {
  warp.isFenced = true;
  return Outcome::Next;
}

Outcome
moe::reference::simt::runWarpgroupCommit(Warp &warp,
                                         const Instruction &instruction) {
  switch (warp.block.arriveTogether(warp, instruction)) {
  case ThreadBlock::Arrival::Fails:
    return Outcome::Fail;
  case ThreadBlock::Arrival::Waits:
    return Outcome::Wait;
  case ThreadBlock::Arrival::Last:
    break;
  }
  ++getGroup(warp).closedGroups;
  return Outcome::Next;
}

/// The registers that stand for sums hold them from now on.
static void settle(Warp &warp, const Sums &sums) {
  for (Slot slot = 0; slot < warp.getNumSlots(); ++slot) {
    if (warp.ticket(slot) != sums.ticket)
      continue;
    unsigned element = warp.get<uint32_t>(slot)[0];
    uint32_t undefined = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      Position at = getWgmmaD(warp.number % 4 * kLanes + lane, element);
      size_t index = at.row * sums.columns + at.column;
      warp.get<float>(slot)[lane] = sums.values[index];
      undefined |= uint32_t(sums.undefined[index]) << lane;
    }
    warp.ticket(slot) = 0;
    warp.undefined(slot) = undefined;
  }
}

Outcome moe::reference::simt::runWarpgroupWait(Warp &warp,
                                               const Instruction &instruction) {
  Warpgroup &group = getGroup(warp);
  uint32_t most = instruction.a;
  uint32_t done = group.closedGroups - std::min(most, group.closedGroups);
  for (Product &product : group.products)
    if (!product.isDone && product.group <= done)
      execute(warp.block, product);
  llvm::erase_if(group.products,
                 [](const Product &product) { return product.isDone; });
  uint32_t &time = warp.knowledge.seen[ofProducts(warp.number / 4)];
  time = std::max(time, done);
  for (auto &sums : group.open)
    if (sums->lastGroup <= done) {
      settle(warp, *sums);
      sums->settled |= 1u << (warp.number % 4);
    }
  llvm::erase_if(group.open,
                 [](const auto &sums) { return sums->settled == 0xf; });
  warp.isFenced = false;
  return Outcome::Next;
}
