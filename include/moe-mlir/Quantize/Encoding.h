//===- Encoding.h - From values to formats of weights ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The interface through which formats are written. A dialect of one's own
// implements or attaches it for its formats.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_QUANTIZE_ENCODING_H
#define MOE_MLIR_QUANTIZE_ENCODING_H

#include "mlir/IR/Attributes.h"
#include "llvm/ADT/ArrayRef.h"

#include <cstdint>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace moe::quantize {

/// Consecutive rows of a matrix.
struct RowValues {
  /// [count, k]
  llvm::ArrayRef<float> values;
  int64_t first = 0, count = 0, k = 0;
  /// What the square of an error in a column counts, one number for each; all
  /// of them 1 if nothing is known.
  llvm::ArrayRef<float> importance;

  const float *row(int64_t i) const { return values.data() + i * k; }
};

/// One of the tensors that a matrix of weights is to be stored in.
struct StorageRows {
  uint8_t *data = nullptr;
  int64_t rowBytes = 0;

  uint8_t *row(int64_t index) const { return data + index * rowBytes; }
};

/// Attaches the encoders of the formats of `moe`.
void registerEncoders(mlir::DialectRegistry &registry);

} // namespace moe::quantize

#include "moe-mlir/Quantize/EncodingInterface.h.inc"

#endif // MOE_MLIR_QUANTIZE_ENCODING_H
