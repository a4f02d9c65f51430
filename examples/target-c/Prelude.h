//===- Prelude.h - What C has no operator for -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef ACMEC_PRELUDE_H
#define ACMEC_PRELUDE_H

#include "llvm/ADT/StringRef.h"

namespace acmec {

/// The beginning of every file of C.
inline constexpr llvm::StringLiteral kPrelude = R"(#include <stdint.h>
#include <string.h>

#ifdef __GNUC__
#define HIDDEN __attribute__((visibility("hidden")))
#define MAYBE_UNUSED __attribute__((unused))
#else
#define HIDDEN
#define MAYBE_UNUSED
#endif

static MAYBE_UNUSED float f32_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static MAYBE_UNUSED double f64_of(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static MAYBE_UNUSED uint32_t bits_f32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
static MAYBE_UNUSED uint64_t bits_f64(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
static MAYBE_UNUSED float f32_abs(float x) {
  return f32_of(bits_f32(x) & 0x7fffffffu);
}
static MAYBE_UNUSED double f64_abs(double x) {
  return f64_of(bits_f64(x) & 0x7fffffffffffffffull);
}
static MAYBE_UNUSED float f32_copysign(float x, float y) {
  return f32_of((bits_f32(x) & 0x7fffffffu) | (bits_f32(y) & 0x80000000u));
}
static MAYBE_UNUSED double f64_copysign(double x, double y) {
  return f64_of((bits_f64(x) & 0x7fffffffffffffffull) |
                (bits_f64(y) & 0x8000000000000000ull));
}
static MAYBE_UNUSED float f32_of_f16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
  uint32_t exponent = (half >> 10) & 31u, fraction = half & 0x3ffu;
  float small = (float)fraction * f32_of(0x33800000u); /* 2^-24 */
  if (exponent == 31)
    return f32_of(sign | 0x7f800000u | (fraction ? 0x400000u : 0u) |
                  fraction << 13);
  if (exponent == 0)
    return f32_of(sign | bits_f32(small));
  return f32_of(sign | (exponent + 112u) << 23 | fraction << 13);
}
static MAYBE_UNUSED uint16_t f16_of_f32(float value) {
  uint32_t bits = bits_f32(value), sign = bits >> 16 & 0x8000u;
  uint32_t rest = bits & 0x7fffffffu, shift, result, left, half;
  if (rest > 0x7f800000u)
    return (uint16_t)(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
  if (rest >= 0x477ff000u)
    return (uint16_t)(sign | 0x7c00u);
  if (rest >= 0x38800000u) {
    rest -= 0x38000000u;
    return (uint16_t)(sign | (rest + 0xfffu + (rest >> 13 & 1u)) >> 13);
  }
  if (rest < 0x33000000u)
    return (uint16_t)sign;
  shift = 126u - (rest >> 23);
  rest = (rest & 0x7fffffu) | 0x800000u;
  result = rest >> shift;
  left = rest & ((1u << shift) - 1u);
  half = 1u << (shift - 1u);
  return (uint16_t)(sign | (result + (left > half || (left == half && (result & 1u)))));
}
static MAYBE_UNUSED uint64_t count_ones(uint64_t x) {
  uint64_t n = 0;
  for (; x; x &= x - 1)
    ++n;
  return n;
}
static MAYBE_UNUSED uint64_t leading_zeros(uint64_t x, uint64_t width) {
  for (; x; x >>= 1)
    --width;
  return width;
}
static MAYBE_UNUSED uint64_t trailing_zeros(uint64_t x, uint64_t width) {
  uint64_t n = 0;
  if (!x)
    return width;
  for (; !(x & 1); x >>= 1)
    ++n;
  return n;
}
)";

} // namespace acmec

#endif // ACMEC_PRELUDE_H
