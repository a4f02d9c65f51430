//===- Occupancy.cpp - How many blocks run at once --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Occupancy.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

using namespace llvm;
using moe::KernelFacts;

KernelFacts &moe::gpu::findKernel(std::vector<KernelFacts> &facts,
                                  StringRef name) {
  auto known = find_if(
      facts, [&](const KernelFacts &each) { return each.name == name; });
  if (known != facts.end())
    return *known;
  facts.emplace_back();
  facts.back().name = name.str();
  return facts.back();
}

void moe::gpu::setOccupancy(KernelFacts &kernel, ArrayRef<BlockLimit> limits,
                            int64_t warps, int64_t mostWarps) {
  auto least = std::min_element(
      limits.begin(), limits.end(),
      [](const auto &a, const auto &b) { return a.blocks < b.blocks; });
  kernel.blocksAtOnce = least->blocks;
  kernel.occupancy = double(least->blocks * warps) / mostWarps;
  kernel.limit = least->what;
}
