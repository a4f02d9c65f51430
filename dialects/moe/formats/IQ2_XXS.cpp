//===- IQ2_XXS.cpp - Blocks of 256 by a grid of 256           *- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "GridHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
enum Field { D, Q };
} // namespace

int64_t IQ2_XXSFormatAttr::getBlockSize(int64_t) const { return kGridBlock; }

SmallVector<BlockField> IQ2_XXSFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"d", b.getF16Type()}, {"q", b.getI8Type(), kGridBlock / 4}});
  fields[D].range = MadeUpRange::about(1 / 53.4);
  return fields;
}

DecodeRounds IQ2_XXSFormatAttr::getRounds(int64_t) const {
  return getGridRounds();
}

CodeForm IQ2_XXSFormatAttr::getCodeForm(int64_t) const {
  return {/*subBlock=*/32, kGridZero, /*hasMinimum=*/false, /*most=*/43};
}

void IQ2_XXSFormatAttr::buildShared(BlockReader &reader, int64_t,
                                    SmallVectorImpl<Value> &shared) const {
  // Each 32 have four indices in a word, and signs and a scale in the next.
  buildTopScales(reader, reader.readNumber(D, 0), Q, /*first=*/1, /*stride=*/2,
                 0.25, shared);
}

Value IQ2_XXSFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                    Value word, int64_t stream) const {
  int64_t eight = stream / 2, half = stream % 2;
  Value indices = reader.readWord(Q, reader.indexOf(period, 2));
  Value index = reader.bitAnd(
      reader.shiftRight(reader.shiftRight(indices, reader.indexOf(word, 16)),
                        8 * eight),
      255);
  Value signs = reader.readWord(Q, reader.indexOf(period, 2, 1));
  signs = reader.bitAnd(
      reader.shiftRight(reader.shiftRight(signs, reader.indexOf(word, 14)),
                        7 * eight),
      127);
  signs = buildEvenSigns(reader, signs, half);
  Value levels = reader.lookUp(index, kGridIQ2_XXS);
  return buildGridCodes(reader, reader.shiftRight(levels, 8 * half), 2,
                        kLevelsIQ2, signs);
}

double IQ2_XXSFormatAttr::getErrorBound() const { return 1.0 / 4; }
