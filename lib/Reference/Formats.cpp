//===- Formats.cpp - Formats of weights, from bytes to values --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One plain function for each format, that of a block where it has blocks of
// bytes. Scales and values are f32, as they are defined; products of a scale
// and a code are exact in it, and what is added to them is rounded once.
//
//===----------------------------------------------------------------------===//

#include "Models.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "moe/Moe.h"

#include <cmath>
#include <cstring>

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

void decodeQ8_0(Bytes b, float *out) {
  float d = f16At(b);
  for (int j = 0; j < 32; ++j)
    out[j] = d * signedAt(b + 2 + j);
}

//===----------------------------------------------------------------------===//
// Blocks of 256
//===----------------------------------------------------------------------===//

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
      out[32 * i + l] = std::fma(d * scale, static_cast<float>(q),
                                 -(dmin * static_cast<float>(minimum)));
    }
  }
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

struct F16Model
    : ReferenceFormatAttrInterface::ExternalModel<F16Model, F16FormatAttr> {
  void decodeRow(Attribute, ArrayRef<StoredRows> storage, int64_t row,
                 MutableArrayRef<float> values) const {
    Bytes from = storage[0].row(row);
    for (size_t k = 0; k < values.size(); ++k)
      values[k] = f16At(from + 2 * k);
  }
};

template <typename AttrT, int size, int bytes, void (*decode)(Bytes, float *)>
void attachBlocks(MLIRContext *context) {
  AttrT::template attachInterface<BlockModel<AttrT, size, bytes, decode>>(
      *context);
}

} // namespace

void attachFormatModels(MLIRContext *context) {
  F16FormatAttr::attachInterface<F16Model>(*context);
  attachBlocks<Q4_0FormatAttr, 32, 18, decodeQ4_0>(context);
  attachBlocks<Q8_0FormatAttr, 32, 34, decodeQ8_0>(context);
  attachBlocks<Q4_KFormatAttr, 256, 144, decodeQ4_K>(context);
}

} // namespace moe::reference
