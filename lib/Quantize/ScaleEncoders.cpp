//===- ScaleEncoders.cpp - Blocks of 256 with scales alone -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Q3_K, Q6_K and IQ4_XS: values are d sc l, with an integer sc of either sign
// for each sub-block and a level l. As in MinimumEncoders.cpp, sc and d are
// chosen in turn.
//
//===----------------------------------------------------------------------===//

#include "Encoders.h"

#include <array>

using namespace mlir;

namespace moe::quantize {

namespace {

constexpr int kBlock = 256;

/// Scales are integers of -MostScale to MostScale - 1.
template <typename Levels, int SubSize, int MostScale> struct ScaleBlock {
  static constexpr int subs = kBlock / SubSize;

  float d = 0;
  std::array<int, subs> scales{};
  uint8_t codes[kBlock];

  explicit ScaleBlock(const Span &x) {
    for (int i = 0; i < subs; ++i)
      found[i] = fitScale<Levels>(sub(x, i));
    // The largest becomes the lowest integer, which goes one further.
    improve(x, -fitStep(found, MostScale));
    for (int k = 0; k < kBlock; ++k)
      codes[k] = static_cast<uint8_t>(
          Levels::code(over(x.x[k], d * scales[k / SubSize])));
  }

private:
  std::array<float, subs> found;

  static Span sub(const Span &x, int i) {
    return {x.x + i * SubSize, x.w + i * SubSize, SubSize};
  }

  void improve(const Span &x, float someD) {
    float best = INFINITY;
    for (int round = 0; round < 3; ++round) {
      someD = toF16(someD);
      std::array<int, subs> sc;
      float error = 0;
      for (int i = 0; i < subs; ++i)
        error += choose(sub(x, i), found[i], someD, sc[i]);
      // What is beyond f16 has to show in what is stored.
      if (!(error < best) && round > 0)
        return;
      best = error;
      d = someD;
      scales = sc;
      someD = refit(x);
    }
  }

  /// An integer around `scale`; its error.
  static float choose(const Span &x, float scale, float d, int &chosen) {
    constexpr float lowest = -MostScale, highest = MostScale - 1;
    int middle =
        static_cast<int>(roundLevel(clampTo(lowest, over(scale, d), highest)));
    float best = INFINITY;
    chosen = middle;
    for (int sc = std::max(middle - 1, -MostScale);
         sc <= std::min(middle + 1, MostScale - 1); ++sc) {
      float error = errorOf<Levels>(x, d * sc);
      if (!(error < best))
        continue;
      best = error;
      chosen = sc;
    }
    return best;
  }

  /// The best d for what scales and codes are now.
  float refit(const Span &x) const {
    double product = 0, square = 0;
    for (int k = 0; k < kBlock; ++k) {
      double sc = scales[k / SubSize];
      double level =
          sc * Levels::nearest(over(x.x[k], d * scales[k / SubSize]));
      product += x.w[k] * level * x.x[k];
      square += x.w[k] * level * level;
    }
    return square > 0 ? static_cast<float>(product / square) : d;
  }
};

void encodeQ3_K(const Span &x, uint8_t *out) {
  ScaleBlock<Integers<-4, 3>, 16, 32> block(x);
  std::memset(out, 0, 108);
  for (int k = 0; k < kBlock; ++k) {
    int code = block.codes[k];
    out[k % 32] |= static_cast<uint8_t>((code >> 2) << k / 32);
    out[32 + k / 128 * 32 + k % 32] |=
        static_cast<uint8_t>((code & 3) << k % 128 / 32 * 2);
  }
  uint8_t *s = out + 96;
  for (int i = 0; i < block.subs; ++i) {
    int scale = block.scales[i] + 32;
    s[i % 8] |= static_cast<uint8_t>((scale & 15) << i / 8 * 4);
    s[8 + i % 4] |= static_cast<uint8_t>((scale >> 4) << i / 4 * 2);
  }
  putF16(out + 108, block.d);
}

void encodeQ6_K(const Span &x, uint8_t *out) {
  ScaleBlock<Integers<-32, 31>, 16, 128> block(x);
  std::memset(out, 0, 192);
  for (int k = 0; k < kBlock; ++k) {
    int half = k / 128, row = k % 128 / 32, l = k % 32, code = block.codes[k];
    out[64 * half + 32 * (row % 2) + l] |=
        static_cast<uint8_t>((code & 15) << row / 2 * 4);
    out[128 + 32 * half + l] |= static_cast<uint8_t>((code >> 4) << row * 2);
  }
  for (int i = 0; i < block.subs; ++i)
    out[192 + i] = static_cast<uint8_t>(static_cast<int8_t>(block.scales[i]));
  putF16(out + 208, block.d);
}

void encodeIQ4_XS(const Span &x, uint8_t *out) {
  ScaleBlock<IQ4Levels, 32, 32> block(x);
  putF16(out, block.d);
  std::memset(out + 2, 0, 6);
  for (int i = 0; i < block.subs; ++i) {
    int scale = block.scales[i] + 32;
    out[2 + i / 4] |= static_cast<uint8_t>((scale >> 4) << i % 4 * 2);
    out[4 + i / 2] |= static_cast<uint8_t>((scale & 15) << i % 2 * 4);
    for (int j = 0; j < 16; ++j)
      out[8 + 16 * i + j] = static_cast<uint8_t>(
          block.codes[32 * i + j] | block.codes[32 * i + j + 16] << 4);
  }
}

} // namespace

void attachScaleEncoders(MLIRContext *context) {
  attachBlocks<Q3_KFormatAttr, kBlock, 110, encodeQ3_K>(context);
  attachBlocks<Q6_KFormatAttr, kBlock, 210, encodeQ6_K>(context);
  attachBlocks<IQ4_XSFormatAttr, kBlock, 136, encodeIQ4_XS>(context);
}

} // namespace moe::quantize
