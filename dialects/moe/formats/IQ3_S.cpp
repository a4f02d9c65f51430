//===- IQ3_S.cpp - Blocks of 256 by a grid of 512           *- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "GridHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
enum Field { D, Q, QH, Signs, S };
} // namespace

int64_t IQ3_SFormatAttr::getBlockSize(int64_t) const { return kGridBlock; }

SmallVector<BlockField> IQ3_SFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"d", b.getF16Type()},
              {"q", b.getI8Type(), kGridBlock / 4},
              {"qh", b.getI8Type(), kGridSubBlocks},
              {"signs", b.getI8Type(), kGridBlock / 8},
              {"s", b.getI8Type(), kGridSubBlocks / 2}});
  fields[D].range = MadeUpRange::about(1 / 140.0);
  return fields;
}

DecodeRounds IQ3_SFormatAttr::getRounds(int64_t) const {
  return getGridRounds();
}

CodeForm IQ3_SFormatAttr::getCodeForm(int64_t) const {
  return {/*subBlock=*/32, kGridZero, /*hasMinimum=*/false, /*most=*/15};
}

void IQ3_SFormatAttr::buildShared(BlockReader &reader, int64_t,
                                  SmallVectorImpl<Value> &shared) const {
  // 2 s + 1 is twice s and a half.
  buildNibbleScales(reader, reader.readNumber(D, 0), S, kGridSubBlocks, 0.5, 2,
                    shared);
}

Value IQ3_SFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                  Value word, int64_t stream) const {
  Value four = reader.readWord(Q, reader.sum(reader.indexOf(period, 2), word));
  Value high =
      reader.shiftRight(reader.readNumber(QH, period), reader.indexOf(word, 4));
  high = reader.bitAnd(reader.shiftRight(high, stream), 1);
  Value index =
      reader.bitOr(reader.byteOf(four, stream), reader.shiftLeft(high, 8));
  Value signs = reader.shiftRight(reader.readWord(Signs, period),
                                  reader.indexOf(word, 16));
  signs = reader.shiftRight(signs, 4 * stream);
  Value levels = reader.lookUp(index, kGridIQ3_S);
  return buildGridCodes(reader, levels, 4, kLevelsIQ3_S, signs);
}

double IQ3_SFormatAttr::getErrorBound() const { return 1.0 / 8; }
