//===- TileBlock.h - Warpgroups that share tiles ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the warpgroups of Hopper's kernels have in common: the tiles that their
// block takes, and a ring of stages in shared memory, a piece of the depth of
// a tile each. One warpgroup fills stages and the others multiply them; stages
// are handed on by two barriers each, `full` and `empty`.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_TILEBLOCK_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_TILEBLOCK_H

#include "Emitter.h"
#include "Kernels.h"

#include "moe-mlir/Target/GPU/Common/MatmulArguments.h"
#include "moe-mlir/Target/GPU/Common/Tiles.h"

namespace moe::nvidia {

/// Which stage is next, and how often the ring has gone round, modulo 2.
struct Ring {
  static constexpr int64_t kStages = 4;

  Value stage, parity;

  static Ring getStart(Emitter &code) {
    return {code.constant(0), code.constant(0)};
  }
  Ring next(Emitter &code) const {
    Value stage = code.add(this->stage, 1);
    Value wraps = code.isEqual(stage, kStages);
    return {code.select(wraps, code.constant(0), stage),
            code.select(wraps, code.bitXor(parity, code.constant(1)), parity)};
  }
  Ring previous(Emitter &code) const {
    return {code.select(code.isEqual(stage, 0), code.constant(kStages - 1),
                        code.add(stage, -1)),
            Value()};
  }
};

struct TileBlock {
  /// A tile's rows, columns (of all parts), and the bytes of a stage's depth,
  /// 64 values of bf16 or 128 of E4M3: what shared memory is swizzled by.
  static constexpr int64_t kRows = 128, kColumns = 256;
  static constexpr int64_t kRowBytes = 128;
  static constexpr int64_t kLhsBytes = kRows * kRowBytes,
                           kRhsBytes = kColumns * kRowBytes;
  static constexpr int64_t kGroupThreads = 128;

  TileBlock(Emitter &code, const MatmulShape &shape, ValueRange arguments)
      : code(code), shape(shape), given(shape, arguments),
        tiles(shape.experts, kRows, kColumns / shape.parts, shape.n) {}

  int64_t getSharedBytes() const { return getTableAt() + tiles.getBytes(); }
  /// Of a stage, in values.
  int64_t getDepth() const { return kRowBytes / getValueBytes(); }
  int64_t getValueBytes() const {
    return shape.rows.getIntOrFloatBitWidth() / 8;
  }
  int64_t getSteps() const { return (shape.k + getDepth() - 1) / getDepth(); }

  /// Counts tiles and makes barriers of stages, which so many threads and
  /// copies fill and so many free. Threads wait for each other.
  void begin(int64_t fills, int64_t frees);

  /// `body` for each tile of this block, with values that go round.
  mlir::SmallVector<Value> forEachTile(
      ValueRange initial,
      llvm::function_ref<mlir::SmallVector<Value>(const Tile &, ValueRange)>
          body);

  Value getLhs(const Ring &ring) {
    return code.at(shared, code.mul(ring.stage, kLhsBytes));
  }
  Value getRhs(const Ring &ring) {
    return code.at(code.at(shared, code.mul(ring.stage, kRhsBytes)), kRhsAt);
  }
  /// The scales of a stage's rows and columns, where rows have any: f32 of each
  /// row, and of the columns what their format stores.
  Value getRowScales(const Ring &ring) {
    return code.at(code.at(shared, code.mul(ring.stage, kScaleBytes)),
                   kScalesAt);
  }
  Value getColumnScales(const Ring &ring) {
    return code.at(getRowScales(ring), kRows * 4);
  }
  Value full(const Ring &ring) { return barrier(kFullAt, ring); }
  Value empty(const Ring &ring) { return barrier(kEmptyAt, ring); }

  /// Until nobody reads what the stage had.
  void waitUntilEmpty(const Ring &ring) {
    code.wait(empty(ring), code.bitXor(ring.parity, code.constant(1)));
  }
  /// What this thread wrote for the stage is there.
  void publish(const Ring &ring) {
    code.publishToAsync();
    code.arrive(full(ring));
  }

  Emitter &code;
  const MatmulShape &shape;
  gpu::MatmulArguments given;
  Tiles tiles;
  /// `warp` is the same in all lanes, which the compiler of PTX would not see.
  Value shared, table, thread, lane, warp, total;

private:
  static constexpr int64_t kRhsAt = Ring::kStages * kLhsBytes;
  static constexpr int64_t kFullAt = kRhsAt + Ring::kStages * kRhsBytes;
  static constexpr int64_t kEmptyAt = kFullAt + Ring::kStages * 8;
  static constexpr int64_t kScalesAt = kEmptyAt + Ring::kStages * 8;
  static constexpr int64_t kScaleBytes = (kRows + kColumns) * 4;

  int64_t getTableAt() const {
    return kScalesAt + (shape.scales ? Ring::kStages * kScaleBytes : 0);
  }

  Value barrier(int64_t at, const Ring &ring) {
    return code.at(code.at(shared, code.shl(ring.stage, 3)), at);
  }
};

/// Rows of a tile that threads copy into stages, 16 bytes at a time.
class RowCopies {
public:
  /// By so many threads, the block's first; eight of them copy a row's bytes.
  RowCopies(TileBlock &block, int64_t threads);

  /// Of the eight of a row, the one that this thread copies.
  Value getChunk() const { return chunk; }
  /// Finds the rows of a tile, of which the thread's chunk is `bytes` behind
  /// the first one.
  void begin(const Tile &tile, Value bytes);
  /// Starts copies of 128 bytes a row, of which the first chunk is at `from`.
  void copy(const Ring &ring, Value from);

private:
  TileBlock &block;
  int64_t threads;
  Value chunk, row, place;
  mlir::SmallVector<Value> sources;
};

/// Code of the warpgroup that fills stages, how many arrive at a full one, and
/// the registers that a thread may have.
struct Filler {
  int64_t arrivals, registers;
  void (*build)(TileBlock &);
};

/// Of bf16: rows of weights by the copy engine, rows of activations by it, too,
/// where they lie in a row, or else by the threads.
Filler getCopyingFiller(const MatmulShape &shape);

/// Of weights in a format, which threads decode: bf16, rounded once.
Filler getDecodingFiller(const MatmulShape &shape);

/// Of weights in #moe.fp8, as they are stored, with rows of E4M3 and the scales
/// of both.
Filler getScaledFiller(const MatmulShape &shape);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_TILEBLOCK_H
