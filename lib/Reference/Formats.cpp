//===- Formats.cpp - Formats of weights, from bytes to values --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One plain function for each format, that of a block where it has blocks of
// bytes. Scales and values are f32, as they are defined; products of the scales
// of blocks and a code are exact in it, and what is added to them is rounded
// once.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "moe/Grids.h"
#include "moe/Moe.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

namespace {

using Bytes = const uint8_t *;

float f16At(Bytes at) {
  return f16ToF32(static_cast<uint16_t>(at[0] | at[1] << 8));
}

/// A number with a sign in two's complement.
int signedAt(Bytes at) { return static_cast<int8_t>(*at); }

int low(uint8_t byte) { return byte & 15; }
int high(uint8_t byte) { return byte >> 4; }

/// A power of two by its biased exponent; 255 is NaN.
float e8m0At(Bytes at) {
  return *at == 255 ? std::numeric_limits<float>::quiet_NaN()
                    : std::ldexp(1.0f, *at - 127);
}

/// A float of four bits.
float e2m1(int code) {
  static constexpr float kValues[] = {0.0f, 0.5f, 1.0f, 1.5f,
                                      2.0f, 3.0f, 4.0f, 6.0f};
  return code < 8 ? kValues[code] : -kValues[code - 8];
}

/// What codes of IQ4 stand for.
int iq4(int code) {
  static constexpr int kValues[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};
  return kValues[code];
}

int bit(uint8_t byte, int index) { return byte >> index & 1; }
int twoBits(uint8_t byte, int index) { return byte >> 2 * index & 3; }

/// scale * q + offset, rounded once.
float affine(float scale, int q, float offset) {
  return std::fma(scale, static_cast<float>(q), offset);
}

//===----------------------------------------------------------------------===//
// Blocks of 32
//===----------------------------------------------------------------------===//

void decodeQ4_0(Bytes b, float *out) {
  float d = f16At(b);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * (low(b[2 + j]) - 8);
    out[j + 16] = d * (high(b[2 + j]) - 8);
  }
}

void decodeQ4_1(Bytes b, float *out) {
  float d = f16At(b), m = f16At(b + 2);
  for (int j = 0; j < 16; ++j) {
    out[j] = affine(d, low(b[4 + j]), m);
    out[j + 16] = affine(d, high(b[4 + j]), m);
  }
}

/// Element `k` of 32 in five bits.
int fiveBits(Bytes qh, Bytes ql, int k) {
  int four = k < 16 ? low(ql[k]) : high(ql[k - 16]);
  return four | bit(qh[k / 8], k % 8) << 4;
}

void decodeQ5_0(Bytes b, float *out) {
  float d = f16At(b);
  for (int k = 0; k < 32; ++k)
    out[k] = d * (fiveBits(b + 2, b + 6, k) - 16);
}

void decodeQ5_1(Bytes b, float *out) {
  float d = f16At(b), m = f16At(b + 2);
  for (int k = 0; k < 32; ++k)
    out[k] = affine(d, fiveBits(b + 4, b + 8, k), m);
}

void decodeQ8_0(Bytes b, float *out) {
  float d = f16At(b);
  for (int j = 0; j < 32; ++j)
    out[j] = d * signedAt(b + 2 + j);
}

void decodeIQ4_NL(Bytes b, float *out) {
  float d = f16At(b);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * iq4(low(b[2 + j]));
    out[j + 16] = d * iq4(high(b[2 + j]));
  }
}

void decodeMXFP4Blocks(Bytes b, float *out) {
  float d = e8m0At(b);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * e2m1(low(b[1 + j]));
    out[j + 16] = d * e2m1(high(b[1 + j]));
  }
}

void decodeNVFP4(Bytes b, float *out) {
  for (int i = 0; i < 4; ++i) {
    float d = f8E4M3ToF32(b[i] & 127);
    for (int j = 0; j < 8; ++j) {
      uint8_t byte = b[4 + 8 * i + j];
      out[16 * i + j] = d * e2m1(low(byte));
      out[16 * i + j + 8] = d * e2m1(high(byte));
    }
  }
}

//===----------------------------------------------------------------------===//
// Blocks of 256
//===----------------------------------------------------------------------===//

void decodeQ2_K(Bytes b, float *out) {
  float d = f16At(b + 80), dmin = f16At(b + 82);
  for (int k = 0; k < 256; ++k) {
    int half = k / 128, row = k % 128 / 32, l = k % 32;
    int q = twoBits(b[16 + 32 * half + l], row);
    out[k] = affine(d * low(b[k / 16]), q, -(dmin * high(b[k / 16])));
  }
}

