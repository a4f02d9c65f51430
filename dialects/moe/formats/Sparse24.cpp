//===- Sparse24.cpp - Two of four weights ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"
#include "Numbers.h"

using namespace mlir;
using namespace moe;

namespace {
enum Field { Values, Places };
/// As many weights as a word has places for.
constexpr int64_t kBlock = 32;
} // namespace

LogicalResult
Sparse24FormatAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                           Type values) {
  return verifyNumbers(emitError, "sparse24", values);
}

int64_t Sparse24FormatAttr::getBlockSize(int64_t) const { return kBlock; }

SmallVector<StorageTensor> Sparse24FormatAttr::getStorage(int64_t) const {
  return {{"values", getValues(), kBlock / 2},
          {"places", IntegerType::get(getContext(), 8), kBlock / 8}};
}

SmallVector<BlockField> Sparse24FormatAttr::getFields(int64_t) const {
  Builder b(getContext());
  BlockField places{"places", b.getI8Type(), kBlock / 8, /*storage=*/1};
  // Half of the weights have all of the variance.
  return {getNumberField(getValues(), kBlock / 2, /*variance=*/2), places};
}

FieldBits Sparse24FormatAttr::getFieldBits(int64_t, int64_t field) const {
  return {field == Places ? FieldBits::Places : FieldBits::Any};
}

DecodeRounds Sparse24FormatAttr::getRounds(int64_t) const {
  return {/*period=*/kBlock, /*periods=*/1, /*advance=*/4,
          /*words=*/kBlock / 4, fours({0})};
}

void Sparse24FormatAttr::buildShared(BlockReader &, int64_t,
                                     SmallVectorImpl<Value> &) const {}

Value Sparse24FormatAttr::buildStoredBF16(BlockReader &reader, int64_t, Value,
                                          Value word) const {
  return getValues().isBF16() ? reader.readNumber(Values, word) : Value();
}

void Sparse24FormatAttr::buildStored(BlockReader &reader, int64_t, Value,
                                     Value word, SmallVectorImpl<Value> &values,
                                     SmallVectorImpl<Value> &places) const {
  buildTwoNumbers(reader, getValues(), Values, word, values);
  Value all = reader.readWord(Places, 0);
  for (int64_t i = 0; i < 2; ++i)
    places.push_back(reader.shiftRight(all, reader.indexOf(word, 4, 2 * i)));
}

void Sparse24FormatAttr::buildValues(BlockReader &reader, int64_t k,
                                     Value period, Value word,
                                     SmallVectorImpl<Value> &values) const {
  SmallVector<Value> stored, places;
  buildStored(reader, k, period, word, stored, places);
  Value first = reader.bitAnd(places[0], 3),
        second = reader.bitAnd(places[1], 3);
  Value zero = reader.number(0);
  for (int64_t i = 0; i < 4; ++i) {
    auto isAt = [&](Value place, Value there, Value other) {
      return reader.selectBelow(i ? reader.bitXor(place, i) : place, 1, there,
                                other);
    };
    // The second is not in front of the first, nor the first behind it.
    Value value = i == 0 ? zero : isAt(second, stored[1], zero);
    values.push_back(i == 3 ? value : isAt(first, stored[0], value));
  }
}

double Sparse24FormatAttr::getErrorBound() const {
  return getRounding(getValues());
}
