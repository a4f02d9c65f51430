//===- IQ3_XXS.cpp - Blocks of 256 by a grid of 256           *- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "GridHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
enum Field { D, Q, S };
} // namespace

int64_t IQ3_XXSFormatAttr::getBlockSize(int64_t) const { return kGridBlock; }

SmallVector<BlockField> IQ3_XXSFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"d", b.getF16Type()},
              {"q", b.getI8Type(), kGridBlock / 4},
              {"s", b.getI8Type(), 4 * kGridSubBlocks}});
  fields[D].range = MadeUpRange::about(1 / 142.0);
  return fields;
}

DecodeRounds IQ3_XXSFormatAttr::getRounds(int64_t) const {
  return getGridRounds();
}

CodeForm IQ3_XXSFormatAttr::getCodeForm(int64_t) const {
  return {/*subBlock=*/32, kGridZero, /*hasMinimum=*/false, /*most=*/62};
}

void IQ3_XXSFormatAttr::buildShared(BlockReader &reader, int64_t,
                                    SmallVectorImpl<Value> &shared) const {
  // Each 32 have signs and a scale in a word.
  buildTopScales(reader, reader.readNumber(D, 0), S, /*first=*/0, /*stride=*/1,
                 0.5, shared);
}

Value IQ3_XXSFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                    Value word, int64_t stream) const {
  Value four = reader.readWord(Q, reader.sum(reader.indexOf(period, 2), word));
  Value signs =
      reader.shiftRight(reader.readWord(S, period), reader.indexOf(word, 14));
  signs = reader.bitAnd(reader.shiftRight(signs, 7 * (stream / 2)), 127);
  signs = buildEvenSigns(reader, signs, stream % 2);
  Value levels = reader.lookUp(reader.byteOf(four, stream), kGridIQ3_XXS);
  return buildGridCodes(reader, levels, 4, kLevelsIQ3_XXS, signs);
}

double IQ3_XXSFormatAttr::getErrorBound() const { return 1.0 / 8; }
