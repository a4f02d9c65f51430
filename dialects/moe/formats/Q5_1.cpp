//===- Q5_1.cpp - Blocks of 32 in 5 bits with a minimum --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
constexpr int64_t kBlock = 32;
enum Field { D, M, QH, QL };
} // namespace

int64_t Q5_1FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<BlockField> Q5_1FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  SmallVector<BlockField> fields = layOut({{"d", b.getF16Type()},
                                           {"m", b.getF16Type()},
                                           {"qh", b.getI8Type(), kBlock / 8},
                                           {"ql", b.getI8Type(), kBlock / 2}});
  fields[D].range = MadeUpRange::about(1 / 9.23);
  fields[M].range = MadeUpRange::about(-15.5 / 9.23);
  return fields;
}

DecodeRounds Q5_1FormatAttr::getRounds(int64_t) const {
  return halvesOfNibbles(kBlock);
}

CodeForm Q5_1FormatAttr::getCodeForm(int64_t) const {
  return {kBlock, /*zero=*/0, /*hasMinimum=*/true, /*most=*/31};
}

void Q5_1FormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(D, 0));
  // Stored as what is added.
  shared.push_back(reader.negate(reader.readNumber(M, 0)));
}

Value Q5_1FormatAttr::buildCodes(BlockReader &reader, int64_t, Value,
                                 Value word, int64_t stream) const {
  return buildFiveBits(reader, QH, QL, word, stream);
}

double Q5_1FormatAttr::getErrorBound() const { return 1.0 / 31; }
