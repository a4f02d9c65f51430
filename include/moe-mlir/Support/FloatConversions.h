//===- FloatConversions.h - bf16, f16, f8 and f32 --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The conversions of float_bits.h, and from f64.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_FLOATCONVERSIONS_H
#define MOE_MLIR_SUPPORT_FLOATCONVERSIONS_H

#include "moe-mlir/Support/float_bits.h"

#include <cmath>

namespace moe {

inline uint32_t floatBits(float value) { return moe_float_bits(value); }
inline float bitsToFloat(uint32_t bits) { return moe_bits_to_float(bits); }
inline float bf16ToF32(uint16_t value) { return moe_bf16_to_f32(value); }
inline uint16_t f32ToBF16(float value) { return moe_f32_to_bf16(value); }
inline float f16ToF32(uint16_t value) { return moe_f16_to_f32(value); }
inline uint16_t f32ToF16(float value) { return moe_f32_to_f16(value); }
inline float f8E4M3ToF32(uint8_t value) { return moe_f8e4m3_to_f32(value); }
inline uint8_t f32ToF8E4M3(float value) { return moe_f32_to_f8e4m3(value); }
inline float f8E8M0ToF32(uint8_t value) { return moe_f8e8m0_to_f32(value); }
inline uint8_t f32ToF8E8M0(float value) { return moe_f32_to_f8e8m0(value); }

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
inline uint8_t f64ToF8E4M3(double value) {
  return f32ToF8E4M3(f64ToF32Odd(value));
}
inline uint8_t f64ToF8E8M0(double value) {
  return f32ToF8E8M0(f64ToF32Odd(value));
}

} // namespace moe

#endif // MOE_MLIR_SUPPORT_FLOATCONVERSIONS_H
