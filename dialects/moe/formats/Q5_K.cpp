//===- Q5_K.cpp - Blocks of 256 in 5 bits ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 256, kSubBlock = 32, kSubBlocks = kBlock / kSubBlock;
enum Field { D, DMin, S, QH, QL };
} // namespace

int64_t Q5_KFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q5_KFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields = layOut({{"d", b.getF16Type()},
                                           {"dmin", b.getF16Type()},
                                           {"s", b.getI8Type(), 12},
                                           {"qh", b.getI8Type(), kBlock / 8},
                                           {"ql", b.getI8Type(), kBlock / 2}});
  fields[D].range = MadeUpRange::about(1 / 527.0);
  fields[DMin].range = MadeUpRange::about(15.5 / 527);
  return fields;
}

DecodeRounds Q5_KFormatAttr::getRounds(int64_t) const {
  return {/*period=*/2 * kSubBlock, /*periods=*/kSubBlocks / 2, /*advance=*/4,
          /*words=*/kSubBlock / 4, fours({0, kSubBlock})};
}

CodeForm Q5_KFormatAttr::getCodeForm(int64_t) const {
  return {kSubBlock, /*zero=*/0, /*hasMinimum=*/true, /*most=*/31};
}

void Q5_KFormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  buildSixBitScales(reader, D, DMin, S, shared);
}

Value Q5_KFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                 Value word, int64_t stream) const {
  Value bytes = reader.readWord(
      QL, reader.sum(reader.indexOf(period, kSubBlock / 4), word));
  // Byte l has bit i of elements 32 i + l. Both streams share the first shift.
  Value top =
      reader.shiftRight(reader.readWord(QH, word), reader.indexOf(period, 2));
  top = reader.shiftLeft(top, 4 - stream);
  return reader.bitOr(buildNibbles(reader, bytes, stream),
                      reader.bitAnd(top, 0x10101010));
}

double Q5_KFormatAttr::getErrorBound() const { return 1.0 / 31; }