void decodeQ3_K(Bytes b, float *out) {
  Bytes s = b + 96;
  float d = f16At(b + 108);
  for (int k = 0; k < 256; ++k) {
    int half = k / 128, row = k % 128 / 32, l = k % 32, i = k / 16;
    int q = twoBits(b[32 + 32 * half + l], row);
    if (!bit(b[l], k / 32))
      q -= 4;
    int four = i < 8 ? low(s[i]) : high(s[i - 8]);
    int scale = four | twoBits(s[8 + i % 4], i / 4) << 4;
    out[k] = d * (scale - 32) * q;
  }
}

/// Scale and minimum of sub-block `i`, six bits each in twelve bytes.
void readSixBits(Bytes s, int i, int &scale, int &minimum) {
  if (i < 4) {
    scale = s[i] & 63;
    minimum = s[i + 4] & 63;
  } else {
    scale = low(s[i + 4]) | (s[i - 4] >> 6) << 4;
    minimum = high(s[i + 4]) | (s[i] >> 6) << 4;
  }
}

void decodeQ4_K(Bytes b, float *out) {
  float d = f16At(b), dmin = f16At(b + 2);
  for (int i = 0; i < 8; ++i) {
    int scale, minimum;
    readSixBits(b + 4, i, scale, minimum);
    for (int l = 0; l < 32; ++l) {
      uint8_t byte = b[16 + 32 * (i / 2) + l];
      int q = i % 2 ? high(byte) : low(byte);
      out[32 * i + l] = affine(d * scale, q, -(dmin * minimum));
    }
  }
}

void decodeQ5_K(Bytes b, float *out) {
  float d = f16At(b), dmin = f16At(b + 2);
  for (int i = 0; i < 8; ++i) {
    int scale, minimum;
    readSixBits(b + 4, i, scale, minimum);
    for (int l = 0; l < 32; ++l) {
      uint8_t byte = b[48 + 32 * (i / 2) + l];
      int q = (i % 2 ? high(byte) : low(byte)) | bit(b[16 + l], i) << 4;
      out[32 * i + l] = affine(d * scale, q, -(dmin * minimum));
    }
  }
}

void decodeQ6_K(Bytes b, float *out) {
  float d = f16At(b + 208);
  for (int k = 0; k < 256; ++k) {
    int half = k / 128, row = k % 128 / 32, l = k % 32;
    uint8_t ql = b[64 * half + 32 * (row % 2) + l];
    uint8_t qh = b[128 + 32 * half + l];
    int q = (row < 2 ? low(ql) : high(ql)) | twoBits(qh, row) << 4;
    out[k] = d * signedAt(b + 192 + k / 16) * (q - 32);
  }
}

void decodeIQ4_XS(Bytes b, float *out) {
  float d = f16At(b);
  for (int i = 0; i < 8; ++i) {
    int four = i % 2 ? high(b[4 + i / 2]) : low(b[4 + i / 2]);
    int scale = four | twoBits(b[2 + i / 4], i % 4) << 4;
    for (int j = 0; j < 16; ++j) {
      uint8_t byte = b[8 + 16 * i + j];
      out[32 * i + j] = d * (scale - 32) * iq4(low(byte));
      out[32 * i + j + 16] = d * (scale - 32) * iq4(high(byte));
    }
  }
}

/// Digit `n` of a byte that is a fraction of 256 in base 3.
int ternaryDigit(uint8_t byte, int n) {
  int rest = byte;
  for (int i = 0; i < n; ++i)
    rest = rest * 3 % 256;
  return rest * 3 / 256;
}

void decodeTQ1_0(Bytes b, float *out) {
  float d = f16At(b + 52);
  for (int n = 0; n < 5; ++n) {
    for (int j = 0; j < 32; ++j)
      out[32 * n + j] = d * (ternaryDigit(b[j], n) - 1);
    for (int j = 0; j < 16; ++j)
      out[160 + 16 * n + j] = d * (ternaryDigit(b[32 + j], n) - 1);
  }
  for (int n = 0; n < 4; ++n)
    for (int j = 0; j < 4; ++j)
      out[240 + 4 * n + j] = d * (ternaryDigit(b[48 + j], n) - 1);
}

