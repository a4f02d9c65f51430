//===- GridHelpers.h - What formats with grids share -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_FORMATS_GRIDHELPERS_H
#define MOE_FORMATS_GRIDHELPERS_H

#include "FormatHelpers.h"

#include "moe/Grids.h"

namespace moe {

/// Blocks of 256 in periods of 32, of which a round decodes 16: stream s is
/// elements 4 s to 4 s + 3 of them.
constexpr int64_t kGridBlock = 256, kGridSubBlocks = 8;
DecodeRounds getGridRounds();

/// A code is a magnitude with its sign, with that added.
constexpr int64_t kGridZero = 64;
/// Of the four levels in the lowest bits of `levels`, two or four each: a code is
/// less than zero where bit i of `signs` is set.
mlir::Value buildGridCodes(BlockReader &reader, mlir::Value levels,
                           int64_t bitsOfLevel, llvm::ArrayRef<int8_t> table,
                           mlir::Value signs);

/// Four signs from bit 4 * `half` on of eight, the last of which makes their
/// number even: it is not among the seven bits `seven`.
mlir::Value buildEvenSigns(BlockReader &reader, mlir::Value seven, int64_t half);

/// `factor` * (s + `offset`) for scales s of four bits, those of field `s` one by
/// one from the lowest bits on.
void buildNibbleScales(BlockReader &reader, mlir::Value d, int64_t s,
                       int64_t count, double offset, double factor,
                       llvm::SmallVectorImpl<mlir::Value> &shared);

/// The same, the four bits on top of word `stride` * i + `first` of field `s`.
void buildTopScales(BlockReader &reader, mlir::Value d, int64_t s,
                    int64_t first, int64_t stride, double factor,
                    llvm::SmallVectorImpl<mlir::Value> &shared);

} // namespace moe

#endif // MOE_FORMATS_GRIDHELPERS_H
