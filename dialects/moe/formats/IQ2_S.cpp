//===- IQ2_S.cpp - Blocks of 256 by a grid of 1024          *- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "GridHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
enum Field { D, Q, Signs, QH, S };
} // namespace

int64_t IQ2_SFormatAttr::getBlockSize(int64_t) const { return kGridBlock; }

SmallVector<BlockField> IQ2_SFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"d", b.getF16Type()},
              {"q", b.getI8Type(), kGridBlock / 8},
              {"signs", b.getI8Type(), kGridBlock / 8},
              {"qh", b.getI8Type(), kGridSubBlocks},
              {"s", b.getI8Type(), kGridSubBlocks}});
  fields[D].range = MadeUpRange::about(1 / 56.4);
  return fields;
}

DecodeRounds IQ2_SFormatAttr::getRounds(int64_t) const {
  return getGridRounds();
}

CodeForm IQ2_SFormatAttr::getCodeForm(int64_t) const {
  return {/*subBlock=*/16, kGridZero, /*hasMinimum=*/false, /*most=*/43};
}

void IQ2_SFormatAttr::buildShared(BlockReader &reader, int64_t,
                                  SmallVectorImpl<Value> &shared) const {
  buildNibbleScales(reader, reader.readNumber(D, 0), S, 2 * kGridSubBlocks, 0.5,
                    0.25, shared);
}

Value IQ2_SFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                  Value word, int64_t stream) const {
  int64_t eight = stream / 2, half = stream % 2;
  auto readByte = [&](int64_t field) {
    Value four = reader.readWord(field, period);
    return reader.shiftRight(reader.shiftRight(four, reader.indexOf(word, 16)),
                             8 * eight);
  };
  Value high = reader.shiftRight(
      reader.shiftRight(reader.readNumber(QH, period), reader.indexOf(word, 4)),
      2 * eight);
  Value index = reader.bitOr(reader.bitAnd(readByte(Q), 255),
                             reader.shiftLeft(reader.bitAnd(high, 3), 8));
  Value signs = reader.shiftRight(readByte(Signs), 4 * half);
  Value levels = reader.lookUp(index, kGridIQ2_S);
  return buildGridCodes(reader, reader.shiftRight(levels, 8 * half), 2,
                        kLevelsIQ2, signs);
}

double IQ2_SFormatAttr::getErrorBound() const { return 1.0 / 4; }
