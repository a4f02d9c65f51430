//===- StageWeights.h - Weights in formats become stages --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A thread decodes 64 values of one column of a panel for each stage, as many
// rounds of its format as have so many. Their k need not follow one another,
// but in chunks of eight: rows are copied in the same order of chunks, and a
// product does not see which k it adds.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_STAGEWEIGHTS_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_STAGEWEIGHTS_H

#include "TableReader.h"

#include "moe-mlir/Target/GPU/Common/Kernels.h"

#include <optional>

namespace moe::nvidia {

/// What the steps of a unit of the depth decode, one unit like the other.
struct StagePlan {
  static constexpr int64_t kValues = 64, kChunk = 8;

  struct Round {
    /// In the unit.
    int64_t block, period, word;
  };
  struct Step {
    mlir::SmallVector<Round> rounds;
    /// The first k of the first chunk, in the unit.
    int64_t first;
  };

  /// None for rows that make no such steps.
  static std::optional<StagePlan> get(WeightFormatAttrInterface format,
                                      int64_t k);

  int64_t getUnit() const { return kValues * steps.size(); }

  mlir::SmallVector<Step> steps;
  /// Of a step, how far each chunk is from the first one; of all steps.
  mlir::SmallVector<int64_t> chunks;
  /// Whether a block has several units, each of so many periods.
  int64_t periodsOfUnit = 0;
};

/// Whether kernels for many rows read `n` rows of `k` such weights.
bool canDecodeStages(WeightFormatAttrInterface format, int64_t n, int64_t k);

/// Decodes steps of a column.
class StageWeights {
public:
  StageWeights(Emitter &code, const gpu::MatmulShape &shape);

  const StagePlan &getPlan() const { return plan; }

  /// Of the panel at this address, column `column`; a chunk goes to `swizzle`
  /// exclusive or its number times 16.
  void begin(Value panel, Value column, Value swizzle);
  /// What a step reads, where it is worth while to read it a step ahead.
  mlir::SmallVector<Value> load(Value unit, int64_t step);
  /// Decodes it, and stores it into the row at `to`.
  void decode(Value unit, int64_t step, ValueRange loaded, Value to);

private:
  class Reader;
  using Words = mlir::SmallVector<Value>;

  /// Builds what becomes of a step; `store` gets chunks of four words.
  void build(Value unit, const StagePlan::Step &step, Words &loads,
             bool replays, llvm::function_ref<void(int64_t, ValueRange)> store);
  Words buildRound(Reader &reader, Value period, Value word);

  Emitter &code;
  moek::BlockPanels panels;
  int64_t k;
  bool readsAhead;
  StagePlan plan;
  Value panel, column, swizzle;
};

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_STAGEWEIGHTS_H
