//===- SparseBlocks.cpp - Some blocks of weights ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "FormatHelpers.h"
#include "Numbers.h"

#include <numeric>

using namespace mlir;
using namespace moe;

namespace {
enum Field { Values, List };
/// Columns of a block are whole steps of kernels.
constexpr int64_t kStep = 8;
} // namespace

LogicalResult
SparseBlocksFormatAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               Type values, int64_t kept, int64_t columns) {
  if (failed(verifyNumbers(emitError, "sparse_blocks", values)))
    return failure();
  if (kept >= 1 && columns >= kStep && columns % kStep == 0)
    return success();
  return emitError() << "sparse_blocks keeps at least one block, of a multiple "
                     << "of " << kStep << " columns, not " << kept << " of "
                     << columns;
}

LogicalResult SparseBlocksFormatAttr::verifyFormat(
    function_ref<InFlightDiagnostic()> emitError, int64_t k) const {
  // Rows that are rounded have a scale for 32 values.
  int64_t whole = std::lcm(getColumns(), int64_t(32));
  if (k <= 0 || k % whole != 0)
    return emitError() << "rows of " << k << " weights are no multiple of "
                       << whole << ", as those of " << *this << " have to be";
  if (getKept() <= k / getColumns())
    return success();
  return emitError() << "rows of " << k << " weights have " << k / getColumns()
                     << " blocks of " << getColumns() << ", fewer than "
                     << *this << " keeps";
}

/// A row is one block: what it stores is anywhere in it.
int64_t SparseBlocksFormatAttr::getBlockSize(int64_t k) const { return k; }

SmallVector<StorageTensor> SparseBlocksFormatAttr::getStorage(int64_t) const {
  return {{"values", getValues(), getKept() * getColumns()},
          {"blocks", IntegerType::get(getContext(), 32), getKept(), kRows}};
}

SmallVector<BlockField> SparseBlocksFormatAttr::getFields(int64_t k) const {
  BlockField list{"blocks", IntegerType::get(getContext(), 32), getKept(),
                  /*storage=*/1};
  double density = double(getKept() * getColumns()) / k;
  return {getNumberField(getValues(), getKept() * getColumns(), 1 / density),
          list};
}

FieldBits SparseBlocksFormatAttr::getFieldBits(int64_t k, int64_t field) const {
  if (field != List)
    return {};
  return {FieldBits::Ascending, k / getColumns()};
}

DecodeRounds SparseBlocksFormatAttr::getRounds(int64_t k) const {
  return {/*period=*/k, /*periods=*/1, /*advance=*/4, /*words=*/k / 4,
          fours({0})};
}

ListForm SparseBlocksFormatAttr::getListForm(int64_t) const {
  return {getColumns(), getKept(), kRows, List};
}

void SparseBlocksFormatAttr::buildShared(BlockReader &, int64_t,
                                         SmallVectorImpl<Value> &) const {}

void SparseBlocksFormatAttr::buildListed(BlockReader &reader, int64_t,
                                         Value piece, Value pair,
                                         SmallVectorImpl<Value> &values) const {
  buildTwoNumbers(reader, getValues(), Values,
                  reader.sum(reader.indexOf(piece, getColumns() / 2), pair),
                  values);
}

Value SparseBlocksFormatAttr::buildListedBF16(BlockReader &reader, int64_t,
                                              Value piece, Value pair) const {
  if (!getValues().isBF16())
    return {};
  return reader.readNumber(
      Values, reader.sum(reader.indexOf(piece, getColumns() / 2), pair));
}

void SparseBlocksFormatAttr::buildValues(BlockReader &reader, int64_t, Value,
                                         Value word,
                                         SmallVectorImpl<Value> &values) const {
  // Who walks no list looks for the block in it.
  values.assign(4, reader.number(0));
  Value block = reader.quotient(word, getColumns() / 4);
  Value wanted = reader.toLanes(block);
  // Of its pairs, the first one here.
  Value pair = reader.sum(reader.indexOf(word, 2),
                          reader.indexOf(block, -getColumns() / 2));
  for (int64_t piece = 0; piece < getKept(); ++piece) {
    Value difference = arith::XOrIOp::create(
        reader.builder, reader.loc, reader.readNumber(List, piece), wanted);
    SmallVector<Value> stored;
    for (int64_t i = 0; i < 2; ++i)
      buildTwoNumbers(reader, getValues(), Values,
                      reader.indexOf(pair, 1, piece * getColumns() / 2 + i),
                      stored);
    for (auto [value, here] : llvm::zip(values, stored))
      value = reader.selectBelow(difference, 1, here, value);
  }
}

double SparseBlocksFormatAttr::getErrorBound() const {
  return getRounding(getValues());
}
