//===- Numbers.cpp - Weights that are numbers -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Numbers.h"

#include <cmath>

using namespace mlir;
using namespace moe;

#include "moe/MoeSparseFormatInterfaces.cpp.inc"

FieldBits moe::getFieldBits(WeightFormatAttrInterface format, int64_t k,
                            int64_t field) {
  auto checked = dyn_cast<CheckedFormatAttrInterface>(Attribute(format));
  return checked ? checked.getFieldBits(k, field) : FieldBits();
}

LogicalResult moe::verifyNumbers(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef format, Type type) {
  if (type.isF32() || type.isBF16() || type.isF16())
    return success();
  return emitError() << "values of " << format << " are f32, bf16 or f16, not "
                     << type;
}

BlockField moe::getNumberField(Type type, int64_t count, double variance) {
  // Pairs are what pairs of rows' values are multiplied with.
  BlockField field{"values", type, count};
  if (type.isBF16()) {
    field = {"values", IntegerType::get(type.getContext(), 32), count / 2};
    field.byteFloat = type;
  }
  field.range = MadeUpRange{0, std::sqrt(3 * variance)};
  return field;
}

void moe::buildTwoNumbers(BlockReader &reader, Type type, int64_t field,
                          Value pair, SmallVectorImpl<Value> &values) {
  if (!type.isBF16()) {
    for (int64_t i = 0; i < 2; ++i)
      values.push_back(reader.readNumber(field, reader.indexOf(pair, 2, i)));
    return;
  }
  Value both = reader.readNumber(field, pair);
  values.push_back(reader.asFloat(reader.shiftLeft(both, 16)));
  values.push_back(reader.asFloat(reader.bitAnd(both, 0xffff0000)));
}

double moe::getRounding(Type type) {
  return type.isF32() ? 0x1p-24 : type.isF16() ? 0x1p-11 : 0x1p-8;
}
