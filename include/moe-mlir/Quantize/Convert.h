//===- Convert.h - From one way of storing weights to another --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Converts a matrix at a time: the numbers of one expert are all that is in
// memory.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_QUANTIZE_CONVERT_H
#define MOE_MLIR_QUANTIZE_CONVERT_H

#include "moe-mlir/Quantize/Encoding.h"
#include "moe-mlir/Reference/FormatDecoder.h"
#include "moe-mlir/Report/QuantizeReport.h"
#include "moe-mlir/Transforms/StoreWeights.h"

#include <optional>
#include <string>
#include <vector>

namespace moe::quantize {

/// Converts matrices of one shape from one type to another.
class Converter {
public:
  /// An error says what lacks; `loc` is where messages of formats go.
  static std::optional<Converter> get(const WeightType &from,
                                      const WeightType &to, int64_t rows,
                                      int64_t k, mlir::Location loc,
                                      std::string &error);

  /// Lets formats that store no zeros make zeros of weights; else weights that
  /// these have no room for are an error.
  void setPrunes(bool value) { prunes = value; }

  /// Bytes of a matrix in each of the tensors that it is stored in.
  static llvm::SmallVector<int64_t> getBytes(const WeightType &type,
                                             mlir::MLIRContext *context,
                                             int64_t rows, int64_t k);

  /// Converts the matrix that begins at `source` of each tensor, on up to
  /// `threads` threads, 0 for one for each CPU; results do not depend on it.
  /// `importance` is as RowValues has it, or empty. An error names the row, and
  /// in it the block and the column.
  bool convert(llvm::ArrayRef<const uint8_t *> source,
               llvm::ArrayRef<float> importance, unsigned threads,
               WeightError &errors, std::string &error);

  /// What was converted last, for each tensor of the target.
  llvm::ArrayRef<std::vector<uint8_t>> result() const { return buffers; }

private:
  Converter() = default;

  /// One group of rows that share elements of storage.
  bool convertRows(llvm::ArrayRef<reference::StoredRows> source,
                   llvm::ArrayRef<float> importance, int64_t first,
                   int64_t count, WeightError &errors, std::string &error);
  bool decode(const WeightType &type,
              const std::optional<reference::FormatDecoder> &decoder,
              llvm::ArrayRef<reference::StoredRows> source, int64_t row,
              llvm::MutableArrayRef<float> values) const;
  void encode(const RowValues &rows);
  std::string describePlace(const WeightType &type, int64_t row,
                            int64_t column) const;

  WeightType from, to;
  int64_t rows = 0, k = 0, groupRows = 1;
  std::optional<reference::FormatDecoder> decodeFrom, decodeTo;
  EncodingAttrInterface encoder;
  bool prunes = false;
  llvm::SmallVector<int64_t> sourceRowBytes;
  llvm::SmallVector<StorageRows> storage;
  std::vector<std::vector<uint8_t>> buffers;
  std::vector<float> ones;
};

} // namespace moe::quantize

#endif // MOE_MLIR_QUANTIZE_CONVERT_H
