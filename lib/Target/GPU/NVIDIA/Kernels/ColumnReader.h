//===- ColumnReader.h - What a lane reads of a step -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_COLUMNREADER_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_COLUMNREADER_H

#include "TableReader.h"

#include "llvm/ADT/DenseMap.h"

namespace moe::nvidia {

/// Reads `columns`, two or four, of a panel, the first of which is `first`, as
/// one of them. Loads are for all; who reads another one finds them made.
class ColumnReader : public TableReader {
public:
  ColumnReader(Emitter &code, const moek::BlockPanels &panels, int64_t k,
               Value block, Value first, int64_t columns = 4)
      : TableReader(code, panels, k, block, first), columns(columns) {}

  void select(int64_t own) { this->own = own; }
  /// What rounds of the selected column share.
  mlir::SmallVector<Value> buildShared();

protected:
  Value load(int64_t field, Value index, int64_t size) override;

private:
  mlir::SmallVector<Value> loadWords(int64_t field, Value index, int64_t size);
  int64_t columns, own = 0;
  llvm::DenseMap<std::pair<int64_t, int64_t>, mlir::SmallVector<Value>> loaded;
};

/// The values of a row that a round of weights meets.
class RowReader {
public:
  /// Reads them, bf16 or f32; `at` is the address of that of the round's first
  /// k. Blocks are of `block` values.
  RowReader(Emitter &code, const DecodeRounds &rounds, int64_t block, Value at,
            Type element);

  /// The values of two k of the round in a word, as bf16.
  Value getPair(int64_t a, int64_t b) const;

private:
  Emitter *code;
  /// The word and the half of it that has a value; of f32 the value.
  llvm::DenseMap<int64_t, std::pair<Value, bool>> halves;
};

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_COLUMNREADER_H
