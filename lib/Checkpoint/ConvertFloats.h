//===- ConvertFloats.h - Arrays of floats of one type to another -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One rounding to nearest even at most.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CHECKPOINT_CONVERTFLOATS_H
#define MOE_LIB_CHECKPOINT_CONVERTFLOATS_H

#include "moe-mlir/Support/FloatConversions.h"
#include "moe-mlir/Support/HostTensor.h"

#include <algorithm>
#include <limits>

namespace moe::detail {

inline bool isConvertible(DType dtype) {
  return dtype == DType::F64 || dtype == DType::F32 || dtype == DType::BF16 ||
         dtype == DType::F16;
}

/// Tables of small numbers are stored in 64 bits where weights have 32.
inline bool isNarrowing(DType from, DType to) {
  return from == DType::I64 && to == DType::I32;
}

/// Whether elements of one type can become those of another.
inline bool isConvertible(DType from, DType to) {
  if (from == to || (isConvertible(from) && isConvertible(to)) ||
      isNarrowing(from, to))
    return true;
  // Bytes may be exponents, and integers may have a sign or not.
  auto isBits = [](DType dtype) {
    return isInteger(dtype) || dtype == DType::F8E8M0;
  };
  return isBits(from) && isBits(to) && dtypeSize(from) == dtypeSize(to);
}

/// Calls `use(load, T())`: a function to float or double, and what it takes.
template <typename Use> void withLoad(DType from, const Use &use) {
  if (from == DType::F64)
    use([](double value) { return value; }, double());
  else if (from == DType::F32)
    use([](float value) { return value; }, float());
  else if (from == DType::BF16)
    use(bf16ToF32, uint16_t());
  else
    use(f16ToF32, uint16_t());
}

/// Integers that do not fit become the nearest that does, so that whoever checks
/// them sees that they are out of range.
inline void narrowIntegers(const void *source, void *out, int64_t count) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  for (int64_t i = 0; i < count; ++i)
    static_cast<int32_t *>(out)[i] = static_cast<int32_t>(std::clamp(
        static_cast<const int64_t *>(source)[i], -most - 1, most));
}

inline void convertFloats(DType from, DType to, const void *source, void *out,
                          int64_t count) {
  if (isNarrowing(from, to))
    return narrowIntegers(source, out, count);
  withLoad(from, [&](auto load, auto element) {
    auto *values = static_cast<const decltype(element) *>(source);
    auto store = [&](auto *to, auto round) {
      for (int64_t i = 0; i < count; ++i)
        to[i] = round(load(values[i]));
    };
    constexpr bool isWide = sizeof(element) == sizeof(double);
    if (to == DType::F64)
      store(static_cast<double *>(out), [](double value) { return value; });
    else if (to == DType::F32)
      store(static_cast<float *>(out),
            [](auto value) { return static_cast<float>(value); });
    else if (to == DType::BF16)
      store(static_cast<uint16_t *>(out), [](auto value) {
        if constexpr (isWide)
          return f64ToBF16(value);
        else
          return f32ToBF16(value);
      });
    else
      store(static_cast<uint16_t *>(out), [](auto value) {
        if constexpr (isWide)
          return f64ToF16(value);
        else
          return f32ToF16(value);
      });
  });
}

} // namespace moe::detail

#endif // MOE_LIB_CHECKPOINT_CONVERTFLOATS_H
