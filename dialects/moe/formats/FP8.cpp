//===- FP8.cpp - E4M3, with a scale for each tile --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace moe;

namespace {
enum Field { Values, Scale };
/// Tiles are made of whole blocks, as are rows.
constexpr int64_t kLeast = 32, kMost = 128;
} // namespace

LogicalResult
FP8FormatAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                      int64_t rows, int64_t columns, bool) {
  if (rows >= 1 && columns >= 0 && columns % kLeast == 0)
    return success();
  return emitError()
         << "a scale of fp8 is of at least one row and of a multiple "
         << "of " << kLeast << " columns, or of 0 for all, not of " << rows
         << " and " << columns;
}

LogicalResult
FP8FormatAttr::verifyFormat(function_ref<InFlightDiagnostic()> emitError,
                            int64_t k) const {
  if (k > 0 && k % kLeast == 0)
    return success();
  return emitError() << "rows of " << k << " weights are no multiple of "
                     << kLeast << ", as those of " << *this << " have to be";
}

static Type getScaleType(FP8FormatAttr format) {
  Builder b(format.getContext());
  return format.getExponents() ? Type(b.getI8Type()) : b.getF32Type();
}

int64_t FP8FormatAttr::getBlockSize(int64_t k) const {
  return std::gcd(kMost, std::gcd(k, getColumns()));
}

SmallVector<BlockField> FP8FormatAttr::getFields(int64_t k) const {
  Builder b(getContext());
  SmallVector<BlockField> fields{{"values", b.getI8Type(), getBlockSize(k)},
                                 {"scale", getScaleType(*this), 1,
                                  /*storage=*/1}};
  fields[Values].byteFloat = Float8E4M3FNType::get(getContext());
  fields[Values].range = MadeUpRange{0, std::sqrt(3.0), /*hasSize=*/false};
  if (getExponents())
    fields[Scale].byteFloat = Float8E8M0FNUType::get(getContext());
  fields[Scale].range = MadeUpRange::about(1);
  return fields;
}

SmallVector<StorageTensor> FP8FormatAttr::getStorage(int64_t k) const {
  int64_t block = getBlockSize(k);
  return {{"values", Float8E4M3FNType::get(getContext()), block},
          {"scales", getScaleType(*this), 1, getRows(), getColumns() / block}};
}

DecodeRounds FP8FormatAttr::getRounds(int64_t k) const {
  int64_t block = getBlockSize(k);
  return {/*period=*/block, /*periods=*/1, /*advance=*/4, /*words=*/block / 4,
          fours({0})};
}

void FP8FormatAttr::buildShared(BlockReader &reader, int64_t,
                                SmallVectorImpl<Value> &shared) const {
  Value scale = reader.readNumber(Scale, 0);
  shared.push_back(getExponents() ? buildE8M0(reader, scale) : scale);
}

void FP8FormatAttr::buildValues(BlockReader &reader, int64_t, Value, Value word,
                                SmallVectorImpl<Value> &values) const {
  Value scale = reader.readShared(reader.indexOf(word, 0));
  buildFourE4M3(reader, reader.readWord(Values, word), values);
  for (Value &value : values)
    value = reader.multiply(value, scale);
}

FloatForm FP8FormatAttr::getFloatForm(int64_t k) const {
  return {Float8E4M3FNType::get(getContext()), getBlockSize(k), Scale};
}

Value FP8FormatAttr::buildFloats(BlockReader &reader, int64_t, Value,
                                 Value word, int64_t) const {
  return reader.readWord(Values, word);
}

double FP8FormatAttr::getErrorBound() const { return 1.0 / 28; }
