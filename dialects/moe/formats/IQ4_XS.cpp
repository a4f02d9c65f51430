//===- IQ4_XS.cpp - Blocks of 256 in 4 bits by a table ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 256, kSubBlock = 32, kSubBlocks = kBlock / kSubBlock;
enum Field { D, SH, SL, Q };
} // namespace

int64_t IQ4_XSFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> IQ4_XSFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"d", b.getF16Type()},
              {"sh", b.getI8Type(), kSubBlocks / 4},
              {"sl", b.getI8Type(), kSubBlocks / 2},
              {"q", b.getI8Type(), kBlock / 2}});
  fields[D].range = MadeUpRange::about(1 / 1246.0);
  return fields;
}

DecodeRounds IQ4_XSFormatAttr::getRounds(int64_t) const {
  return {/*period=*/kSubBlock, /*periods=*/kSubBlocks, /*advance=*/4,
          /*words=*/kSubBlock / 8, fours({0, kSubBlock / 2})};
}

CodeForm IQ4_XSFormatAttr::getCodeForm(int64_t) const {
  return {kSubBlock, /*zero=*/kIQ4Zero, /*hasMinimum=*/false, /*most=*/127};
}

void IQ4_XSFormatAttr::buildShared(BlockReader &reader, int64_t,
                                   SmallVectorImpl<Value> &shared) const {
  Value d = reader.readNumber(D, 0), low = reader.readWord(SL, 0);
  for (int64_t i = 0; i < kSubBlocks; ++i) {
    Value four = reader.bitAnd(reader.shiftRight(low, 4 * i), 15);
    Value high = reader.readNumber(SH, i / 4);
    Value two = reader.bitAnd(reader.shiftRight(high, 2 * (i % 4)), 3);
    Value six = reader.bitOr(four, reader.shiftLeft(two, 4));
    shared.push_back(reader.multiply(
        d, reader.add(reader.toFloat(six), reader.number(-32))));
  }
}

Value IQ4_XSFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                   Value word, int64_t stream) const {
  Value bytes = reader.readWord(
      Q, reader.sum(reader.indexOf(period, kSubBlock / 8), word));
  return lookUpIQ4(reader, buildNibbles(reader, bytes, stream));
}

double IQ4_XSFormatAttr::getErrorBound() const { return 14.0 / 127; }
