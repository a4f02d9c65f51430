//===- Int4.cpp - 4 bits, with a scale for each group of a row -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
enum Field { Q, Scale, Zero };
constexpr int64_t kLeast = 32;
} // namespace

LogicalResult
Int4FormatAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                       int64_t group, Type scales, bool) {
  if (group < kLeast || group % kLeast != 0)
    return emitError() << "groups of int4 are of a multiple of " << kLeast
                       << " weights, not of " << group;
  if (scales.isF16() || scales.isBF16() || scales.isF32())
    return success();
  return emitError() << "scales of int4 are f16, bf16 or f32, not " << scales;
}

int64_t Int4FormatAttr::getBlockSize(int64_t) const { return getGroup(); }

SmallVector<BlockField> Int4FormatAttr::getFields(int64_t) const {
  SmallVector<BlockField> fields{
      {"q", IntegerType::get(getContext(), 8), getGroup() / 2},
      {"scale", getScales(), 1, /*storage=*/1}};
  fields[1].range = MadeUpRange::about(1 / 4.61);
  if (getZeros()) {
    fields.push_back({"zero", getScales(), 1, /*storage=*/2});
    fields[2].range = MadeUpRange{7.5, 0.5, /*hasSize=*/false};
  }
  return fields;
}

SmallVector<StorageTensor> Int4FormatAttr::getStorage(int64_t) const {
  SmallVector<StorageTensor> storage{
      {"q", IntegerType::get(getContext(), 8), getGroup() / 2},
      {"scales", getScales()}};
  if (getZeros())
    storage.push_back({"zeros", getScales()});
  return storage;
}

/// As much of a group as kernels may have code for.
static int64_t getPeriod(int64_t group) {
  int64_t period = 128;
  while (group % period != 0)
    period -= 32;
  return period;
}

DecodeRounds Int4FormatAttr::getRounds(int64_t) const {
  DecodeRounds rounds = pairsOfNibbles(getPeriod(getGroup()));
  rounds.periods = getGroup() / rounds.period;
  return rounds;
}

CodeForm Int4FormatAttr::getCodeForm(int64_t) const {
  if (getZeros())
    return {getGroup(), /*zero=*/0, /*hasMinimum=*/true, /*most=*/15};
  return {getGroup(), /*zero=*/8, /*hasMinimum=*/false, /*most=*/8};
}

void Int4FormatAttr::buildShared(BlockReader &reader, int64_t,
                                 SmallVectorImpl<Value> &shared) const {
  Value scale = reader.readNumber(Scale, 0);
  shared.push_back(scale);
  if (getZeros())
    shared.push_back(reader.multiply(scale, reader.readNumber(Zero, 0)));
}

Value Int4FormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                 Value word, int64_t stream) const {
  Value index =
      reader.sum(reader.indexOf(period, getPeriod(getGroup()) / 8), word);
  return buildNibbles(reader, reader.readWord(Q, index), stream);
}

double Int4FormatAttr::getErrorBound() const { return 1.0 / 15; }
