//===- Variations.cpp - What may be tried on a CPU --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Prefetching, chunks and runs alone: how values are multiplied, and in which
// tiles, is the model's choice, and what rounds differently stays as it is.
//
//===----------------------------------------------------------------------===//

#include "Variations.h"
#include "CostModel.h"

using namespace mlir;
using namespace moe;
using moecpu::PrefetchAttr;
using moecpu::TargetAttr;

namespace {
/// The tuning of a chip, to be changed.
struct Tuning {
  explicit Tuning(TargetAttr cpu)
      : cpu(cpu), run(cpu.getRun()), chunk(cpu.getChunk()),
        prefetch(cpu.getPrefetch()), level(cpu.getPrefetchLevel()),
        widened(cpu.getWidened()) {}

  moek::TargetAttrInterface get() const {
    return TargetAttr::get(cpu.getContext(), cpu.getName(), cpu.getArch(),
                           cpu.getCpu(), cpu.getFeatures(), cpu.getNeeds(),
                           cpu.getInstructions(), cpu.getLanes(),
                           cpu.getRegisters(), cpu.getL1(), cpu.getL2(),
                           cpu.getScalable(), cpu.getModels(), cpu.getRates(),
                           run, chunk, prefetch, level, widened);
  }

  TargetAttr cpu;
  int64_t run, chunk;
  SmallVector<PrefetchAttr> prefetch;
  int64_t level, widened;
};
} // namespace

Target::Variations moe::getCpuVariations(TargetAttr cpu) {
  MLIRContext *context = cpu.getContext();
  CpuCostModel model(cpu);
  constexpr int64_t most = 64;
  SmallVector<PrefetchAttr> own = model.selectPrefetch(most);
  Target::Variations variations;
  auto vary = [&](StringRef name, auto values, auto change) {
    std::vector<moek::TargetAttrInterface> chips;
    for (const auto &value : values) {
      Tuning tuning(cpu);
      change(tuning, value);
      chips.push_back(tuning.get());
    }
    variations.emplace_back(name.str(), std::move(chips));
  };

  // Rules: nothing up to some rows, and then one set of distances.
  PrefetchAttr far = own.back();
  int64_t few = own.size() > 1 && own.front().getAhead().empty()
                    ? own.front().getRows()
                    : 0;
  auto rules = [&](int64_t few, ArrayRef<int64_t> ahead,
                   ArrayRef<int64_t> levels) {
    SmallVector<PrefetchAttr> list;
    if (few)
      list.push_back(PrefetchAttr::get(context, few, {}, {}));
    list.push_back(PrefetchAttr::get(context, most, ahead, levels));
    return list;
  };
  struct Distances {
    SmallVector<int64_t> ahead, levels;
  };
  vary("prefetch distance",
       std::vector<Distances>{{{8192}, {2}},
                              {{4096}, {2}},
                              {{16384}, {2}},
                              {{8192, 2048}, {2, 1}},
                              {{12288, 4096}, {2, 1}},
                              {{16384, 4096}, {2, 1}},
                              {{8192, 4096, 2048}, {2, 2, 1}}},
       [&](Tuning &tuning, const Distances &distances) {
         tuning.prefetch = rules(few, distances.ahead, distances.levels);
       });
  vary("rows without prefetching",
       std::vector<int64_t>{0, 1, 2, 4, 6, 8, most - 1},
       [&](Tuning &tuning, int64_t rows) {
         tuning.prefetch = rules(rows, far.getAhead(), far.getLevels());
       });
  vary("chunk", std::vector<int64_t>{16, 32, 64, 96, 128, 192},
       [&](Tuning &tuning, int64_t kib) { tuning.chunk = kib << 10; });
  vary("run", std::vector<int64_t>{512, 1024, 2048, 4096, 8192},
       [&](Tuning &tuning, int64_t kib) { tuning.run = kib << 10; });
  vary("level of the next chunk", std::vector<int64_t>{1, 2, 3},
       [&](Tuning &tuning, int64_t level) { tuning.level = level; });
  if (model.selectBF16() == moecpu::Inner::Widen)
    vary("widened once", std::vector<int64_t>{0, 16, 32, 64},
         [&](Tuning &tuning, int64_t kib) { tuning.widened = kib << 10; });
  return variations;
}
