//===- HostTensor.cpp - Dense tensors in host memory -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Element access by type, and aligned allocation.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/HostTensor.h"
#include "moe-mlir/Support/FloatConversions.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <sys/mman.h>

using namespace moe;

namespace {
struct DTypeRow {
  DType dtype;
  const char *name;
  size_t size;
};
constexpr DTypeRow dtypes[] = {
    {DType::F64, "f64", 8},   {DType::F32, "f32", 4},
    {DType::BF16, "bf16", 2}, {DType::F16, "f16", 2},
    {DType::I64, "i64", 8},   {DType::I32, "i32", 4},
    {DType::I8, "i8", 1},     {DType::U8, "u8", 1},
    {DType::I1, "i1", 1},     {DType::F8E4M3, "f8E4M3FN", 1},
    {DType::F8E8M0, "f8E8M0FNU", 1},
};
} // namespace

size_t moe::dtypeSize(DType dtype) {
  return dtypes[static_cast<int>(dtype)].size;
}

const char *moe::dtypeName(DType dtype) {
  return dtypes[static_cast<int>(dtype)].name;
}

bool moe::parseDType(std::string_view name, DType &dtype) {
  for (const DTypeRow &row : dtypes) {
    if (name == row.name) {
      dtype = row.dtype;
      return true;
    }
  }
  return false;
}

bool moe::isFloat(DType dtype) {
  return dtype == DType::F64 || dtype == DType::F32 || dtype == DType::BF16 ||
         dtype == DType::F16 || dtype == DType::F8E4M3 ||
         dtype == DType::F8E8M0;
}

bool moe::isInteger(DType dtype) {
  return dtype != DType::I1 && !isFloat(dtype);
}

bool moe::checkedByteSize(const std::vector<int64_t> &shape,
                          size_t elementBytes, int64_t &bytes) {
  bool isEmpty = false;
  bytes = static_cast<int64_t>(elementBytes);
  for (int64_t size : shape) {
    if (size < 0)
      return false;
    isEmpty |= size == 0;
  }
  // A zero must not hide a product of the others that overflows later on.
  for (int64_t size : shape)
    if (size != 0 && __builtin_mul_overflow(bytes, size, &bytes))
      return false;
  if (isEmpty)
    bytes = 0;
  return true;
}

std::string moe::describeType(DType dtype, const std::vector<int64_t> &shape) {
  std::string text = dtypeName(dtype);
  text += '[';
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i)
      text += 'x';
    text += std::to_string(shape[i]);
  }
  return text + ']';
}

int64_t HostTensor::numElements() const {
  int64_t product = 1;
  for (int64_t size : shape)
    product *= size;
  return product;
}

double HostTensor::get(int64_t linear) const {
  switch (dtype) {
  case DType::F64:
    return dataAs<double>()[linear];
  case DType::F32:
    return dataAs<float>()[linear];
  case DType::BF16:
    return bf16ToF32(dataAs<uint16_t>()[linear]);
  case DType::F16:
    return f16ToF32(dataAs<uint16_t>()[linear]);
  case DType::F8E4M3:
    return f8E4M3ToF32(dataAs<uint8_t>()[linear]);
  case DType::F8E8M0:
    return f8E8M0ToF32(dataAs<uint8_t>()[linear]);
  case DType::I64:
    return static_cast<double>(dataAs<int64_t>()[linear]);
  case DType::I32:
    return dataAs<int32_t>()[linear];
  case DType::I8:
    return dataAs<int8_t>()[linear];
  case DType::U8:
    return dataAs<uint8_t>()[linear];
  case DType::I1:
    return dataAs<uint8_t>()[linear] != 0;
  }
  return 0.0;
}

template <typename T> static T saturate(double value) {
  // For int64_t the upper bound itself is not a double; >= covers it.
  if (value >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  if (value <= static_cast<double>(std::numeric_limits<T>::min()))
    return std::numeric_limits<T>::min();
  return std::isnan(value) ? T(0) : static_cast<T>(value);
}

void HostTensor::set(int64_t linear, double value) {
  switch (dtype) {
  case DType::F64:
    dataAs<double>()[linear] = value;
    return;
  case DType::F32:
    dataAs<float>()[linear] = static_cast<float>(value);
    return;
  case DType::BF16:
    dataAs<uint16_t>()[linear] = f64ToBF16(value);
    return;
  case DType::F16:
    dataAs<uint16_t>()[linear] = f64ToF16(value);
    return;
  case DType::F8E4M3:
    dataAs<uint8_t>()[linear] = f64ToF8E4M3(value);
    return;
  case DType::F8E8M0:
    dataAs<uint8_t>()[linear] = f64ToF8E8M0(value);
    return;
  case DType::I64:
    dataAs<int64_t>()[linear] = saturate<int64_t>(value);
    return;
  case DType::I32:
    dataAs<int32_t>()[linear] = saturate<int32_t>(value);
    return;
  case DType::I8:
    dataAs<int8_t>()[linear] = saturate<int8_t>(value);
    return;
  case DType::U8:
    dataAs<uint8_t>()[linear] = saturate<uint8_t>(value);
    return;
  case DType::I1:
    dataAs<uint8_t>()[linear] = value != 0.0;
    return;
  }
}

HostTensor HostTensor::rows(int64_t begin, int64_t end) const {
  HostTensor slice = *this;
  int64_t rowElements = 1;
  for (size_t i = 1; i < shape.size(); ++i)
    rowElements *= shape[i];
  slice.shape[0] = end - begin;
  slice.data =
      static_cast<char *>(data) + begin * rowElements * dtypeSize(dtype);
  return slice;
}

HostTensor HostTensor::allocate(DType dtype, std::vector<int64_t> shape,
                                std::string name) {
  constexpr size_t alignment = 64, hugePage = size_t(2) << 20;
  HostTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  int64_t wanted;
  if (!checkedByteSize(tensor.shape, dtypeSize(dtype), wanted) ||
      wanted > std::numeric_limits<int64_t>::max() - int64_t(2 * hugePage))
    return tensor;
  size_t bytes = static_cast<size_t>(wanted);
  if (bytes >= 2 * hugePage) {
    // Fresh pages are zero. Mapping one huge page more allows to align.
    size_t mapped = bytes + hugePage;
    void *base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
      return tensor;
    uintptr_t aligned =
        (reinterpret_cast<uintptr_t>(base) + hugePage - 1) & ~(hugePage - 1);
    tensor.data = reinterpret_cast<void *>(aligned);
#ifdef MADV_HUGEPAGE
    (void)madvise(tensor.data, bytes & ~(hugePage - 1), MADV_HUGEPAGE);
#endif
    tensor.storage =
        std::shared_ptr<void>(base, [mapped](void *p) { munmap(p, mapped); });
    return tensor;
  }
  size_t rounded = (bytes + alignment) & ~(alignment - 1); // never 0
  tensor.data = std::aligned_alloc(alignment, rounded);
  if (!tensor.data)
    return tensor;
  std::memset(tensor.data, 0, rounded);
  tensor.storage = std::shared_ptr<void>(tensor.data, std::free);
  return tensor;
}
