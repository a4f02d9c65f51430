//===- Q4_K.cpp - Blocks of 256 in 4 bits ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 256, kSubBlock = 32, kSubBlocks = kBlock / kSubBlock;
enum Field { D, DMin, S, Q };
} // namespace

int64_t Q4_KFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q4_KFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields = layOut({{"d", b.getF16Type()},
                                           {"dmin", b.getF16Type()},
                                           {"s", b.getI8Type(), 12},
                                           {"q", b.getI8Type(), kBlock / 2}});
  // With codes around 7.5, a mean of 0; the variance is that of products.
  fields[D].range = MadeUpRange::about(1 / 258.0);
  fields[DMin].range = MadeUpRange::about(7.5 / 258);
  return fields;
}

DecodeRounds Q4_KFormatAttr::getRounds(int64_t) const {
  return {/*period=*/2 * kSubBlock, /*periods=*/kSubBlocks / 2, /*advance=*/4,
          /*words=*/kSubBlock / 4, fours({0, kSubBlock})};
}

CodeForm Q4_KFormatAttr::getCodeForm(int64_t) const {
  return {kSubBlock, /*zero=*/0, /*hasMinimum=*/true, /*most=*/15};
}

void Q4_KFormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  buildSixBitScales(reader, D, DMin, S, shared);
}

Value Q4_KFormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                 Value word, int64_t stream) const {
  Value bytes = reader.readWord(
      Q, reader.sum(reader.indexOf(period, kSubBlock / 4), word));
  return buildNibbles(reader, bytes, stream);
}

double Q4_KFormatAttr::getErrorBound() const { return 1.0 / 15; }
