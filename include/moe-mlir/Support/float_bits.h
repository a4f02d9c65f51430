/*===- float_bits.h - bf16, f16, f8 and f32, in C ---------------*- C -*-===*\
|* Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
|* See LICENSE for license information.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*===----------------------------------------------------------------------===*|
|*
|* Round-to-nearest-even conversions that do not depend on what the compiler or
|* the CPU offers. Inline and branch-light, so that loops over them vectorise.
|* C, because the runtime packs weights, too; C++ has FloatConversions.h.
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_FLOAT_BITS_H
#define MOE_FLOAT_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint32_t moe_float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

static inline float moe_bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

static inline float moe_bf16_to_f32(uint16_t value) {
  return moe_bits_to_float((uint32_t)value << 16);
}

/** NaNs stay NaNs (quiet, with the sign and the upper payload bits kept). */
static inline uint16_t moe_f32_to_bf16(float value) {
  uint32_t bits = moe_float_bits(value);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}

static inline float moe_f16_to_f32(uint16_t value) {
  uint32_t sign = (uint32_t)(value & 0x8000u) << 16;
  uint32_t magnitude = (uint32_t)(value & 0x7fffu) << 13;
  /* Rebiasing by a multiplication, with 2^112, also normalises subnormals. */
  float scaled =
      moe_bits_to_float(magnitude) * moe_bits_to_float(0x77800000u);
  uint32_t special = magnitude | 0x7f800000u;
  uint32_t bits =
      (value & 0x7c00u) == 0x7c00u ? special : moe_float_bits(scaled);
  return moe_bits_to_float(bits | sign);
}

static inline uint16_t moe_f32_to_f16(float value) {
  uint32_t bits = moe_float_bits(value);
  uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t result;
  if (magnitude > 0x7f800000u) {
    result = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {
    result = 0x7c00u; /* 65520 and above round to infinity. */
  } else if (magnitude < 0x38800000u) {
    /* Subnormal result: adding 0.5 aligns the last bit at 2^-24, and the FPU
       rounds to nearest even. */
    float shifted = moe_bits_to_float(magnitude) + 0.5f;
    result = moe_float_bits(shifted) - 0x3f000000u;
  } else {
    uint32_t odd = (magnitude >> 13) & 1u;
    result = (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
  }
  return (uint16_t)(result | sign);
}

/** E4M3 without infinities, as in weights: 0x7f and 0xff are NaNs. */
static inline float moe_f8e4m3_to_f32(uint8_t value) {
  uint32_t sign = (uint32_t)(value & 0x80u) << 24;
  uint32_t magnitude = value & 0x7fu;
  /* Rebiasing by a multiplication, with 2^120, also normalises subnormals. */
  float scaled =
      moe_bits_to_float(magnitude << 20) * moe_bits_to_float(0x7b800000u);
  uint32_t bits = magnitude == 0x7fu ? 0x7fc00000u : moe_float_bits(scaled);
  return moe_bits_to_float(bits | sign);
}

/** Saturates, as who quantises wants it: the largest number is 448. */
static inline uint8_t moe_f32_to_f8e4m3(float value) {
  uint32_t bits = moe_float_bits(value);
  uint32_t sign = (bits >> 24) & 0x80u;
  uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t result;
  if (magnitude > 0x7f800000u) {
    result = 0x7fu;
  } else if (magnitude >= 0x43e00000u) {
    result = 0x7eu;
  } else if (magnitude < 0x3c800000u) {
    /* Adding 2^14 aligns the last bit at 2^-9. */
    float shifted = moe_bits_to_float(magnitude) + 16384.0f;
    result = moe_float_bits(shifted) - 0x46800000u;
  } else {
    uint32_t odd = (magnitude >> 20) & 1u;
    result = (magnitude - 0x3c000000u + 0x7ffffu + odd) >> 20;
  }
  return (uint8_t)(result | sign);
}

/** A power of two by its exponent alone; 0xff is NaN. */
static inline float moe_f8e8m0_to_f32(uint8_t value) {
  uint32_t bits = value == 0 ? 0x00400000u : (uint32_t)value << 23;
  return moe_bits_to_float(value == 0xffu ? 0x7fc00000u : bits);
}

/** To the nearest, saturating; numbers below 0 have none. */
static inline uint8_t moe_f32_to_f8e8m0(float value) {
  uint32_t bits = moe_float_bits(value);
  uint32_t odd = (bits >> 23) & 1u;
  if (bits > 0x7f800000u && bits != 0x80000000u)
    return 0xffu;
  /* Halfway between 2^-127 and 2^-126, which is no normal number. */
  if (bits <= 0x00600000u || bits == 0x80000000u)
    return 0;
  if (bits < 0x00800000u)
    return 1;
  bits = (bits + 0x3fffffu + odd) >> 23;
  return (uint8_t)(bits > 0xfeu ? 0xfeu : bits);
}

#endif /* MOE_FLOAT_BITS_H */
