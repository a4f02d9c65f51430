//===- BlockWeights.h - Weights in formats, for few rows --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A warp multiplies panels of 32 columns, `#moe_gpu.blocks`, by eight rows. A
// lane loads the words of four columns at once, which are 16 bytes next to each
// other, and four lanes words that follow one another: a warp reads 512 bytes
// in a row. These four columns are a lane's rows in two products m16n8k16, and
// its words the depth: the instruction leaves open which. Where more blocks are
// wanted than there are panels, one has half of it, and a lane two columns.
//
// Codes and small floats become bf16 by their bits, exactly (WeightPairs), and
// sums of their products are scaled in f32, where the four lanes that share a
// row have the same scales. Other weights are decoded to f32 and rounded.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_BLOCKWEIGHTS_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_BLOCKWEIGHTS_H

#include "ColumnReader.h"
#include "WeightPairs.h"

#include "moe-mlir/Target/GPU/Common/MatmulArguments.h"

#include "llvm/ADT/MapVector.h"

namespace moe::nvidia {

class BlockWeights {
public:
  /// Columns of a panel.
  static constexpr int64_t kColumns = 32;
  static constexpr int64_t kMostWarps = 8;

  /// Of `columns` of a panel, 32 or 16, by up to `most` warps. Rows are bf16,
  /// or f32 that is rounded.
  BlockWeights(Emitter &code, const gpu::MatmulShape &shape,
               int64_t columns = kColumns, int64_t most = kMostWarps);

  /// Whether rows of `k` weights in this format can be read so.
  static bool canRead(WeightFormatAttrInterface format, int64_t k);

  int64_t getColumns() const { return 8 * ofLane; }
  /// Of the columns, that a lane has: l times as many and up, if it is lane
  /// 4 l + q.
  int64_t getColumnsOfLane() const { return ofLane; }
  /// Sums that a lane has of a part: of its column i / 2 and row 2 q + i % 2.
  int64_t getSums() const { return 2 * ofLane; }
  /// Warps that share the depth.
  int64_t getWarps() const { return warps; }
  /// Warps that a multiprocessor should have room for.
  int64_t getResident() const;

  /// The sums of a warp, part by part. `left` is the address of the lane's row,
  /// number l if it is lane 4 l + q; `weights` that of the weights, of which
  /// `firstColumn` begins a panel, or half of one.
  mlir::SmallVector<Value> multiply(Value left, Value weights, Value expert,
                                    Value firstColumn, Value warp, Value lane);

  /// Prefetches the columns' blocks, up to `most` bytes of a part, by so many
  /// threads of which each calls it.
  void prefetch(Value weights, Value expert, Value firstColumn, Value thread,
                int64_t threads, int64_t most);

private:
  /// What is scaled: a row's sum, that of a sub-block, or each weight, as bf16
  /// or f32.
  enum class Scales { Rows, Sums, Weights, Values };
  /// Four numbers of each of four lanes.
  struct Stream {
    int64_t step, stream;
  };
  /// Steps that have all numbers of some scales.
  struct Chunk {
    int64_t begin, end;
    llvm::MapVector<int64_t, mlir::SmallVector<Stream>> ofScales;
  };
  /// What a lane reads of a part.
  struct Columns;
  /// Part of a block that a warp decodes at a time.
  struct Unit;
  using Words = mlir::SmallVector<Value>;
  using Sums = mlir::MutableArrayRef<Value>;

  int64_t getPanelBytes() const { return shape.k / block * blockBytes; }
  /// Where those of a part begin.
  Value getPanel(Value weights, Value expert, Value firstColumn, int64_t part);

  void planScales();
  void planUnits();
  void planChunks();
  /// The number of a round's sub-block; its place in the block is known.
  int64_t getSubBlock(int64_t round, int64_t stream) const;
  int64_t getStreams() const { return rounds.first.size() / 4; }

  Unit begin(Value number);
  /// Period and word of the lane's round in a step of a unit, as indices.
  std::pair<Value, Value> getRound(const Unit &unit, int64_t step);
  void load(Unit &unit, const Chunk &chunk);
  RowReader loadRows(const Unit &unit, int64_t step);
  /// The rows that a stream meets.
  std::array<Value, 2> getRows(const Unit &unit, const Stream &stream) const;

  Words multiplyUnits(Value first, int64_t count, ValueRange sums);
  void multiply(Unit &unit, const Chunk &chunk, Sums sums);
  void multiplyScaled(Unit &unit, int64_t sub, mlir::ArrayRef<Stream> streams,
                      Sums sums);
  /// Adds the products of two columns.
  void multiplyStream(Unit &unit, const Stream &stream, int64_t part,
                      int64_t half, Sums sums);
  void multiplyValues(Unit &unit, int64_t step, Sums sums);
  void scaleRows(Sums sums);

  Emitter &code;
  const gpu::MatmulShape &shape;
  moek::BlockPanels panels;
  DecodeRounds rounds;
  int64_t ofLane, most, block, blockBytes, stepsOfBlock;
  std::unique_ptr<WeightPairs> pairs;
  Scales scales = Scales::Values;
  /// Whether a block has one scale.
  bool hasOneScale;
  int64_t unitSteps, unitsOfBlock, units, warps, ahead;
  std::vector<Chunk> chunks;
  Value column, ownPeriod, ownWord, ownRow;
  Words ownPanels;
};

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_BLOCKWEIGHTS_H
