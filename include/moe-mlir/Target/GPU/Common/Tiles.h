//===- Tiles.h - How blocks of threads share the rows of experts -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The rows of each expert are cut into tiles of `rows`, its columns into tiles
// of `columns`. Blocks take tiles round robin, expert by expert and, of one
// expert, all tiles of the same columns in a row: they read the same weights at
// about the same time. Nothing of it is known before the kernel runs: each
// block counts the tiles of all experts once, in shared memory.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_TILES_H
#define MOE_MLIR_TARGET_GPU_COMMON_TILES_H

#include "moe-mlir/Target/GPU/Common/Emitter.h"

namespace moe::gpu {

struct Tile {
  /// Of the tile's first row, and behind its expert's last; i32.
  Value expert, firstRow, endRow, firstColumn;
};

class Tiles {
public:
  Tiles(int64_t experts, int64_t rows, int64_t columns, int64_t n)
      : experts(experts), rows(rows), columns(columns),
        columnTiles((n + columns - 1) / columns),
        slots((experts + 31) / 32 * 32) {}

  /// Of the table in shared memory.
  int64_t getBytes() const { return 2 * (slots + 1) * 4; }

  /// Fills the table; for one team, before a barrier.
  void count(Emitter &code, Value offsets, Value table, Value lane) const;

  /// How many there are; behind the barrier.
  Value getTotal(Emitter &code, Value table) const;

  /// The one with this number; for whole teams.
  Tile find(Emitter &code, Value table, Value lane, Value number) const;

private:
  int64_t experts, rows, columns, columnTiles, slots;
};

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_TILES_H
