//===- Q4_K.cpp - Blocks of 256 in 4 bits, scales and minima in 6 -*- C++ -*-===//
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

LogicalResult
Q4_KFormatAttr::verifyFormat(function_ref<InFlightDiagnostic()> emitError,
                             int64_t k) const {
  return verifyBlocks(emitError, *this, kBlock, k);
}

int64_t Q4_KFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q4_KFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  return layOut({{"d", b.getF16Type()},
                 {"dmin", b.getF16Type()},
                 {"s", b.getI8Type(), 12},
                 {"q", b.getI8Type(), kBlock / 2}});
}

SmallVector<StorageTensor> Q4_KFormatAttr::getStorage(int64_t k) const {
  return storeBlocks(getFields(k));
}

DecodeRounds Q4_KFormatAttr::getRounds(int64_t) const {
  DecodeRounds rounds;
  rounds.period = 2 * kSubBlock;
  rounds.periods = kSubBlocks / 2;
  rounds.advance = 4;
  rounds.words = kSubBlock / 4;
  rounds.first = fours({0, kSubBlock});
  return rounds;
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
  Value bytes =
      reader.readWord(Q, reader.sum(reader.indexOf(period, kSubBlock / 4), word));
  return reader.bitAnd(reader.shiftRight(bytes, 4 * stream), 0x0f0f0f0f);
}

void Q4_KFormatAttr::buildValues(BlockReader &reader, int64_t k, Value period,
                                 Value word,
                                 SmallVectorImpl<Value> &values) const {
  buildCodedValues(reader, *this, k, period, word, values);
}

double Q4_KFormatAttr::getErrorBound() const { return 1.0 / 15; }
