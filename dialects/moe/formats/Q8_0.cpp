//===- Q8_0.cpp - Blocks of 32 in 8 bits -----------------------*- C++ -*-===//
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

int64_t Q8_0FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q8_0FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  return layOut({{"d", b.getF16Type()}, {"q", b.getI8Type(), kBlock}});
}

DecodeRounds Q8_0FormatAttr::getRounds(int64_t) const {
  return {/*period=*/kBlock, /*periods=*/1, /*advance=*/4,
          /*words=*/kBlock / 4, fours({0})};
}

CodeForm Q8_0FormatAttr::getCodeForm(int64_t) const {
  return {kBlock, /*zero=*/128, /*hasMinimum=*/false, /*most=*/128};
}

void Q8_0FormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
}

Value Q8_0FormatAttr::buildCodes(BlockReader &reader, int64_t, Value,
                                 Value word, int64_t) const {
  // With 128 added, a byte with a sign is one without.
  return reader.bitXor(reader.readWord(Q, word), 0x80808080);
}

double Q8_0FormatAttr::getErrorBound() const { return 1.0 / 254; }
