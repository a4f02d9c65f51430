//===- RowEncoders.cpp - Formats of several tensors ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// F16, FP8 and INT8, whose scales are those of the largest value, as
// checkpoints have them, and INT4, whose scales are searched for.
//
//===----------------------------------------------------------------------===//

#include "Encoders.h"

using namespace mlir;

namespace moe::quantize {

namespace {

struct F16Encoder
    : EncodingAttrInterface::ExternalModel<F16Encoder, F16FormatAttr> {
  void encodeRows(Attribute, const RowValues &rows,
                  ArrayRef<StorageRows> storage) const {
    for (int64_t i = 0; i < rows.count; ++i) {
      uint8_t *out = storage[0].row(rows.first + i);
      for (int64_t k = 0; k < rows.k; ++k)
        putF16(out + 2 * k, rows.row(i)[k]);
    }
  }
};

struct FP8Encoder
    : EncodingAttrInterface::ExternalModel<FP8Encoder, FP8FormatAttr> {
  void encodeRows(Attribute attribute, const RowValues &rows,
                  ArrayRef<StorageRows> storage) const {
    auto format = cast<FP8FormatAttr>(attribute);
    constexpr float most = 448;
    int64_t columns = format.getColumns() ? format.getColumns() : rows.k;
    uint8_t *scales = storage[1].row(rows.first / format.getRows());
    int64_t size = format.getExponents() ? 1 : 4;
    for (int64_t begin = 0; begin < rows.k; begin += columns, scales += size) {
      int64_t end = std::min(rows.k, begin + columns);
      float largest = 0;
      for (int64_t i = 0; i < rows.count; ++i)
        for (int64_t k = begin; k < end; ++k)
          largest = std::max(largest, std::fabs(rows.row(i)[k]));
      float scale = largest < leastMagnitude ? 1.0f : largest / most;
      if (format.getExponents()) {
        // The next power of two: the largest value is not to be cut.
        uint8_t exponent = f32ToF8E8M0(scale);
        exponent += f8E8M0ToF32(exponent) < scale;
        *scales = exponent;
        scale = f8E8M0ToF32(exponent);
      } else {
        putF32(scales, scale);
      }
      for (int64_t i = 0; i < rows.count; ++i)
        for (int64_t k = begin; k < end; ++k)
          storage[0].row(rows.first + i)[k] =
              f32ToF8E4M3(rows.row(i)[k] / scale);
    }
  }
};

struct Int8Encoder
    : EncodingAttrInterface::ExternalModel<Int8Encoder, Int8FormatAttr> {
  void encodeRows(Attribute, const RowValues &rows,
                  ArrayRef<StorageRows> storage) const {
    for (int64_t i = 0; i < rows.count; ++i) {
      const float *x = rows.row(i);
      float largest =
          std::fabs(largestOf({x, nullptr, static_cast<int>(rows.k)}));
      float scale = putF32(storage[1].row(rows.first + i),
                           largest < leastMagnitude ? 1.0f : largest / 127);
      uint8_t *out = storage[0].row(rows.first + i);
      for (int64_t k = 0; k < rows.k; ++k)
        out[k] = static_cast<uint8_t>(
            static_cast<int8_t>(std::nearbyint(x[k] / scale)));
    }
  }
};

struct Int4Encoder
    : EncodingAttrInterface::ExternalModel<Int4Encoder, Int4FormatAttr> {
  void encodeRows(Attribute attribute, const RowValues &rows,
                  ArrayRef<StorageRows> storage) const {
    auto format = cast<Int4FormatAttr>(attribute);
    int64_t size = format.getGroup();
    Type type = format.getScales();
    SmallVector<uint8_t> codes(size);
    for (int64_t i = 0; i < rows.count; ++i) {
      int64_t row = rows.first + i;
      for (int64_t group = 0; group * size < rows.k; ++group) {
        Span x{rows.row(i) + group * size,
               rows.importance.data() + group * size, static_cast<int>(size)};
        if (format.getZeros()) {
          fitZero(x, type, group, storage, row, codes);
        } else {
          using Levels = Integers<-8, 7>;
          float scale =
              putNumber(type, storage[1].row(row), group, fitScale<Levels>(x));
          for (int64_t k = 0; k < size; ++k)
            codes[k] = static_cast<uint8_t>(Levels::code(over(x.x[k], scale)));
        }
        uint8_t *out = storage[0].row(row) + group * size / 2;
        for (int64_t k = 0; k < size; k += 2)
          out[k / 2] = static_cast<uint8_t>(codes[k] | codes[k + 1] << 4);
      }
    }
  }

private:
  /// A zero is -offset / scale, so that a scale of 0 would have no offset.
  static void fitZero(const Span &x, Type type, int64_t group,
                      ArrayRef<StorageRows> storage, int64_t row,
                      MutableArrayRef<uint8_t> codes) {
    constexpr int most = 15;
    Affine found = fitAffine(x, most, /*isFree=*/true);
    if (found.scale < leastMagnitude && found.offset != 0)
      found = {std::fabs(found.offset) / most, std::min(found.offset, 0.0f)};
    float scale = putNumber(type, storage[1].row(row), group, found.scale);
    float zero =
        putNumber(type, storage[2].row(row), group, -over(found.offset, scale));
    for (int k = 0; k < x.n; ++k)
      codes[k] =
          static_cast<uint8_t>(codeOf(x.x[k], scale, -(scale * zero), most));
  }
};

} // namespace

void attachRowEncoders(MLIRContext *context) {
  F16FormatAttr::attachInterface<F16Encoder>(*context);
  FP8FormatAttr::attachInterface<FP8Encoder>(*context);
  Int8FormatAttr::attachInterface<Int8Encoder>(*context);
  Int4FormatAttr::attachInterface<Int4Encoder>(*context);
}

} // namespace moe::quantize
