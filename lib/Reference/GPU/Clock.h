//===- Clock.h - What has happened before what ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Vector clocks of a block. Warps are actors, and so is all that works beside
// them: the products of a warpgroup, the copies of a warp, and the copies that
// arrive at a barrier. An actor's own component grows whenever others may learn
// what it has done; whoever waits for it takes it over.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_REFERENCE_GPU_CLOCK_H
#define MOE_MLIR_LIB_REFERENCE_GPU_CLOCK_H

#include <algorithm>
#include <array>
#include <cstdint>

namespace moe::reference::simt {

constexpr unsigned kMaxWarps = 64, kMaxGroups = kMaxWarps / 4,
                   kMaxBarriers = 56;

/// Numbers of actors.
constexpr unsigned ofWarp(unsigned warp) { return warp; }
constexpr unsigned ofProducts(unsigned group) { return kMaxWarps + group; }
constexpr unsigned ofCopies(unsigned warp) {
  return kMaxWarps + kMaxGroups + warp;
}
constexpr unsigned ofBarrier(unsigned barrier) {
  return 2 * kMaxWarps + kMaxGroups + barrier;
}
constexpr unsigned kMaxActors = ofBarrier(kMaxBarriers);
/// Those that read shared memory have the lowest numbers.
constexpr unsigned kMaxReaders = ofCopies(0);

struct Clock {
  std::array<uint32_t, kMaxActors> times = {};

  uint32_t &operator[](unsigned actor) { return times[actor]; }
  uint32_t operator[](unsigned actor) const { return times[actor]; }
  void join(const Clock &other) {
    for (unsigned i = 0; i < kMaxActors; ++i)
      times[i] = std::max(times[i], other.times[i]);
  }
};

/// What a warp knows to have happened, and what of it the asynchronous proxy
/// sees: products of warpgroups and copies in bulk read shared memory by
/// another path than threads write it, and a fence is between.
struct Knowledge {
  Clock seen, published;

  void join(const Knowledge &other) {
    seen.join(other.seen);
    published.join(other.published);
  }
};

} // namespace moe::reference::simt

#endif // MOE_MLIR_LIB_REFERENCE_GPU_CLOCK_H
