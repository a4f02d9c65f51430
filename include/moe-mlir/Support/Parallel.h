//===- Parallel.h - Splitting host work over threads -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A parallel loop for preparation work (packing, filling). Kernels use the
// hooks of moe_rt.h instead.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_PARALLEL_H
#define MOE_MLIR_SUPPORT_PARALLEL_H

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace moe {

/// Calls `body(item)` once for each of `items`, in no particular order, on up
/// to `threads` threads (0: one per CPU).
template <typename Body>
void parallelFor(int64_t items, const Body &body, int threads = 0) {
  if (threads <= 0)
    threads = std::max(1u, std::thread::hardware_concurrency());
  threads = static_cast<int>(std::min<int64_t>(threads, items));
  std::atomic<int64_t> next{0};
  auto work = [&] {
    for (int64_t item; (item = next.fetch_add(1)) < items;)
      body(item);
  };
  std::vector<std::thread> workers;
  for (int i = 1; i < threads; ++i)
    workers.emplace_back(work);
  work();
  for (std::thread &worker : workers)
    worker.join();
}

} // namespace moe

#endif // MOE_MLIR_SUPPORT_PARALLEL_H
