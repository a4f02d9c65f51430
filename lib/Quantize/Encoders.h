//===- Encoders.h - What encoders share ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What registerEncoders attaches, one function for each family of formats, and
// how bytes are written.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_QUANTIZE_ENCODERS_H
#define MOE_LIB_QUANTIZE_ENCODERS_H

#include "Search.h"
#include "moe-mlir/Quantize/Encoding.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "moe/Moe.h"

#include <cstring>

namespace moe::quantize {

void attachBlockEncoders(mlir::MLIRContext *context);
void attachMinimumEncoders(mlir::MLIRContext *context);
void attachScaleEncoders(mlir::MLIRContext *context);
void attachE2M1Encoders(mlir::MLIRContext *context);
void attachRowEncoders(mlir::MLIRContext *context);
void attachSparseEncoders(mlir::MLIRContext *context);

/// Writes a number as f16; what a decoder reads.
inline float putF16(uint8_t *at, float value) {
  uint16_t bits = f32ToF16(value);
  at[0] = static_cast<uint8_t>(bits);
  at[1] = static_cast<uint8_t>(bits >> 8);
  return f16ToF32(bits);
}
inline float toF16(float value) { return f16ToF32(f32ToF16(value)); }

inline float putF32(uint8_t *at, float value) {
  std::memcpy(at, &value, sizeof(value));
  return value;
}

/// Writes number `index` of those of type `type`, f32, f16 or bf16; what a decoder
/// reads.
inline float putNumber(mlir::Type type, uint8_t *at, int64_t index,
                       float value) {
  if (type.isF32())
    return putF32(at + 4 * index, value);
  if (type.isF16())
    return putF16(at + 2 * index, value);
  uint16_t bits = f32ToBF16(value);
  std::memcpy(at + 2 * index, &bits, sizeof(bits));
  return bf16ToF32(bits);
}

/// x over a scale of either sign that may be 0.
inline float over(float x, float scale) {
  return std::fabs(scale) < leastMagnitude ? 0.0f : x / scale;
}

/// A step of which all of `values` are nearly multiples, with the one of the
/// largest magnitude becoming `most` or somewhat less; as f16.
inline float fitStep(llvm::ArrayRef<float> values, int most) {
  float largest = 0;
  for (float value : values)
    if (std::fabs(value) > std::fabs(largest))
      largest = value;
  float best = toF16(largest / most), bestError = INFINITY;
  for (int multiple = most; multiple > most * 3 / 4; --multiple) {
    float step = toF16(largest / multiple), error = 0;
    for (float value : values) {
      float difference = value - step * roundLevel(over(value, step));
      error += difference * difference;
    }
    if (error < bestError) {
      bestError = error;
      best = step;
    }
  }
  return best;
}

/// What codes of IQ4 stand for.
struct IQ4Table {
  static constexpr float values[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
};
using IQ4Levels = TableLevels<IQ4Table>;

/// Blocks of `size` values in `bytes` bytes, one after another in one tensor.
template <typename AttrT, int size, int bytes,
          void (*encode)(const Span &, uint8_t *)>
struct BlockEncoder : EncodingAttrInterface::ExternalModel<
                          BlockEncoder<AttrT, size, bytes, encode>, AttrT> {
  void encodeRows(mlir::Attribute, const RowValues &rows,
                  llvm::ArrayRef<StorageRows> storage) const {
    for (int64_t i = 0; i < rows.count; ++i) {
      uint8_t *out = storage[0].row(rows.first + i);
      for (int64_t k = 0; k < rows.k; k += size, out += bytes)
        encode({rows.row(i) + k, rows.importance.data() + k, size}, out);
    }
  }
};

template <typename AttrT, int size, int bytes,
          void (*encode)(const Span &, uint8_t *)>
void attachBlocks(mlir::MLIRContext *context) {
  AttrT::template attachInterface<BlockEncoder<AttrT, size, bytes, encode>>(
      *context);
}

} // namespace moe::quantize

#endif // MOE_LIB_QUANTIZE_ENCODERS_H
