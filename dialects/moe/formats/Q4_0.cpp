//===- Q4_0.cpp - Blocks of 32 in 4 bits -----------------------*- C++ -*-===//
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

int64_t Q4_0FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q4_0FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  return layOut({{"d", b.getF16Type()}, {"q", b.getI8Type(), 16}});
}

DecodeRounds Q4_0FormatAttr::getRounds(int64_t) const {
  return halvesOfNibbles(kBlock);
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
  return buildNibbles(reader, reader.readWord(Q, word), stream);
}

double Q4_0FormatAttr::getErrorBound() const { return 1.0 / 8; }
