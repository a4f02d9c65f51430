//===- QuantizedRows.h - Rows that products of bytes read ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_QUANTIZEDROWS_H
#define MOE_LIB_TARGET_CPU_KERNELS_QUANTIZEDROWS_H

#include "moe-mlir/Target/Lanes/Emitter.h"

#include "moe/Moe.h"
#include "moe_cpu/MoeCpu.h"

namespace moe {

/// How a row of activations is stored as bytes with a sign, for weights of a format
/// of codes. A row is blocks, each
///
///     for each plane, the bytes of `block` values; then an f32 scale: a value is
///     its byte times it, or, of two planes, the low byte and 256 of the high one;
///     then for each sub-block of the weights four bytes, its correction.
///
/// Products of codes miss the part of the weights that is the same for all of a
/// sub-block; the correction is that part of it that the row knows: for each plane
/// an i32, `-zero` times the sum of the bytes, with which a sum of products begins;
/// or, where weights have minima, an f32, the sum of the values times `-scale`, to
/// be multiplied with them.
class QuantizedRows {
public:
  QuantizedRows(CodedFormatAttrInterface format, int64_t k,
                moecpu::ScheduleAttr schedule);

  int64_t k, block, subBlock, planes;
  /// What codes, as they are multiplied, stand for less than they are.
  int64_t zero;
  /// The largest code; more than 127 are multiplied without a sign, or, where
  /// products are of numbers with one, less 128.
  int64_t largest;
  bool hasMinimum, hasSign;
  /// The order of codes of each 32 values, if it is not theirs: byte i is value
  /// order[i]. Else empty.
  llvm::SmallVector<int64_t> order;

  int64_t blockBytes() const {
    return planes * block + 4 +
           4 * (block / subBlock) * (hasMinimum ? 1 : planes);
  }
  int64_t rowBytes() const { return k / block * blockBytes(); }
  /// What is padded so that rows of a tile fall into different cache sets.
  int64_t pitch() const;
  /// Where in a row its byte for a code of `k` is; a constant.
  int64_t valueAt(int64_t k, int64_t plane) const;
  int64_t scaleAt(int64_t block) const;
  int64_t correctionAt(int64_t subBlock, int64_t plane) const;
};

/// dst[r] = src[tokens ? tokens[r] : r][0:k] * (weights ? weights[r] : 1), quantised,
/// for begin <= r < end. `dst` is a memref of bytes. In parallel.
void emitQuantizeRows(Emitter &e, const QuantizedRows &rows, mlir::Value src,
                      mlir::Value tokens, mlir::Value weights,
                      mlir::Value begin, mlir::Value end, mlir::Value dst);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_QUANTIZEDROWS_H
