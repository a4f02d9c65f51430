//===- WeightPairs.h - Stored weights become bf16 by their bits -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What lets products be formed of the numbers of a format before these are
// scaled: a few operations on bits make of each a bf16 that is it, exactly, but
// for an offset that all have in common. Numbers are integers, or small floats.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_WEIGHTPAIRS_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_WEIGHTPAIRS_H

#include "Emitter.h"

#include "moe/Moe.h"

namespace moe::nvidia {

class WeightPairs {
public:
  /// How the numbers of a format are made bf16; null if they cannot be.
  static std::unique_ptr<WeightPairs> get(WeightFormatAttrInterface format,
                                          int64_t k);
  virtual ~WeightPairs();

  /// Two words of bf16 each: of the numbers 0 and 2 of a stream, and 1 and 3.
  using Pairs = std::array<Value, 2>;

  /// Four numbers of a round as bytes, as the format builds them.
  virtual Value read(BlockReader &reader, int64_t k, Value period, Value word,
                     int64_t stream) const = 0;
  /// Bf16 whose sums, of one or two terms, are a number and `getOffset` more.
  virtual mlir::SmallVector<Pairs> build(Emitter &code, Value four) const = 0;
  /// The scales of a block, and then its minima if it has them, as f32.
  virtual mlir::SmallVector<Value>
  buildScales(Emitter &code, BlockReader &reader, int64_t k) const = 0;

  /// Consecutive k with one scale.
  int64_t getSubBlock() const { return subBlock; }
  /// Of a weight, `scale * number - minimum`.
  bool hasMinimum() const { return minimum; }
  double getOffset() const { return offset; }

  //===--------------------------------------------------------------------===//
  // Where it is weights that are scaled, and not their sums
  //===--------------------------------------------------------------------===//

  /// Whether products with a scale are numbers of bf16, but for one factor that
  /// all have in common. The rest is for such pairs.
  bool hasFactors() const { return commonFactor != 0; }
  double getCommonFactor() const { return commonFactor; }
  /// The scale of a stream, for `buildScaled`.
  virtual Value buildFactor(Emitter &code, BlockReader &reader, int64_t k,
                            Value period, Value word, int64_t stream) const;
  /// Products of the numbers and their scale, divided by the common factor.
  virtual Pairs buildScaled(Emitter &code, Value four, Value factor) const;

protected:
  int64_t subBlock = 0;
  double offset = 0, commonFactor = 0;
  bool minimum = false;
};

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_KERNELS_WEIGHTPAIRS_H
