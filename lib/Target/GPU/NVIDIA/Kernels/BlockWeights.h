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
// its words the depth: the instruction leaves open which.
//
// Codes become bf16 by their bits, exactly, and products of them are scaled
// where all four lanes have the same scales, in f32. Other formats are decoded
// to f32 and rounded.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_BLOCKWEIGHTS_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_BLOCKWEIGHTS_H

#include "Emitter.h"

#include "moe-mlir/Target/GPU/Common/MatmulArguments.h"

#include "moek/BlockPanels.h"

namespace moe::nvidia {

class BlockWeights {
public:
  /// Columns of a panel, and sums that a lane has of it: of column 4 l + i / 2
  /// and row 2 q + i % 2, if it is lane 4 l + q.
  static constexpr int64_t kColumns = 32, kSums = 8;

  BlockWeights(Emitter &code, const gpu::MatmulShape &shape);

  /// Whether rows of `k` weights in this format can be read so.
  static bool canRead(WeightFormatAttrInterface format, int64_t k);

  /// Warps that share the depth.
  int64_t getWarps() const { return warps; }

  /// The sums of a warp, part by part. `left` is the address of the lane's row,
  /// bf16, number l if it is lane 4 l + q; `weights` that of the weights, of
  /// which `firstColumn` begins a panel.
  mlir::SmallVector<Value> multiply(Value left, Value weights, Value expert,
                                    Value firstColumn, Value warp, Value lane);

private:
  using Words = mlir::SmallVector<Value>;
  /// Two values of bf16 a word: those of a step of a lane's row.
  class Rows;
  /// What a lane reads of a block of its four columns.
  struct Columns;
  /// Part of a block whose loads are made together.
  struct Unit;
  /// Codes of four lanes that are multiplied at once, and their scale.
  struct Stream {
    int64_t step, stream, sub;
  };

  void planScales();
  void planUnits();
  /// The number of a round's sub-block; its place in the block is known.
  int64_t getSubBlock(int64_t round, int64_t stream) const;

  Unit load(Value number);
  /// Period and word of the lane's round in a step of a unit, as indices.
  std::pair<Value, Value> getRound(const Unit &unit, int64_t step);
  Rows loadRows(const Unit &unit, int64_t step);
  Words multiplyUnits(Value first, int64_t count, ValueRange sums);
  void loadCodes(Unit &unit);
  void multiplyCodes(Unit &unit, mlir::MutableArrayRef<Value> sums);
  void multiplyValues(Unit &unit, mlir::MutableArrayRef<Value> sums);
  /// Bf16 whose sum is a code and `getOffset` less: one or two terms, each of
  /// two words.
  mlir::SmallVector<std::array<Value, 2>> toTerms(Value codes);
  /// What is to be added to a sum of terms.
  int64_t getOffset() const;
  bool isWide() const { return form.zero + form.most > 127; }
  void scaleRows(mlir::MutableArrayRef<Value> sums);

  Emitter &code;
  const gpu::MatmulShape &shape;
  moek::BlockPanels panels;
  CodedFormatAttrInterface coded;
  DecodeRounds rounds;
  CodeForm form;
  int64_t block, blockBytes, ofRound, stepsOfBlock;
  /// Whether codes are multiplied, and whether a row has one scale.
  bool multipliesCodes = false, scalesRows = false;
  int64_t unitSteps, unitsOfBlock, units, warps, ahead;
  Value quarter, column, ownPeriod, ownWord, ownRow;
  Words ownPanels;
};

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_BLOCKWEIGHTS_H
