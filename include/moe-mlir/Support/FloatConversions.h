//===- FloatConversions.h - bf16 and f16 to and from f32 -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Round-to-nearest-even conversions that do not depend on what the compiler or
// the CPU offers. Inline and branch-light, so that loops over them vectorise.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_FLOATCONVERSIONS_H
#define MOE_MLIR_SUPPORT_FLOATCONVERSIONS_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace moe {

inline uint32_t floatBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float bitsToFloat(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline float bf16ToF32(uint16_t value) {
  return bitsToFloat(static_cast<uint32_t>(value) << 16);
}

/// NaNs stay NaNs (quiet, with the sign and the upper payload bits kept).
inline uint16_t f32ToBF16(float value) {
  uint32_t bits = floatBits(value);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  uint32_t quietNaN = (bits >> 16) | 0x40u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quietNaN
                                                                 : rounded);
}

inline float f16ToF32(uint16_t value) {
  uint32_t sign = static_cast<uint32_t>(value & 0x8000u) << 16;
  uint32_t magnitude = static_cast<uint32_t>(value & 0x7fffu) << 13;
  // Rebiasing by a multiplication also normalises the subnormals.
  float scaled = bitsToFloat(magnitude) * bitsToFloat(0x77800000u); // 2^112
  uint32_t special = magnitude | 0x7f800000u;
  uint32_t bits = (value & 0x7c00u) == 0x7c00u ? special : floatBits(scaled);
  return bitsToFloat(bits | sign);
}

inline uint16_t f32ToF16(float value) {
  uint32_t bits = floatBits(value);
  uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t result;
  if (magnitude > 0x7f800000u) {
    result = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {
    result = 0x7c00u; // 65520 and above round to infinity.
  } else if (magnitude < 0x38800000u) {
    // Subnormal result: adding 0.5 aligns the last bit at 2^-24, and the FPU
    // rounds to nearest even.
    float shifted = bitsToFloat(magnitude) + 0.5f;
    result = floatBits(shifted) - 0x3f000000u;
  } else {
    uint32_t odd = (magnitude >> 13) & 1u;
    result = (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
  }
  return static_cast<uint16_t>(result | sign);
}

/// Rounds to f32 so that a second rounding to a narrower type gives what a
/// direct rounding would (round to odd).
inline float f64ToF32Odd(double value) {
  float nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value)
    return nearest;
  uint32_t bits = floatBits(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value))
    --bits;
  return bitsToFloat(bits | 1u);
}

inline uint16_t f64ToBF16(double value) {
  return f32ToBF16(f64ToF32Odd(value));
}
inline uint16_t f64ToF16(double value) { return f32ToF16(f64ToF32Odd(value)); }

} // namespace moe

#endif // MOE_MLIR_SUPPORT_FLOATCONVERSIONS_H
