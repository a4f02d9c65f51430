//===- Q4_0.cpp - Blocks of 32 in 4 bits, one f16 scale -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 32;
enum Field { D, Q };
} // namespace

LogicalResult
Q4_0FormatAttr::verifyFormat(function_ref<InFlightDiagnostic()> emitError,
                             int64_t k) const {
  return verifyBlocks(emitError, *this, kBlock, k);
}

int64_t Q4_0FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q4_0FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  return layOut({{"d", b.getF16Type()}, {"q", b.getI8Type(), 16}});
}

SmallVector<StorageTensor> Q4_0FormatAttr::getStorage(int64_t k) const {
  return storeBlocks(getFields(k));
}

DecodeRounds Q4_0FormatAttr::getRounds(int64_t) const {
  DecodeRounds rounds;
  rounds.period = kBlock;
  rounds.advance = 4;
  rounds.words = 4;
  rounds.first = fours({0, 16});
  return rounds;
}

CodeForm Q4_0FormatAttr::getCodeForm(int64_t) const {
  return {kBlock, /*zero=*/8, /*hasMinimum=*/false, /*most=*/8};
}

void Q4_0FormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
}

Value Q4_0FormatAttr::buildCodes(BlockReader &reader, int64_t, Value,
                                 Value word, int64_t stream) const {
  Value bytes = reader.readWord(Q, word);
  return reader.bitAnd(reader.shiftRight(bytes, 4 * stream), 0x0f0f0f0f);
}

void Q4_0FormatAttr::buildValues(BlockReader &reader, int64_t k, Value period,
                                 Value word,
                                 SmallVectorImpl<Value> &values) const {
  buildCodedValues(reader, *this, k, period, word, values);
}

double Q4_0FormatAttr::getErrorBound() const { return 1.0 / 8; }