void decodeTQ2_0(Bytes b, float *out) {
  float d = f16At(b + 64);
  for (int k = 0; k < 256; ++k) {
    int half = k / 128, row = k % 128 / 32, l = k % 32;
    out[k] = d * (twoBits(b[32 * half + l], row) - 1);
  }
}

//===----------------------------------------------------------------------===//
// Grids
//===----------------------------------------------------------------------===//

/// Whether element `j` of eight has a minus, by the signs of the first seven:
/// the number of them is even.
bool hasMinus(int seven, int j) {
  int count = 0;
  for (int i = 0; i < 7; ++i)
    count += seven >> i & 1;
  return j < 7 ? seven >> j & 1 : count % 2;
}

/// Level `j` of an entry of levels of `bits` bits.
int levelOf(uint16_t entry, int j, int bits, const int8_t *levels) {
  return levels[entry >> j * bits & ((1 << bits) - 1)];
}

uint32_t wordAt(Bytes at) {
  return at[0] | at[1] << 8 | at[2] << 16 | static_cast<uint32_t>(at[3]) << 24;
}

void decodeIQ2_XXS(Bytes b, float *out) {
  float d = f16At(b);
  for (int k = 0; k < 256; ++k) {
    int i = k / 32, eight = k % 32 / 8, j = k % 8;
    uint32_t word = wordAt(b + 2 + 8 * i + 4);
    int level = levelOf(kGridIQ2_XXS[b[2 + 8 * i + eight]], j, 2, kLevelsIQ2);
    float scale = d * (static_cast<float>(word >> 28) + 0.5f) * 0.25f;
    out[k] = scale * (hasMinus(word >> 7 * eight & 127, j) ? -level : level);
  }
}

void decodeIQ2_XS(Bytes b, float *out) {
  float d = f16At(b);
  for (int k = 0; k < 256; ++k) {
    Bytes at = b + 2 + k / 8 * 2;
    int q = at[0] | at[1] << 8, s = b[66 + k / 32];
    int level = levelOf(kGridIQ2_XS[q & 511], k % 8, 2, kLevelsIQ2);
    float scale = d * ((k / 16 % 2 ? high(s) : low(s)) + 0.5f) * 0.25f;
    out[k] = scale * (hasMinus(q >> 9, k % 8) ? -level : level);
  }
}

void decodeIQ2_S(Bytes b, float *out) {
  float d = f16At(b);
  for (int k = 0; k < 256; ++k) {
    int eight = k / 8, s = b[74 + k / 32];
    int q = b[2 + eight] | twoBits(b[66 + k / 32], eight % 4) << 8;
    int level = levelOf(kGridIQ2_S[q], k % 8, 2, kLevelsIQ2);
    float scale = d * ((k / 16 % 2 ? high(s) : low(s)) + 0.5f) * 0.25f;
    out[k] = scale * (bit(b[34 + eight], k % 8) ? -level : level);
  }
}

void decodeIQ3_XXS(Bytes b, float *out) {
  float d = f16At(b);
  for (int k = 0; k < 256; ++k) {
    uint32_t word = wordAt(b + 66 + k / 32 * 4);
    int level = levelOf(kGridIQ3_XXS[b[2 + k / 4]], k % 4, 4, kLevelsIQ3_XXS);
    float scale = d * (static_cast<float>(word >> 28) + 0.5f) * 0.5f;
    out[k] = scale *
             (hasMinus(word >> k % 32 / 8 * 7 & 127, k % 8) ? -level : level);
  }
}

