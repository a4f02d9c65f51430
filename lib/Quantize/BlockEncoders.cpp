//===- BlockEncoders.cpp - Blocks of 32 with scales of their own -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and IQ4_NL. Codes are made for the scale as it
// is stored, not as it was found.
//
//===----------------------------------------------------------------------===//

#include "Encoders.h"

using namespace mlir;

namespace moe::quantize {

namespace {

constexpr int kBlock = 32;

/// Codes of four bits: j and j + 16 share a byte.
void putNibbles(const uint8_t *codes, uint8_t *out) {
  for (int j = 0; j < kBlock / 2; ++j)
    out[j] = static_cast<uint8_t>(codes[j] | codes[j + kBlock / 2] << 4);
}

/// Codes of five bits: the fifth in four bytes in front of the others.
void putFiveBits(const uint8_t *codes, uint8_t *out) {
  uint8_t low[kBlock];
  std::memset(out, 0, 4);
  for (int k = 0; k < kBlock; ++k) {
    low[k] = codes[k] & 15;
    out[k / 8] |= static_cast<uint8_t>((codes[k] >> 4) << k % 8);
  }
  putNibbles(low, out + 4);
}

template <typename Levels>
float putScale(const Span &x, uint8_t *out, uint8_t *codes) {
  float d = putF16(out, fitScale<Levels>(x));
  for (int k = 0; k < kBlock; ++k)
    codes[k] = static_cast<uint8_t>(Levels::code(over(x.x[k], d)));
  return d;
}

void encodeQ4_0(const Span &x, uint8_t *out) {
  uint8_t codes[kBlock];
  putScale<Integers<-8, 7>>(x, out, codes);
  putNibbles(codes, out + 2);
}

void encodeQ5_0(const Span &x, uint8_t *out) {
  uint8_t codes[kBlock];
  putScale<Integers<-16, 15>>(x, out, codes);
  putFiveBits(codes, out + 2);
}

void encodeIQ4_NL(const Span &x, uint8_t *out) {
  uint8_t codes[kBlock];
  putScale<IQ4Levels>(x, out, codes);
  putNibbles(codes, out + 2);
}

/// As everybody has them: the largest value is 127, halves go away from zero.
void encodeQ8_0(const Span &x, uint8_t *out) {
  float scale = std::fabs(largestOf(x)) / 127;
  float inverse = scale < leastMagnitude ? 0.0f : 1.0f / scale;
  putF16(out, scale);
  for (int k = 0; k < kBlock; ++k)
    out[2 + k] =
        static_cast<uint8_t>(static_cast<int8_t>(std::round(x.x[k] * inverse)));
}

/// Writes scale and offset of codes of 0 to `most`.
void putAffine(const Span &x, int most, uint8_t *out, uint8_t *codes) {
  Affine found = fitAffine(x, static_cast<float>(most), /*isFree=*/true);
  float d = putF16(out, found.scale), m = putF16(out + 2, found.offset);
  for (int k = 0; k < kBlock; ++k)
    codes[k] = static_cast<uint8_t>(codeOf(x.x[k], d, m, most));
}

void encodeQ4_1(const Span &x, uint8_t *out) {
  uint8_t codes[kBlock];
  putAffine(x, 15, out, codes);
  putNibbles(codes, out + 4);
}

void encodeQ5_1(const Span &x, uint8_t *out) {
  uint8_t codes[kBlock];
  putAffine(x, 31, out, codes);
  putFiveBits(codes, out + 4);
}

} // namespace

void attachBlockEncoders(MLIRContext *context) {
  attachBlocks<Q4_0FormatAttr, kBlock, 18, encodeQ4_0>(context);
  attachBlocks<Q4_1FormatAttr, kBlock, 20, encodeQ4_1>(context);
  attachBlocks<Q5_0FormatAttr, kBlock, 22, encodeQ5_0>(context);
  attachBlocks<Q5_1FormatAttr, kBlock, 24, encodeQ5_1>(context);
  attachBlocks<Q8_0FormatAttr, kBlock, 34, encodeQ8_0>(context);
  attachBlocks<IQ4_NLFormatAttr, kBlock, 18, encodeIQ4_NL>(context);
}

} // namespace moe::quantize
