//===- MinimumEncoders.cpp - Blocks of 256 with scales and minima -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Q2_K, Q4_K and Q5_K: values are d sc q - dmin m, with sc and m for each
// sub-block. Each sub-block is fitted by itself; then sc and m are chosen among
// the integers around that for given d and dmin, and d and dmin fitted for
// given sc, m and q, in turn, as long as the error becomes smaller.
//
//===----------------------------------------------------------------------===//

#include "Encoders.h"

#include <array>

using namespace mlir;

namespace moe::quantize {

namespace {

constexpr int kBlock = 256;

template <int SubSize, int MostCode, int MostScale> struct MinimumBlock {
  static constexpr int subs = kBlock / SubSize;

  float d = 0, dmin = 0;
  std::array<uint8_t, subs> scales{}, minima{};
  uint8_t codes[kBlock];

  explicit MinimumBlock(const Span &x) {
    std::array<float, subs> scale, minimum;
    for (int i = 0; i < subs; ++i) {
      found[i] = fitAffine(sub(x, i), MostCode, /*isFree=*/false);
      scale[i] = found[i].scale;
      minimum[i] = -found[i].offset;
    }
    float best = INFINITY;
    improve(x, fitStep(scale, MostScale), fitStep(minimum, MostScale), best);
    // The fewer steps there are, the more it matters where they are.
    if (MostScale < 16)
      for (float part : {0.94f, 0.88f})
        improve(x, part * fitStep(scale, MostScale),
                part * fitStep(minimum, MostScale), best);
    for (int k = 0; k < kBlock; ++k) {
      int i = k / SubSize;
      codes[k] = static_cast<uint8_t>(
          codeOf(x.x[k], d * scales[i], -(dmin * minima[i]), MostCode));
    }
  }

private:
  std::array<Affine, subs> found;
  bool isSet = false;

  static Span sub(const Span &x, int i) {
    return {x.x + i * SubSize, x.w + i * SubSize, SubSize};
  }

  void improve(const Span &x, float someD, float someDmin, float &best) {
    for (int round = 0; round < 3; ++round) {
      someD = toF16(someD);
      someDmin = toF16(someDmin);
      std::array<uint8_t, subs> sc{}, m{};
      float error = 0;
      for (int i = 0; i < subs; ++i)
        error += choose(sub(x, i), found[i], someD, someDmin, sc[i], m[i]);
      // What is beyond f16 has to show in what is stored.
      if (!(error < best) && isSet)
        return;
      isSet = true;
      best = error;
      d = someD;
      dmin = someDmin;
      scales = sc;
      minima = m;
      refit(x, someD, someDmin);
    }
  }

  /// Integers around `affine`; their error.
  static float choose(const Span &x, Affine affine, float d, float dmin,
                      uint8_t &scale, uint8_t &minimum) {
    auto around = [](float value) {
      int middle = static_cast<int>(
          roundLevel(clampTo(0, value, static_cast<float>(MostScale))));
      return std::pair(std::max(middle - 1, 0),
                       std::min(middle + 1, MostScale));
    };
    auto [scBegin, scEnd] = around(over(affine.scale, d));
    auto [mBegin, mEnd] = around(over(-affine.offset, dmin));
    float best = INFINITY;
    for (int sc = scBegin; sc <= scEnd; ++sc)
      for (int m = mBegin; m <= mEnd; ++m) {
        float error = errorOf(x, Affine{d * sc, -(dmin * m)}, MostCode);
        if (!(error < best))
          continue;
        best = error;
        scale = static_cast<uint8_t>(sc);
        minimum = static_cast<uint8_t>(m);
      }
    return best;
  }

  /// The best d and dmin for what scales, minima and codes are now.
  void refit(const Span &x, float &newD, float &newDmin) const {
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (int k = 0; k < kBlock; ++k) {
      int i = k / SubSize;
      double w = x.w[k], b = -minima[i];
      double a = scales[i] *
                 codeOf(x.x[k], d * scales[i], -(dmin * minima[i]), MostCode);
      aa += w * a * a;
      ab += w * a * b;
      bb += w * b * b;
      ax += w * a * x.x[k];
      bx += w * b * x.x[k];
    }
    double determinant = aa * bb - ab * ab;
    if (determinant > 1e-9 * aa * bb) {
      newD = static_cast<float>((bb * ax - ab * bx) / determinant);
      newDmin = static_cast<float>((aa * bx - ab * ax) / determinant);
    } else if (aa > 0) {
      newD = static_cast<float>(ax / aa);
    }
    newD = std::max(newD, 0.0f);
    newDmin = std::max(newDmin, 0.0f);
  }
};

void encodeQ2_K(const Span &x, uint8_t *out) {
  MinimumBlock<16, 3, 15> block(x);
  for (int i = 0; i < block.subs; ++i)
    out[i] = static_cast<uint8_t>(block.scales[i] | block.minima[i] << 4);
  std::memset(out + 16, 0, kBlock / 4);
  for (int k = 0; k < kBlock; ++k)
    out[16 + k / 128 * 32 + k % 32] |=
        static_cast<uint8_t>(block.codes[k] << k % 128 / 32 * 2);
  putF16(out + 80, block.d);
  putF16(out + 82, block.dmin);
}

/// Scales and minima of six bits in twelve bytes.
void putSixBits(const std::array<uint8_t, 8> &scales,
                const std::array<uint8_t, 8> &minima, uint8_t *out) {
  for (int i = 0; i < 4; ++i) {
    out[i] = static_cast<uint8_t>(scales[i] | (scales[i + 4] >> 4) << 6);
    out[i + 4] = static_cast<uint8_t>(minima[i] | (minima[i + 4] >> 4) << 6);
    out[i + 8] =
        static_cast<uint8_t>((scales[i + 4] & 15) | (minima[i + 4] & 15) << 4);
  }
}

/// The low four bits of two sub-blocks of 32 in each byte.
void putNibbles(const uint8_t *codes, uint8_t *out) {
  for (int j = 0; j < kBlock / 2; ++j) {
    const uint8_t *pair = codes + j / 32 * 64 + j % 32;
    out[j] = static_cast<uint8_t>((pair[0] & 15) | (pair[32] & 15) << 4);
  }
}

void encodeQ4_K(const Span &x, uint8_t *out) {
  MinimumBlock<32, 15, 63> block(x);
  putF16(out, block.d);
  putF16(out + 2, block.dmin);
  putSixBits(block.scales, block.minima, out + 4);
  putNibbles(block.codes, out + 16);
}

void encodeQ5_K(const Span &x, uint8_t *out) {
  MinimumBlock<32, 31, 63> block(x);
  putF16(out, block.d);
  putF16(out + 2, block.dmin);
  putSixBits(block.scales, block.minima, out + 4);
  std::memset(out + 16, 0, 32);
  for (int k = 0; k < kBlock; ++k)
    out[16 + k % 32] |= static_cast<uint8_t>((block.codes[k] >> 4) << k / 32);
  putNibbles(block.codes, out + 48);
}

} // namespace

void attachMinimumEncoders(MLIRContext *context) {
  attachBlocks<Q2_KFormatAttr, kBlock, 84, encodeQ2_K>(context);
  attachBlocks<Q4_KFormatAttr, kBlock, 144, encodeQ4_K>(context);
  attachBlocks<Q5_KFormatAttr, kBlock, 176, encodeQ5_K>(context);
}

} // namespace moe::quantize
