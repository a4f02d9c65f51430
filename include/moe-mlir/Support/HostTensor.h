//===- HostTensor.h - Dense tensors in host memory -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The value that tools, the interpreter and the packing code exchange. Plain
// C++17: it knows neither MLIR nor LLVM.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_HOSTTENSOR_H
#define MOE_MLIR_SUPPORT_HOSTTENSOR_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace moe {

enum class DType {
  F64,
  F32,
  BF16,
  F16,
  I64,
  I32,
  I8,
  U8,
  I1,
  F8E4M3,
  F8E8M0 ///< A power of two.
};

/// Bytes of one element. An I1 takes a byte that is 0 or 1.
size_t dtypeSize(DType dtype);
/// The name as MLIR writes it: "f32", "bf16", "i1"; unsigned bytes are "u8".
const char *dtypeName(DType dtype);
bool parseDType(std::string_view name, DType &dtype);
bool isFloat(DType dtype);

/// Bits that may stand for anything, with a sign or without.
bool isInteger(DType dtype);

/// Product of the sizes; false when one is negative or the product of sizes
/// and `elementBytes` does not fit in an int64_t.
bool checkedByteSize(const std::vector<int64_t> &shape, size_t elementBytes,
                     int64_t &bytes);

/// "f32[4x2048]", for messages.
std::string describeType(DType dtype, const std::vector<int64_t> &shape);

/// A dense row-major tensor. Copies share the elements.
struct HostTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  /// Keeps the memory (or the mapping of a file) alive.
  std::shared_ptr<void> storage;
  void *data = nullptr;

  int64_t numElements() const;
  size_t numBytes() const { return numElements() * dtypeSize(dtype); }
  std::string describe() const { return describeType(dtype, shape); }

  /// Element `linear` in row-major order. Integers beyond 2^53 are rounded.
  double get(int64_t linear) const;
  /// Floats round to nearest even, once; integers truncate and saturate, and
  /// a NaN becomes 0.
  void set(int64_t linear, double value);

  template <typename T> T *dataAs() const { return static_cast<T *>(data); }

  /// Rows [begin, end) of the first dimension, sharing the elements.
  HostTensor rows(int64_t begin, int64_t end) const;

  /// Zero-filled and 64-byte aligned; large ones ask for huge pages, which
  /// weights streamed from memory are several per cent faster in. `data` is
  /// null when the memory is not to be had.
  static HostTensor allocate(DType dtype, std::vector<int64_t> shape,
                             std::string name = {});
};

} // namespace moe

#endif // MOE_MLIR_SUPPORT_HOSTTENSOR_H
