//===- BlockDecoder.h - Weights in a format, decoded by threads -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A thread makes f32 of one round of a block of one column, by the IR that the
// format builds on scalars. The depth is then in the order of rounds: a step of
// a product is some rounds of a period, whatever k they are of.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_COMMON_BLOCKDECODER_H
#define MOE_MLIR_LIB_TARGET_GPU_COMMON_BLOCKDECODER_H

#include "moe-mlir/Target/GPU/Common/Emitter.h"

#include "moek/BlockPanels.h"

namespace moe::gpu {

class BlockDecoder {
public:
  /// For steps of up to `mostDepth` values, or of one round, of rows of `k`.
  BlockDecoder(Emitter &code, const moek::BlockPanels &panels, int64_t k,
               int64_t mostDepth);

  /// Steps of a row.
  int64_t getSteps() const { return k / getDepth(); }
  /// Values of a step, rounds of it, and values of a round.
  int64_t getDepth() const { return ofStep * getValues(); }
  int64_t getRounds() const { return ofStep; }
  int64_t getValues() const { return order.size(); }
  /// Places from a multiple of that on have as many consecutive k, from a
  /// multiple of it on: 1, 2 or 4.
  int64_t getChunk() const { return chunk; }

  /// The k that is at a place of a step; of each chunk, that of the first.
  Value getK(Value step, Value place);
  /// The values of a round of a step, by place, of a column of a panel at
  /// `panel`.
  mlir::SmallVector<Value> decode(Value panel, Value column, Value step,
                                  Value round);

private:
  /// A step's block, and its period and first word in that.
  struct Step {
    Value block, period, word;
  };
  Step find(Value step);

  Emitter &code;
  moek::BlockPanels panels;
  int64_t k, block;
  DecodeRounds rounds;
  int64_t ofStep, chunk;
  /// Values of a round by ascending k.
  mlir::SmallVector<int64_t> order;
};

} // namespace moe::gpu

#endif // MOE_MLIR_LIB_TARGET_GPU_COMMON_BLOCKDECODER_H
