//===- E2M1Encoders.cpp - Floats of four bits ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// MXFP4 in both of its orders, and NVFP4. Their scales are few numbers, of
// which the best is found by trying those near the one of the largest value.
//
//===----------------------------------------------------------------------===//

#include "Encoders.h"

using namespace mlir;

namespace moe::quantize {

namespace {

struct E2M1Table {
  static constexpr float values[] = {-6,   -4, -3,   -2, -1.5f, -1, -0.5f, 0,
                                     0.5f, 1,  1.5f, 2,  3,     4,  6};
};
using E2M1Levels = TableLevels<E2M1Table>;

/// The nearest, of two the one with the lower code; a zero has no sign.
uint8_t e2m1(float x) {
  constexpr float middles[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5};
  int code = 0;
  for (float middle : middles)
    code += std::fabs(x) > middle;
  return static_cast<uint8_t>(code && x < 0 ? code | 8 : code);
}

//===----------------------------------------------------------------------===//
// Scales that are powers of two
//===----------------------------------------------------------------------===//

constexpr int kBlock = 32;
/// Kernels multiply the scale by 12.
constexpr int kMostExponent = 252;

/// The biased exponent and the codes of a block.
uint8_t fitPower(const Span &x, uint8_t *codes) {
  float largest = std::fabs(largestOf(x));
  std::memset(codes, 0, kBlock);
  if (largest == 0)
    return 0;
  auto scaleOf = [](int e) { return std::ldexp(1.0f, e - 127); };
  // The largest value is 4 to 8 times this, or half of that.
  int best = std::clamp(std::ilogb(largest) - 2 + 127, 0, kMostExponent);
  if (best < kMostExponent && errorOf<E2M1Levels>(x, scaleOf(best + 1)) <
                                  errorOf<E2M1Levels>(x, scaleOf(best)))
    ++best;
  for (int k = 0; k < kBlock; ++k)
    codes[k] = e2m1(x.x[k] / scaleOf(best));
  return static_cast<uint8_t>(best);
}

void encodeMXFP4Blocks(const Span &x, uint8_t *out) {
  uint8_t codes[kBlock];
  out[0] = fitPower(x, codes);
  for (int j = 0; j < kBlock / 2; ++j)
    out[1 + j] = static_cast<uint8_t>(codes[j] | codes[j + kBlock / 2] << 4);
}

struct MXFP4Encoder
    : EncodingAttrInterface::ExternalModel<MXFP4Encoder, MXFP4FormatAttr> {
  void encodeRows(Attribute, const RowValues &rows,
                  ArrayRef<StorageRows> storage) const {
    for (int64_t i = 0; i < rows.count; ++i) {
      uint8_t *blocks = storage[0].row(rows.first + i);
      uint8_t *scales = storage[1].row(rows.first + i);
      for (int64_t k = 0; k < rows.k; k += kBlock) {
        uint8_t codes[kBlock];
        *scales++ = fitPower(
            {rows.row(i) + k, rows.importance.data() + k, kBlock}, codes);
        for (int j = 0; j < kBlock; j += 2)
          *blocks++ = static_cast<uint8_t>(codes[j] | codes[j + 1] << 4);
      }
    }
  }
};

//===----------------------------------------------------------------------===//
// Scales in E4M3
//===----------------------------------------------------------------------===//

void encodeNVFP4(const Span &x, uint8_t *out) {
  constexpr int subBlock = 16, below = 3, above = 6, mostCode = 126;
  for (int i = 0; i < x.n / subBlock; ++i) {
    Span part{x.x + i * subBlock, x.w + i * subBlock, subBlock};
    int middle = f32ToF8E4M3(std::fabs(largestOf(part)) / 6);
    // Of what is beyond all scales, it is NaN.
    constexpr float beyond = 6 * 464;
    bool isBeyond = std::fabs(largestOf(part)) >= beyond;
    int best = isBeyond ? 127 : middle;
    float bestError = isBeyond ? 0 : INFINITY;
    for (int code = std::max(middle - below, 0);
         code <= std::min(middle + above, mostCode); ++code) {
      float error =
          errorOf<E2M1Levels>(part, f8E4M3ToF32(static_cast<uint8_t>(code)));
      if (error < bestError) {
        bestError = error;
        best = code;
      }
    }
    out[i] = static_cast<uint8_t>(best);
    float d = f8E4M3ToF32(out[i]);
    for (int j = 0; j < subBlock / 2; ++j)
      out[4 + i * subBlock / 2 + j] =
          static_cast<uint8_t>(e2m1(over(part.x[j], d)) |
                               e2m1(over(part.x[j + subBlock / 2], d)) << 4);
  }
}

} // namespace

void attachE2M1Encoders(MLIRContext *context) {
  attachBlocks<MXFP4BlocksFormatAttr, kBlock, 17, encodeMXFP4Blocks>(context);
  attachBlocks<NVFP4FormatAttr, 64, 36, encodeNVFP4>(context);
  MXFP4FormatAttr::attachInterface<MXFP4Encoder>(*context);
}

} // namespace moe::quantize
