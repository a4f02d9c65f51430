//===- Int8.cpp - 8 bits, one scale for each row ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
enum Field { Q, Scale };
constexpr int64_t kLeast = 32;
} // namespace

LogicalResult
Int8FormatAttr::verifyFormat(function_ref<InFlightDiagnostic()> emitError,
                             int64_t k) const {
  if (k > 0 && k % kLeast == 0)
    return success();
  return emitError() << "rows of " << k << " weights are no multiple of "
                     << kLeast << ", as those of " << *this << " have to be";
}

int64_t Int8FormatAttr::getBlockSize(int64_t k) const { return k; }

SmallVector<BlockField> Int8FormatAttr::getFields(int64_t k) const {
  Builder b(getContext());
  return {{"q", b.getI8Type(), k}, {"scale", b.getF32Type(), 1, /*storage=*/1}};
}

SmallVector<StorageTensor> Int8FormatAttr::getStorage(int64_t k) const {
  Builder b(getContext());
  return {{"q", b.getI8Type(), k},
          {"scales", b.getF32Type(), 1, /*rows=*/1, /*blocks=*/0}};
}

DecodeRounds Int8FormatAttr::getRounds(int64_t k) const {
  return {/*period=*/kLeast, /*periods=*/k / kLeast, /*advance=*/4,
          /*words=*/kLeast / 4, fours({0})};
}

CodeForm Int8FormatAttr::getCodeForm(int64_t k) const {
  return {/*subBlock=*/k, /*zero=*/128, /*hasMinimum=*/false, /*most=*/128};
}

void Int8FormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  shared.push_back(reader.readNumber(Scale, 0));
}

Value Int8FormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                 Value word, int64_t) const {
  Value index = reader.sum(reader.indexOf(period, kLeast / 4), word);
  // With 128 added, a byte with a sign is one without.
  return reader.bitXor(reader.readWord(Q, index), 0x80808080);
}

double Int8FormatAttr::getErrorBound() const { return 1.0 / 254; }
