//===- Convert.cpp - From one way of storing weights to another -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every value that is written is decoded again, by the interpreter's decoder,
// to tell the error of it: what an encoder cannot represent is found here,
// whoever wrote it.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Quantize/Convert.h"

#include "Sparse.h"
#include "moe-mlir/Analysis/StoredWeights.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "moe-mlir/Support/Parallel.h"

#include "llvm/Support/Format.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace moe;
using namespace moe::quantize;

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// Bytes of a row of each tensor.
static SmallVector<int64_t> getBytesOfRow(const WeightType &type,
                                          MLIRContext *context, int64_t k) {
  SmallVector<int64_t> bytes;
  int64_t blocks = k / type.getBlockSize(k);
  for (const StorageTensor &tensor : type.getStorage(context, k))
    bytes.push_back(
        tensor.getBytes() *
        (tensor.blocks ? llvm::divideCeil(blocks, tensor.blocks) : 1));
  return bytes;
}

SmallVector<int64_t> Converter::getBytes(const WeightType &type,
                                         MLIRContext *context, int64_t rows,
                                         int64_t k) {
  SmallVector<int64_t> bytes = getBytesOfRow(type, context, k);
  for (auto [size, tensor] : llvm::zip(bytes, type.getStorage(context, k)))
    size *= llvm::divideCeil(rows, tensor.rows);
  return bytes;
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

static void loadNumbers(DType type, const uint8_t *from,
                        MutableArrayRef<float> values) {
  auto load = [&](auto bits, auto convert) {
    for (size_t i = 0; i < values.size(); ++i) {
      std::memcpy(&bits, from + i * sizeof(bits), sizeof(bits));
      values[i] = convert(bits);
    }
  };
  if (type == DType::BF16)
    load(uint16_t(), bf16ToF32);
  else if (type == DType::F16)
    load(uint16_t(), f16ToF32);
  else if (type == DType::F64)
    load(double(), [](double value) { return static_cast<float>(value); });
  else
    std::memcpy(values.data(), from, values.size() * sizeof(float));
}

static void storeNumbers(DType type, const float *values, int64_t count,
                         uint8_t *to) {
  auto store = [&](auto convert) {
    for (int64_t i = 0; i < count; ++i) {
      auto bits = convert(values[i]);
      std::memcpy(to + i * sizeof(bits), &bits, sizeof(bits));
    }
  };
  if (type == DType::BF16)
    store(f32ToBF16);
  else if (type == DType::F16)
    store(f32ToF16);
  else if (type == DType::F64)
    store([](float value) { return static_cast<double>(value); });
  else
    std::memcpy(to, values, count * sizeof(float));
}

//===----------------------------------------------------------------------===//
// Converter
//===----------------------------------------------------------------------===//

std::optional<Converter> Converter::get(const WeightType &from,
                                        const WeightType &to, int64_t rows,
                                        int64_t k, Location loc,
                                        std::string &error) {
  Converter converter;
  converter.from = from;
  converter.to = to;
  converter.rows = rows;
  converter.k = k;
  converter.ones.assign(k, 1.0f);
  MLIRContext *context = loc.getContext();
  auto getDecoder = [&](WeightFormatAttrInterface format, auto &decoder) {
    if (!format)
      return true;
    FailureOr<reference::FormatDecoder> got =
        reference::FormatDecoder::get(
            format,
            RankedTensorType::get({rows, k}, Float32Type::get(context)), loc);
    if (failed(got)) {
      error = nameWeightFormat(format) + " cannot be decoded";
      return false;
    }
    decoder.emplace(std::move(*got));
    return true;
  };
  // Rows of these are not one after another.
  for (const WeightType *type : {&from, &to})
    if (llvm::any_of(type->getStorage(context, k),
                     [](const StorageTensor &tensor) { return tensor.order; })) {
      error = type->name() +
              " has its numbers in the order of a file, which is neither read "
              "nor written; order = rows is";
      return std::nullopt;
    }
  if (!getDecoder(from.format, converter.decodeFrom) ||
      !getDecoder(to.format, converter.decodeTo))
    return std::nullopt;
  if (to.format) {
    converter.encoder = dyn_cast<EncodingAttrInterface>(Attribute(to.format));
    if (!converter.encoder) {
      error = to.name() + " cannot be written: its dialect has to implement "
                          "or attach moe::quantize::EncodingAttrInterface";
      return std::nullopt;
    }
  }
  converter.sourceRowBytes = getBytesOfRow(from, context, k);
  for (const StorageTensor &tensor : to.getStorage(context, k))
    converter.groupRows = std::max(converter.groupRows, tensor.rows);
  for (auto [bytes, rowBytes] : llvm::zip_equal(getBytes(to, context, rows, k),
                                                getBytesOfRow(to, context, k))) {
    converter.buffers.emplace_back(bytes);
    converter.storage.push_back({converter.buffers.back().data(), rowBytes});
  }
  return converter;
}

std::string Converter::describePlace(const WeightType &type, int64_t row,
                                     int64_t column) const {
  std::string text = "row " + std::to_string(row);
  int64_t block = type.getBlockSize(k);
  if (block != k)
    text += ", block " + std::to_string(column / block);
  return text + " (column " + std::to_string(column) + ")";
}

bool Converter::decode(const WeightType &type,
                       const std::optional<reference::FormatDecoder> &decoder,
                       ArrayRef<reference::StoredRows> source, int64_t row,
                       MutableArrayRef<float> values) const {
  if (decoder)
    return succeeded(decoder->decodeRow(source, row, values));
  loadNumbers(type.number, source[0].row(row), values);
  return true;
}

void Converter::encode(const RowValues &values) {
  if (encoder)
    encoder.encodeRows(values, storage);
  else
    for (int64_t i = 0; i < values.count; ++i)
      storeNumbers(to.number, values.row(i), k,
                   storage[0].row(values.first + i));
}

/// Adds the errors of a row. Sums are in double, and in one order.
static void addErrors(ArrayRef<float> given, ArrayRef<float> stored,
                      ArrayRef<float> importance, WeightError &errors) {
  errors.count += given.size();
  for (size_t i = 0; i < given.size(); ++i) {
    double x = given[i], y = stored[i], error = y - x;
    errors.largest = std::max(errors.largest, std::fabs(error));
    errors.errors += error * error;
    errors.given += x * x;
    errors.stored += y * y;
    errors.products += x * y;
    errors.weightedErrors += importance[i] * error * error;
    errors.weightedGiven += importance[i] * x * x;
  }
}

bool Converter::convertRows(ArrayRef<reference::StoredRows> source,
                            ArrayRef<float> importance, int64_t first,
                            int64_t count, WeightError &errors,
                            std::string &error) {
  std::vector<float> given(count * k), stored(k);
  auto rowOf = [&](int64_t i) {
    return MutableArrayRef<float>(given).slice(i * k, k);
  };
  auto findBad = [](ArrayRef<float> values) {
    return std::find_if(values.begin(), values.end(),
                        [](float x) { return !std::isfinite(x); });
  };
  for (int64_t i = 0; i < count; ++i) {
    if (from.format)
      error = reference::findBadBits(from.format, k, source, first + i);
    if (!error.empty())
      return false;
    if (!decode(from, decodeFrom, source, first + i, rowOf(i))) {
      error = "row " + std::to_string(first + i) + " cannot be decoded";
      return false;
    }
    ArrayRef<float> row = rowOf(i);
    if (const float *bad = findBad(row); bad != row.end()) {
      error =
          describePlace(from.format ? from : to, first + i, bad - row.begin()) +
          (std::isnan(*bad) ? " is not a number" : " is infinite");
      return false;
    }
  }
  RowValues rows{given, first, count, k, importance};
  if (to.format && !prunes)
    error = findPruned(to.format, rows);
  if (!error.empty()) {
    error += "; moe-sparsify chooses among them";
    return false;
  }
  encode(rows);
  SmallVector<reference::StoredRows> written;
  for (const StorageRows &tensor : storage)
    written.push_back({tensor.data, tensor.rowBytes});
  for (int64_t i = 0; i < count; ++i) {
    if (!decode(to, decodeTo, written, first + i, stored)) {
      error = "row " + std::to_string(first + i) + " cannot be decoded";
      return false;
    }
    ArrayRef<float> row = stored;
    if (const float *bad = findBad(row); bad != row.end()) {
      // What is too large need not be the value that it spoils.
      int64_t column = bad - row.begin(), block = to.getBlockSize(k);
      float largest = 0;
      for (float x : rowOf(i).slice(column / block * block, block))
        largest = std::max(largest, std::fabs(x));
      llvm::raw_string_ostream(error)
          << describePlace(to, first + i, column) << " has values of up to "
          << llvm::format("%.9g", largest) << ", too large for " << to.name();
      return false;
    }
    addErrors(rowOf(i), stored, importance, errors);
  }
  return true;
}

bool Converter::convert(ArrayRef<const uint8_t *> source,
                        ArrayRef<float> importance, unsigned threads,
                        WeightError &errors, std::string &error) {
  SmallVector<reference::StoredRows> rowsOf;
  for (auto [data, rowBytes] : llvm::zip_equal(source, sourceRowBytes))
    rowsOf.push_back({data, rowBytes});
  if (importance.empty())
    importance = ones;
  // Some rows at a time, so that a thread is worth it.
  int64_t step = groupRows * std::max<int64_t>(1, 16 / groupRows);
  int64_t groups = llvm::divideCeil(rows, step);
  std::vector<WeightError> parts(groups);
  std::vector<std::string> problems(groups);
  bool isConcurrent = (!decodeFrom || decodeFrom->isConcurrent()) &&
                      (!decodeTo || decodeTo->isConcurrent());
  parallelFor(
      groups,
      [&](int64_t group) {
        int64_t end = std::min(rows, (group + 1) * step);
        for (int64_t first = group * step;
             first < end && problems[group].empty(); first += groupRows)
          convertRows(rowsOf, importance, first,
                      std::min(groupRows, rows - first), parts[group],
                      problems[group]);
      },
      isConcurrent ? threads : 1);
  for (auto [part, problem] : llvm::zip_equal(parts, problems)) {
    if (!problem.empty()) {
      error = problem;
      return false;
    }
    errors.add(part);
  }
  return true;
}
