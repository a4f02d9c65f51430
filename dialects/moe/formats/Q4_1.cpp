//===- Q4_1.cpp - Blocks of 32 in 4 bits with a minimum --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 32;
enum Field { D, M, Q };
} // namespace

int64_t Q4_1FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q4_1FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields = layOut({{"d", b.getF16Type()},
                                           {"m", b.getF16Type()},
                                           {"q", b.getI8Type(), kBlock / 2}});
  fields[D].range = MadeUpRange::about(1 / 4.61);
  fields[M].range = MadeUpRange::about(-7.5 / 4.61);
  return fields;
}

DecodeRounds Q4_1FormatAttr::getRounds(int64_t) const {
  return halvesOfNibbles(kBlock);
}

CodeForm Q4_1FormatAttr::getCodeForm(int64_t) const {
  return {kBlock, /*zero=*/0, /*hasMinimum=*/true, /*most=*/15};
}

void Q4_1FormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
  // Stored as what is added.
  shared.push_back(reader.negate(reader.readNumber(M, 0)));
}

Value Q4_1FormatAttr::buildCodes(BlockReader &reader, int64_t, Value,
                                 Value word, int64_t stream) const {
  return buildNibbles(reader, reader.readWord(Q, word), stream);
}

double Q4_1FormatAttr::getErrorBound() const { return 1.0 / 15; }
