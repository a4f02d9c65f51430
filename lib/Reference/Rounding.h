//===- Rounding.h - Random rounding errors ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Monte Carlo arithmetic: a result that a kernel would round gets a random
// error of the size of that rounding. What comes out at the end is one of the
// results that rounding could give, and several of them show how much it
// matters. The model and where it comes from are in docs/verify.md.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_ROUNDING_H
#define MOE_LIB_REFERENCE_ROUNDING_H

#include "moe-mlir/Reference/Interpreter.h"

#include "mlir/IR/Types.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace moe::reference {

/// What rounding to a type of floats does.
struct NumberFormat {
  double unit = 0.0;    ///< The largest relative error; 0 without rounding.
  double least = 0.0;   ///< The smallest normal number.
  unsigned digits = 53; ///< Bits of the significand.

  /// The format of `type` or of its elements; no rounding if those are not
  /// floats.
  static NumberFormat get(mlir::Type type);
  static NumberFormat f32() { return {0x1p-24, 0x1p-126, 24}; }
  static NumberFormat bf16() { return {0x1p-8, 0x1p-126, 8}; }

  /// What is computed in before the result is rounded to this.
  NumberFormat working() const { return digits < 24 ? f32() : *this; }

  bool represents(double value) const {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return (bits & ((uint64_t(1) << (53 - digits)) - 1)) == 0;
  }
};

/// The errors of one result; without a model all of them are 0.
class RoundingErrors {
public:
  explicit RoundingErrors(const std::optional<RoundingModel> &model);

  bool isOn() const { return on; }
  /// Rows that are multiplied with bf16 weights are rounded to bf16.
  bool narrowsRows() const { return narrows; }
  /// How rows are rounded that are multiplied with weights in formats; empty: not
  /// at all.
  llvm::StringRef activations() const { return rowType; }

  /// `value` after being rounded to `format`; with more than one unit after
  /// being computed with an error of so many, in f32 at least.
  double round(double value, const NumberFormat &format, double units = 1.0) {
    if (!on || format.unit == 0.0)
      return value;
    if (units > 1.0)
      value += error(value, format.working(), units);
    return format.represents(value) ? value : value + error(value, format, 1.0);
  }

  /// An error of so many units of `value`; infinities have none, as what is drawn
  /// may be of the other sign.
  double error(double value, const NumberFormat &format, double units) {
    if (!on || std::isinf(value))
      return 0.0;
    // Below the normal numbers the distance of neighbours stays.
    double size = std::max(std::fabs(value), format.least);
    return units * format.unit * size * unitOf(mix(next++));
  }

  /// A key for errors that several threads draw.
  uint64_t newKey() { return on ? mix(next++) : 0; }

  /// `value` after being rounded to `format`, by error `index` of a key.
  static double round(double value, const NumberFormat &format, uint64_t key,
                      int64_t index) {
    if (format.represents(value) || std::isinf(value))
      return value;
    double size = std::max(std::fabs(value), format.least);
    return value + format.unit * size * unitOf(mix(key + index));
  }

  /// The error of a sum of `count` terms in f32 in an order that is not known;
  /// `squares` is the sum of their squares and `index` tells sums of the same
  /// key apart.
  static double sumError(double sum, double squares, int64_t count, double unit,
                         uint64_t key, int64_t index) {
    double n = static_cast<double>(count);
    double variance = (n + 1) / 6 * (2 * sum * sum + squares) + squares;
    return unit * std::sqrt(variance) * unitOf(mix(key + index));
  }

private:
  static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
  }
  /// Uniform in [-1, 1).
  static double unitOf(uint64_t bits) {
    return static_cast<double>(static_cast<int64_t>(bits)) * 0x1p-63;
  }

  bool on = false, narrows = false;
  std::string rowType;
  uint64_t next = 0;
};

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_ROUNDING_H
