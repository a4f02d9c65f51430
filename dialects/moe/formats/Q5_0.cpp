//===- Q5_0.cpp - Blocks of 32 in 5 bits -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 32;
enum Field { D, QH, QL };
} // namespace

int64_t Q5_0FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q5_0FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  return layOut({{"d", b.getF16Type()},
                 {"qh", b.getI8Type(), kBlock / 8},
                 {"ql", b.getI8Type(), kBlock / 2}});
}

DecodeRounds Q5_0FormatAttr::getRounds(int64_t) const {
  return halvesOfNibbles(kBlock);
}

CodeForm Q5_0FormatAttr::getCodeForm(int64_t) const {
  return {kBlock, /*zero=*/16, /*hasMinimum=*/false, /*most=*/16};
}

void Q5_0FormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
}

Value Q5_0FormatAttr::buildCodes(BlockReader &reader, int64_t, Value,
                                 Value word, int64_t stream) const {
  return buildFiveBits(reader, QH, QL, word, stream);
}

double Q5_0FormatAttr::getErrorBound() const { return 1.0 / 16; }
