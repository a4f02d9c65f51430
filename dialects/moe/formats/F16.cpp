//===- F16.cpp - 16-bit floats ---------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

/// Values of a block: as many as fill a cache line of a kernel's panel.
static constexpr int64_t kBlock = 32;

int64_t F16FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<StorageTensor> F16FormatAttr::getStorage(int64_t) const {
  return {{"values", Float16Type::get(getContext()), kBlock}};
}

SmallVector<BlockField> F16FormatAttr::getFields(int64_t) const {
  return {{"values", Float16Type::get(getContext()), kBlock}};
}

DecodeRounds F16FormatAttr::getRounds(int64_t) const {
  return {/*period=*/kBlock, /*periods=*/1, /*advance=*/4,
          /*words=*/kBlock / 4, fours({0})};
}

void F16FormatAttr::buildShared(BlockReader &, int64_t,
                                SmallVectorImpl<Value> &) const {}

void F16FormatAttr::buildValues(BlockReader &reader, int64_t, Value, Value word,
                                SmallVectorImpl<Value> &values) const {
  for (int64_t i = 0; i < 4; ++i)
    values.push_back(reader.readNumber(0, reader.indexOf(word, 4, i)));
}

double F16FormatAttr::getErrorBound() const { return 0x1p-11; }
