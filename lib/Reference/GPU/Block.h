//===- Block.h - A block of threads -----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The warps of a block take turns in an order that a seed gives. Copies that
// nobody has to wait for yet arrive at once, at the last moment, or at some
// moment between: the seed says that, too.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_BLOCK_H
#define MOE_MLIR_LIB_REFERENCE_GPU_BLOCK_H

#include "SharedMemory.h"
#include "Warp.h"
#include <map>
#include <memory>
#include <random>

namespace moe::reference::simt {

/// A matrix in global memory as copies in bulk see it: rows of bf16, in boxes
/// of so many rows and 64 columns.
struct TensorMap {
  uint64_t base = 0;
  int64_t rows = 0, columns = 0, boxRows = 0;
  static constexpr int64_t kBoxColumns = 64;
};

/// When what is asynchronous happens.
enum class Moment { Late, Early, Any };

/// A kernel with its arguments and the size of its grid.
struct Launch {
  GlobalMemory &memory;
  const Program &program;
  /// From 1.
  uint32_t number;
  int64_t numBlocks, numThreads, sharedBytes;
  /// Those before it may still run.
  bool overlaps;
  std::vector<uint64_t> arguments;
  std::vector<TensorMap> maps;
  Moment moment;
  uint64_t seed;
  /// An error was reported.
  bool hasFailed = false;
};

/// Pointers to tensor maps: numbers of them, from here on.
constexpr uint64_t kFirstMap = uint64_t(1) << 56;

/// A barrier in shared memory.
struct MemoryBarrier {
  unsigned actor;
  int64_t expected, missing, missingBytes = 0;
  /// How many phases are over.
  uint32_t phase = 0;
  /// What those who arrived in this phase know, and in those before.
  Knowledge current, completed;
  /// Who made it, and when: copies in bulk have to see that.
  unsigned creator;
  uint32_t created;
  /// By a fence behind it.
  bool isPublished = false;
};

/// Sums of products of a warpgroup that are in flight.
struct Sums {
  uint32_t ticket;
  int64_t columns;
  /// `[64, columns]`, and which of them are undefined.
  std::vector<float> values;
  std::vector<uint8_t> undefined;
  /// The group of the last product, and the warps that have their sums.
  uint32_t lastGroup = 0, settled = 0;
};

/// What a product is of: bf16 (m64nNk16), or E4M3 (m64nNk32).
enum class ProductType : uint8_t { BF16, E4M3 };
/// How a product is: whether it adds to the sums, and of what it is.
struct ProductKind {
  bool adds;
  ProductType type;

  static ProductKind get(int64_t bits) {
    return {bool(bits & 1), ProductType(bits >> 1)};
  }
  int64_t getBits() const { return int64_t(adds) | int64_t(type) << 1; }
};

struct Product {
  std::shared_ptr<Sums> sums;
  uint64_t lhs, rhs;
  ProductKind kind;
  /// The group that it is in, from 1.
  uint32_t group;
  bool isDone = false;
};

struct Warpgroup {
  /// Warps that have arrived at an instruction that all execute together.
  uint32_t arrived = 0;
  const Instruction *at = nullptr;
  std::vector<Product> products;
  /// Those that registers of some warp stand for.
  std::vector<std::shared_ptr<Sums>> open;
  uint32_t closedGroups = 0, nextTicket = 1;
};

class ThreadBlock {
public:
  ThreadBlock(Launch &launch, int64_t number);

  /// Runs it to its end; false after an error.
  bool run();

  /// Whether an error may be reported: the first one.
  bool beginReport();

  Launch &launch;
  const int64_t number;
  SharedMemory shared;
  std::vector<std::unique_ptr<Warp>> warps;

  //===--------------------------------------------------------------------===//
  // Waiting
  //===--------------------------------------------------------------------===//

  /// Those who wait may go on.
  void notify() { ++changes; }
  /// Whether something asynchronous happens now that may.
  bool isNow();
  /// All warps of a warpgroup have arrived at an instruction with this one.
  enum class Arrival { Last, Waits, Fails };
  Arrival arriveTogether(Warp &warp, const Instruction &instruction);

  /// The barrier of all threads: how often it has let them go.
  unsigned barrierRounds = 0, barrierArrived = 0;
  Knowledge barrierCurrent, barrierCompleted;

  /// Barriers in shared memory by their addresses.
  std::map<uint32_t, MemoryBarrier> barriers;
  /// Ends a phase to which nothing is missing.
  void updatePhase(MemoryBarrier &barrier);

  /// A copy in bulk that has not arrived.
  struct BoxCopy {
    TensorMap map;
    int64_t row, column;
    uint32_t to, barrier, time;
    unsigned warp;
    const Instruction *instruction;
  };
  std::vector<BoxCopy> boxCopies;
  void deliver(size_t copy);

  Warpgroup groups[kMaxGroups];
  /// Registers that no thread has.
  int64_t freeRegisters = 0;
  std::vector<int64_t> registersOf;

private:
  void reportDeadlock();

  std::mt19937_64 random;
  uint64_t changes = 1;
};

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_BLOCK_H
