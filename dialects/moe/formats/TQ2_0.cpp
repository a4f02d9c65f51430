//===- TQ2_0.cpp - Blocks of 256 of -1, 0 and 1 in 2 bits ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 256, kHalf = 128, kRow = 32;
enum Field { Q, D };
} // namespace

int64_t TQ2_0FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> TQ2_0FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"q", b.getI8Type(), kBlock / 4}, {"d", b.getF16Type()}});
  // Any bits are -1 to 2, with a mean of a half.
  fields[D].range = MadeUpRange::about(1 / 1.22);
  return fields;
}

DecodeRounds TQ2_0FormatAttr::getRounds(int64_t) const {
  return {/*period=*/kHalf, /*periods=*/2, /*advance=*/4, /*words=*/kRow / 4,
          fours({0, kRow, 2 * kRow, 3 * kRow})};
}

CodeForm TQ2_0FormatAttr::getCodeForm(int64_t) const {
  return {kBlock, /*zero=*/1, /*hasMinimum=*/false, /*most=*/2};
}

void TQ2_0FormatAttr::buildShared(BlockReader &reader, int64_t,
                                  SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
}

Value TQ2_0FormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                  Value word, int64_t stream) const {
  Value bytes =
      reader.readWord(Q, reader.sum(reader.indexOf(period, kRow / 4), word));
  return reader.bitAnd(reader.shiftRight(bytes, 2 * stream), 0x03030303);
}

double TQ2_0FormatAttr::getErrorBound() const { return 1.0 / 2; }