void decodeIQ3_S(Bytes b, float *out) {
  float d = f16At(b);
  for (int k = 0; k < 256; ++k) {
    int q = b[2 + k / 4] | bit(b[66 + k / 32], k / 4 % 8) << 8;
    int level = levelOf(kGridIQ3_S[q], k % 4, 4, kLevelsIQ3_S);
    int s = b[106 + k / 64];
    float scale = d * (2 * (k / 32 % 2 ? high(s) : low(s)) + 1);
    out[k] = scale * (bit(b[74 + k / 8], k % 8) ? -level : level);
  }
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

float bf16At(Bytes at) {
  return bf16ToF32(static_cast<uint16_t>(at[0] | at[1] << 8));
}

float f32At(Bytes at) {
  float value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

/// Number `index` of those of type `type`.
float numberAt(Type type, Bytes at, int64_t index) {
  return type.isF32()    ? f32At(at + 4 * index)
         : type.isBF16() ? bf16At(at + 2 * index)
                         : f16At(at + 2 * index);
}

/// Element `k` of nibbles two by two.
int pairedNibble(Bytes from, int64_t k) {
  return k % 2 ? high(from[k / 2]) : low(from[k / 2]);
}

void decodeF16(F16FormatAttr, ArrayRef<StoredRows> storage, int64_t row,
               MutableArrayRef<float> values) {
  Bytes from = storage[0].row(row);
  for (size_t k = 0; k < values.size(); ++k)
    values[k] = f16At(from + 2 * k);
}

void decodeFP8(FP8FormatAttr format, ArrayRef<StoredRows> storage, int64_t row,
               MutableArrayRef<float> values) {
  Bytes from = storage[0].row(row);
  Bytes scales = storage[1].row(row / format.getRows());
  int64_t columns =
      format.getColumns() ? format.getColumns() : int64_t(values.size());
  for (size_t k = 0; k < values.size(); ++k)
    values[k] = f8E4M3ToF32(from[k]) *
                (format.getExponents() ? e8m0At(scales + k / columns)
                                       : f32At(scales + 4 * (k / columns)));
}

void decodeInt8(Int8FormatAttr, ArrayRef<StoredRows> storage, int64_t row,
                MutableArrayRef<float> values) {
  Bytes from = storage[0].row(row);
  float scale = f32At(storage[1].row(row));
  for (size_t k = 0; k < values.size(); ++k)
    values[k] = scale * signedAt(from + k);
}

/// Number `i` of those that the i32 `word` of `words` has.
int nibbleOf(Bytes words, int64_t word, int64_t i) {
  return pairedNibble(words + 4 * word, i);
}

/// The place of row `row` of eight in a word of AWQ.
int64_t placeInAWQ(int64_t row) {
  static constexpr int64_t kRows[] = {0, 2, 4, 6, 1, 3, 5, 7};
  return std::find(kRows, kRows + 8, row) - kRows;
}

void decodeInt4(Int4FormatAttr format, ArrayRef<StoredRows> storage,
                int64_t row, MutableArrayRef<float> values) {
  int64_t size = values.size(), groups = size / format.getGroup();
  int64_t rows = storage[0].bytes * 2 / size;
  for (int64_t k = 0; k < size; ++k) {
    int64_t group = k / format.getGroup();
    auto readNumber = [&](int tensor, int64_t at) {
      return numberAt(format.getScales(), storage[tensor].data, at);
    };
    float scale = 0, zero = 8;
    int q = 0;
    switch (format.getOrder()) {
    case Int4Order::Rows:
    case Int4Order::PackQuantized:
      q = pairedNibble(storage[0].data, row * size + k);
      scale = readNumber(1, row * groups + group);
      if (format.getZeros() && format.getOrder() == Int4Order::Rows)
        zero = readNumber(2, row * groups + group);
      else if (format.getZeros())
        zero = nibbleOf(storage[2].data, row / 8 * groups + group, row % 8);
      break;
    case Int4Order::AWQ:
      q = nibbleOf(storage[0].data, k * (rows / 8) + row / 8,
                   placeInAWQ(row % 8));
      scale = readNumber(1, group * rows + row);
      zero = nibbleOf(storage[2].data, group * (rows / 8) + row / 8,
                      placeInAWQ(row % 8));
      break;
    case Int4Order::GPTQ:
    case Int4Order::GPTQv2:
      q = nibbleOf(storage[0].data, k / 8 * rows + row, k % 8);
      scale = readNumber(1, group * rows + row);
      zero = nibbleOf(storage[2].data, group * (rows / 8) + row / 8, row % 8);
      if (format.getOrder() == Int4Order::GPTQ)
        zero = static_cast<float>((static_cast<int>(zero) + 1) % 16);
      break;
    case Int4Order::HQQ: {
      uint8_t byte = storage[0].data[row % (rows / 2) * size + k];
      q = row < rows / 2 ? high(byte) : low(byte);
      scale = readNumber(1, row * groups + group);
      zero = readNumber(2, row * groups + group);
      break;
    }
    }
    values[k] = affine(scale, q, -(scale * zero));
  }
}

void decodeMXFP4(MXFP4FormatAttr, ArrayRef<StoredRows> storage, int64_t row,
                 MutableArrayRef<float> values) {
  for (size_t k = 0; k < values.size(); ++k)
    values[k] = e8m0At(storage[1].row(row) + k / 32) *
                e2m1(pairedNibble(storage[0].row(row), k));
}

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

/// Blocks of `size` values in `bytes` bytes, one after another in one tensor.
template <typename AttrT, int size, int bytes, void (*decode)(Bytes, float *)>
struct BlockModel : ReferenceFormatAttrInterface::ExternalModel<
                        BlockModel<AttrT, size, bytes, decode>, AttrT> {
  void decodeRow(Attribute, ArrayRef<StoredRows> storage, int64_t row,
                 MutableArrayRef<float> values) const {
    Bytes block = storage[0].row(row);
    for (size_t k = 0; k < values.size(); k += size, block += bytes)
      decode(block, &values[k]);
  }
};

/// A format whose rows a function of the attribute decodes.
template <typename AttrT, void (*decode)(AttrT, ArrayRef<StoredRows>, int64_t,
                                         MutableArrayRef<float>)>
struct RowModel
    : ReferenceFormatAttrInterface::ExternalModel<RowModel<AttrT, decode>,
                                                  AttrT> {
  void decodeRow(Attribute attribute, ArrayRef<StoredRows> storage, int64_t row,
                 MutableArrayRef<float> values) const {
    decode(cast<AttrT>(attribute), storage, row, values);
  }
};

template <typename AttrT, void (*decode)(AttrT, ArrayRef<StoredRows>, int64_t,
                                         MutableArrayRef<float>)>
void attachRows(MLIRContext *context) {
  AttrT::template attachInterface<RowModel<AttrT, decode>>(*context);
}

template <typename AttrT, int size, int bytes, void (*decode)(Bytes, float *)>
void attachBlocks(MLIRContext *context) {
  AttrT::template attachInterface<BlockModel<AttrT, size, bytes, decode>>(
      *context);
}

} // namespace

void attachFormatModels(MLIRContext *context) {
  attachBlocks<Q4_0FormatAttr, 32, 18, decodeQ4_0>(context);
  attachBlocks<Q4_1FormatAttr, 32, 20, decodeQ4_1>(context);
  attachBlocks<Q5_0FormatAttr, 32, 22, decodeQ5_0>(context);
  attachBlocks<Q5_1FormatAttr, 32, 24, decodeQ5_1>(context);
  attachBlocks<Q8_0FormatAttr, 32, 34, decodeQ8_0>(context);
  attachBlocks<Q2_KFormatAttr, 256, 84, decodeQ2_K>(context);
  attachBlocks<Q3_KFormatAttr, 256, 110, decodeQ3_K>(context);
  attachBlocks<Q4_KFormatAttr, 256, 144, decodeQ4_K>(context);
  attachBlocks<Q5_KFormatAttr, 256, 176, decodeQ5_K>(context);
  attachBlocks<Q6_KFormatAttr, 256, 210, decodeQ6_K>(context);
  attachBlocks<IQ4_NLFormatAttr, 32, 18, decodeIQ4_NL>(context);
  attachBlocks<IQ4_XSFormatAttr, 256, 136, decodeIQ4_XS>(context);
  attachBlocks<MXFP4BlocksFormatAttr, 32, 17, decodeMXFP4Blocks>(context);
  attachBlocks<NVFP4FormatAttr, 64, 36, decodeNVFP4>(context);
  attachBlocks<IQ2_XXSFormatAttr, 256, 66, decodeIQ2_XXS>(context);
  attachBlocks<IQ2_XSFormatAttr, 256, 74, decodeIQ2_XS>(context);
  attachBlocks<IQ2_SFormatAttr, 256, 82, decodeIQ2_S>(context);
  attachBlocks<IQ3_XXSFormatAttr, 256, 98, decodeIQ3_XXS>(context);
  attachBlocks<IQ3_SFormatAttr, 256, 110, decodeIQ3_S>(context);
  attachBlocks<TQ1_0FormatAttr, 256, 54, decodeTQ1_0>(context);
  attachBlocks<TQ2_0FormatAttr, 256, 66, decodeTQ2_0>(context);
  attachRows<F16FormatAttr, decodeF16>(context);
  attachRows<FP8FormatAttr, decodeFP8>(context);
  attachRows<Int8FormatAttr, decodeInt8>(context);
  attachRows<Int4FormatAttr, decodeInt4>(context);
  attachRows<MXFP4FormatAttr, decodeMXFP4>(context);
  attachSparseFormatModels(context);
}

} // namespace moe::reference
