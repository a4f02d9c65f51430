//===- Q6_K.cpp - Blocks of 256 in 6 bits ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 256, kSubBlock = 16, kHalf = 128, kRow = 32;
enum Field { QL, QH, SC, D };
} // namespace

int64_t Q6_KFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q6_KFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"ql", b.getI8Type(), kBlock / 2},
              {"qh", b.getI8Type(), kBlock / 4},
              {"sc", b.getI8Type(), kBlock / kSubBlock},
              {"d", b.getF16Type()}});
  fields[D].range = MadeUpRange::about(1 / 1366.0);
  return fields;
}

DecodeRounds Q6_KFormatAttr::getRounds(int64_t) const {
  return {/*period=*/kHalf, /*periods=*/2, /*advance=*/4, /*words=*/kRow / 4,
          fours({0, kRow, 2 * kRow, 3 * kRow})};
}

CodeForm Q6_KFormatAttr::getCodeForm(int64_t) const {
  return {kSubBlock, /*zero=*/32, /*hasMinimum=*/false, /*most=*/32};
}

void Q6_KFormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  Value d = reader.readNumber(D, 0);
  for (int64_t i = 0; i < kBlock / kSubBlock; ++i) {
    // With 128 added, a byte with a sign is one without.
    Value word = reader.bitXor(reader.readWord(SC, i / 4), 0x80808080);
    Value scale = reader.add(reader.toFloat(reader.byteOf(word, i % 4)),
                             reader.number(-128));
    shared.push_back(reader.multiply(d, scale));
  }
}

Value Q6_KFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                 Value word, int64_t stream) const {
  // Rows of 32: the first two have the low four bits of bytes 0 to 63 of a
  // half, the others the high ones; all of them two more bits of the same
  // bytes.
  Value low = reader.readWord(
      QL, reader.sum(reader.indexOf(period, kHalf / 8, stream % 2 * kRow / 4),
                     word));
  Value high =
      reader.readWord(QH, reader.sum(reader.indexOf(period, kHalf / 16), word));
  // To where they belong in one shift.
  int64_t up = 4 - 2 * stream;
  high = up < 0 ? reader.shiftRight(high, -up) : reader.shiftLeft(high, up);
  return reader.bitOr(buildNibbles(reader, low, stream / 2),
                      reader.bitAnd(high, 0x30303030));
}

double Q6_KFormatAttr::getErrorBound() const { return 1.0 / 32; }
