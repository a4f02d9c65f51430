//===- Dequantize.cpp - Weights of blocks in the interpreter ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// moe.dequantize: its result is the one array of computed values that is kept
// in f32, which is what it is defined to be rounded to, and half as large.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "moe-mlir/Reference/FormatDecoder.h"
#include "moe-mlir/Support/Parallel.h"
#include "moe/SparseFormats.h"

#include <atomic>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

/// The elements of an operand as a file has them, which is where most come
/// from.
static FailureOr<ArrayPtr> getStored(Machine &machine, DequantizeOp op,
                                     Value operand) {
  ArrayPtr array = machine.getArray(operand);
  Type element = getElementTypeOrSelf(operand.getType());
  std::optional<DType> dtype = dtypeOf(element);
  if (!dtype)
    return op.emitOpError("has storage of ")
           << element << ", which the interpreter cannot read";
  if (array->dtype == *dtype ||
      (array->dtype == DType::U8 && *dtype == DType::I8))
    return array;
  FailureOr<MutableArrayPtr> stored =
      machine.allocateAs(op, *dtype, array->shape);
  if (failed(stored))
    return failure();
  for (int64_t i = 0, e = array->numElements(); i < e; ++i)
    (*stored)->set(i, array->get(i));
  return ArrayPtr(*stored);
}

static LogicalResult executeDequantize(Machine &machine, DequantizeOp op) {
  auto type = cast<RankedTensorType>(op.getWeights().getType());
  int64_t rows = type.getDimSize(type.getRank() - 2);
  int64_t k = type.getShape().back();
  int64_t matrices = productOf(type.getShape().drop_back(2));
  SmallVector<ArrayPtr> arrays;
  for (Value operand : op.getStorage()) {
    FailureOr<ArrayPtr> array = getStored(machine, op, operand);
    if (failed(array))
      return failure();
    arrays.push_back(*array);
  }
  FailureOr<MutableArrayPtr> result =
      machine.allocateAs(op, DType::F32, type.getShape());
  if (failed(result))
    return failure();

  SmallVector<StorageTensor> tensors = op.getFormat().getStorage(k);
  auto getMatrix = [&](int64_t matrix) {
    SmallVector<StoredRows> storage;
    for (auto [array, tensor] : zip_equal(arrays, tensors)) {
      int64_t count = divideCeil(rows, tensor.rows);
      StoredRows stored;
      stored.bytes = array->numBytes() / matrices;
      if (count > 0)
        stored.rowBytes = stored.bytes / count;
      stored.data = array->dataAs<uint8_t>() + matrix * stored.bytes;
      storage.push_back(stored);
    }
    return storage;
  };
  auto getRow = [&](int64_t index) {
    return MutableArrayRef((*result)->dataAs<float>() + index * k, k);
  };
  FailureOr<FormatDecoder> decoder =
      FormatDecoder::get(op.getFormat(), type, op.getLoc());
  if (failed(decoder))
    return failure();
  // The first row that cannot be decoded, so that the error is always the same.
  std::atomic<int64_t> bad = matrices * rows;
  if (isa<CheckedFormatAttrInterface>(Attribute(op.getFormat())))
    parallelFor(
        matrices * rows,
        [&](int64_t index) {
          int64_t first = bad;
          if (index < first &&
              !findBadBits(op.getFormat(), k, getMatrix(index / rows),
                           index % rows)
                   .empty())
            while (index < first && !bad.compare_exchange_weak(first, index))
              ;
        },
        machine.options.numThreads);
  if (bad < matrices * rows)
    return op.emitOpError()
           << (type.getRank() == 3 ? "expert " + std::to_string(bad / rows) +
                                         ", "
                                   : "")
           << findBadBits(op.getFormat(), k, getMatrix(bad / rows), bad % rows);
  std::atomic<bool> isDecoded = true;
  if (matrices > 0)
    parallelFor(
        matrices * rows,
        [&](int64_t index) {
          if (failed(decoder->decodeRow(getMatrix(index / rows), index % rows,
                                        getRow(index))))
            isDecoded = false;
        },
        decoder->isConcurrent() ? machine.options.numThreads : 1);
  if (!isDecoded)
    return failure();
  machine.set(op.getWeights(), *result);
  return success();
}

void addDequantizeOp(HandlerTable &table) {
  table.add<DequantizeOp>(executeDequantize);
}

} // namespace moe::reference
