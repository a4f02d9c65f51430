//===- IQ4_NL.cpp - Blocks of 32 in 4 bits, by a table ---------*- C++ -*-===//
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

int64_t IQ4_NLFormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> IQ4_NLFormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields =
      layOut({{"d", b.getF16Type()}, {"q", b.getI8Type(), kBlock / 2}});
  fields[D].range = MadeUpRange::about(1 / 67.4);
  return fields;
}

DecodeRounds IQ4_NLFormatAttr::getRounds(int64_t) const {
  return halvesOfNibbles(kBlock);
}

CodeForm IQ4_NLFormatAttr::getCodeForm(int64_t) const {
  return {kBlock, /*zero=*/kIQ4Zero, /*hasMinimum=*/false, /*most=*/127};
}

void IQ4_NLFormatAttr::buildShared(BlockReader &reader, int64_t,
                                   SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
}

Value IQ4_NLFormatAttr::buildCodes(BlockReader &reader, int64_t, Value,
                                   Value word, int64_t stream) const {
  return lookUpIQ4(reader,
                   buildNibbles(reader, reader.readWord(Q, word), stream));
}

double IQ4_NLFormatAttr::getErrorBound() const { return 14.0 / 127; }
