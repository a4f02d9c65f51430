//===- IQ2_XS.cpp - Blocks of 256 by a grid of 512           *- C++ -*-===//
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

int64_t IQ2_XSFormatAttr::getBlockSize(int64_t) const { return kGridBlock; }

SmallVector<BlockField> IQ2_XSFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"d", b.getF16Type()},
              {"q", b.getI8Type(), kGridBlock / 4},
              {"s", b.getI8Type(), kGridSubBlocks}});
  fields[D].range = MadeUpRange::about(1 / 55.9);
  return fields;
}

DecodeRounds IQ2_XSFormatAttr::getRounds(int64_t) const {
  return getGridRounds();
}

CodeForm IQ2_XSFormatAttr::getCodeForm(int64_t) const {
  return {/*subBlock=*/16, kGridZero, /*hasMinimum=*/false, /*most=*/43};
}

void IQ2_XSFormatAttr::buildShared(BlockReader &reader, int64_t,
                                   SmallVectorImpl<Value> &shared) const {
  buildNibbleScales(reader, reader.readNumber(D, 0), S, 2 * kGridSubBlocks, 0.5,
                    0.25, shared);
}

Value IQ2_XSFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                   Value word, int64_t stream) const {
  int64_t eight = stream / 2, half = stream % 2;
  // Of 16 bits, nine are an index and seven signs.
  Value pair = reader.readWord(Q, reader.sum(reader.indexOf(period, 2), word));
  Value index = reader.bitAnd(reader.shiftRight(pair, 16 * eight), 511);
  Value signs = reader.bitAnd(reader.shiftRight(pair, 16 * eight + 9), 127);
  signs = buildEvenSigns(reader, signs, half);
  Value levels = reader.lookUp(index, kGridIQ2_XS);
  return buildGridCodes(reader, reader.shiftRight(levels, 8 * half), 2,
                        kLevelsIQ2, signs);
}

double IQ2_XSFormatAttr::getErrorBound() const { return 1.0 / 4; }
