//===- Int4.cpp - 4 bits, with a scale for each group of a row -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Orders of files end where weights are packed: fields have the numbers of a
// row side by side in all of them.
//
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"

using namespace mlir;
using namespace moe;

namespace {
enum Field { Q, Scale, Zero };
constexpr int64_t kLeast = 32, kBits = 4;
/// Numbers of an i32.
constexpr int64_t kWord = 8;
constexpr StorageDigit::Axis kRow = StorageDigit::Row,
                             kPlace = StorageDigit::Place;
} // namespace

static bool isTransposed(Int4Order order) {
  return order == Int4Order::AWQ || order == Int4Order::GPTQ ||
         order == Int4Order::GPTQv2;
}

/// Whether zeros are numbers of 4 bits.
static bool packsZeros(Int4FormatAttr format) {
  return format.getZeros() && format.getOrder() != Int4Order::Rows &&
         format.getOrder() != Int4Order::HQQ;
}

/// A word has a number of each of eight rows.
static SmallVector<StorageDigit> getWordOfRows(Int4Order order) {
  if (order == Int4Order::AWQ) // Even rows first.
    return {{kRow, 2}, {kRow, 4, /*weight=*/2}};
  return {{kRow, kWord}};
}

static std::optional<StorageOrder> getOrderOfCodes(Int4FormatAttr format) {
  Type word = IntegerType::get(format.getContext(), 32);
  switch (format.getOrder()) {
  case Int4Order::Rows:
  case Int4Order::PackQuantized:
    return std::nullopt;
  case Int4Order::AWQ: {
    StorageOrder order{word, kBits, kBits, {{kPlace}, {kRow, 0, kWord}}};
    llvm::append_range(order.digits, getWordOfRows(Int4Order::AWQ));
    return order;
  }
  case Int4Order::GPTQ:
  case Int4Order::GPTQv2:
    return StorageOrder{
        word, kBits, kBits, {{kPlace, 0, kWord}, {kRow}, {kPlace, kWord}}};
  case Int4Order::HQQ:
    return StorageOrder{
        IntegerType::get(format.getContext(), 8),
        kBits,
        kBits,
        {{kRow}, {kPlace}, {kRow, 2, /*weight=*/0, /*fromEnd=*/true}}};
  }
  llvm_unreachable("all orders are above");
}

static StorageOrder getOrderOfZeros(Int4FormatAttr format) {
  StorageOrder order{IntegerType::get(format.getContext(), 32), kBits, 8, {}};
  order.digits = {{kRow, 0, kWord}, {kPlace}};
  if (isTransposed(format.getOrder()))
    std::swap(order.digits[0], order.digits[1]);
  llvm::append_range(order.digits, getWordOfRows(format.getOrder()));
  return order;
}

LogicalResult
Int4FormatAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                       int64_t group, Type scales, bool zeros,
                       Int4Order order) {
  if (group < kLeast || group % kLeast != 0)
    return emitError() << "groups of int4 are of a multiple of " << kLeast
                       << " weights, not of " << group;
  if (!scales.isF16() && !scales.isBF16() && !scales.isF32())
    return emitError() << "scales of int4 are f16, bf16 or f32, not " << scales;
  if (!zeros && order != Int4Order::Rows && order != Int4Order::PackQuantized)
    return emitError() << "int4 in the order of " << stringifyInt4Order(order)
                       << " has zeros: say zeros = true";
  return success();
}

int64_t Int4FormatAttr::getBlockSize(int64_t) const { return getGroup(); }

SmallVector<BlockField> Int4FormatAttr::getFields(int64_t) const {
  Type byte = IntegerType::get(getContext(), 8);
  SmallVector<BlockField> fields{{"q", byte, getGroup() / 2},
                                 {"scale", getScales(), 1, /*storage=*/1}};
  // Zeros that are any bits make for twice the variance.
  fields[Scale].range =
      MadeUpRange::about(packsZeros(*this) ? 1 / 6.52 : 1 / 4.61);
  if (packsZeros(*this))
    fields.push_back({"zero", byte, 1, /*storage=*/2});
  else if (getZeros())
    fields.push_back({"zero", getScales(), 1, /*storage=*/2, /*offset=*/0,
                      MadeUpRange{7.5, 0.5, /*hasSize=*/false}});
  return fields;
}

SmallVector<StorageTensor> Int4FormatAttr::getStorage(int64_t) const {
  Type byte = IntegerType::get(getContext(), 8);
  SmallVector<StorageTensor> storage{{"q", byte, getGroup() / 2},
                                     {"scales", getScales()}};
  storage[Q].order = getOrderOfCodes(*this);
  if (getOrder() == Int4Order::PackQuantized)
    storage[Q] = {"q", IntegerType::get(getContext(), 32), getGroup() / kWord};
  int64_t bits = getScales().getIntOrFloatBitWidth();
  if (isTransposed(getOrder()))
    storage[Scale].order =
        StorageOrder{getScales(), bits, bits, {{kPlace}, {kRow}}};
  if (packsZeros(*this))
    storage.push_back({"zeros", byte, 1, 1, 1, getOrderOfZeros(*this)});
  else if (getZeros())
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
  if (!getZeros())
    return;
  Value zero = reader.readNumber(Zero, 0);
  if (getOrder() == Int4Order::GPTQ)
    zero = reader.bitAnd(reader.add(zero, reader.integer(1)), 15);
  if (packsZeros(*this))
    zero = reader.toFloat(zero);
  shared.push_back(reader.multiply(scale, zero));
}

Value Int4FormatAttr::buildCodes(BlockReader &reader, int64_t, Value period,
                                 Value word, int64_t stream) const {
  Value index =
      reader.sum(reader.indexOf(period, getPeriod(getGroup()) / 8), word);
  return buildNibbles(reader, reader.readWord(Q, index), stream);
}

double Int4FormatAttr::getErrorBound() const { return 1.0 / 15; }
