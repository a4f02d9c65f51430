//===- Values.cpp - Values of the interpreter -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Access to elements, indices and the canonical order of assignments.
//
//===----------------------------------------------------------------------===//

#include "Values.h"
#include "mlir/IR/TypeUtilities.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace moe::reference {

void Routing::finish() {
  // Expert by expert over all tokens and slots: the definition of the order,
  // and cheap enough next to the experts themselves.
  std::vector<int64_t> counts(experts, 0);
  for (int32_t expert : expertOf)
    if (expert >= 0)
      ++counts[expert];
  offsets.assign(1, 0);
  for (int64_t count : counts)
    offsets.push_back(offsets.back() + count);
  assignmentAt.assign(offsets.back(), 0);
  std::vector<int64_t> next(offsets.begin(), offsets.end() - 1);
  for (size_t i = 0; i < expertOf.size(); ++i)
    if (expertOf[i] >= 0)
      assignmentAt[next[expertOf[i]]++] = i;
}

Scalar loadElement(const HostTensor &array, int64_t index) {
  switch (array.dtype) {
  case DType::F64:
    return makeFloat(array.dataAs<double>()[index]);
  case DType::F32:
    return makeFloat(array.dataAs<float>()[index]);
  case DType::BF16:
    return makeFloat(bf16ToF32(array.dataAs<uint16_t>()[index]));
  case DType::F16:
    return makeFloat(f16ToF32(array.dataAs<uint16_t>()[index]));
  case DType::F8E4M3:
    return makeFloat(f8E4M3ToF32(array.dataAs<uint8_t>()[index]));
  case DType::F8E8M0:
    return makeFloat(f8E8M0ToF32(array.dataAs<uint8_t>()[index]));
  case DType::I64:
    return makeInt(array.dataAs<int64_t>()[index]);
  case DType::I32:
    return makeInt(array.dataAs<int32_t>()[index]);
  // Unsigned bytes have no type of their own in IR: their bits are an i8.
  case DType::I8:
  case DType::U8:
    return makeInt(array.dataAs<int8_t>()[index]);
  case DType::I1:
    return makeInt(array.dataAs<uint8_t>()[index] != 0);
  }
  return makeInt(0);
}

void loadFloats(const HostTensor &array, int64_t begin, int64_t count,
                double *out) {
  switch (array.dtype) {
  case DType::F64: {
    const double *data = array.dataAs<double>() + begin;
    std::copy(data, data + count, out);
    return;
  }
  case DType::F32: {
    const float *data = array.dataAs<float>() + begin;
    std::copy(data, data + count, out);
    return;
  }
  case DType::BF16: {
    const uint16_t *data = array.dataAs<uint16_t>() + begin;
    for (int64_t i = 0; i < count; ++i)
      out[i] = bf16ToF32(data[i]);
    return;
  }
  case DType::F16: {
    const uint16_t *data = array.dataAs<uint16_t>() + begin;
    for (int64_t i = 0; i < count; ++i)
      out[i] = f16ToF32(data[i]);
    return;
  }
  case DType::F8E4M3: {
    const uint8_t *data = array.dataAs<uint8_t>() + begin;
    for (int64_t i = 0; i < count; ++i)
      out[i] = f8E4M3ToF32(data[i]);
    return;
  }
  case DType::F8E8M0: {
    const uint8_t *data = array.dataAs<uint8_t>() + begin;
    for (int64_t i = 0; i < count; ++i)
      out[i] = f8E8M0ToF32(data[i]);
    return;
  }
  default:
    for (int64_t i = 0; i < count; ++i)
      out[i] = static_cast<double>(loadElement(array, begin + i).i);
  }
}

void storeElement(HostTensor &array, int64_t index, Scalar value) {
  if (array.dtype == DType::F64)
    array.dataAs<double>()[index] = value.f;
  else
    array.dataAs<int64_t>()[index] = value.i;
}

ArrayPtr viewOf(const HostTensor &array, int64_t begin,
                ArrayRef<int64_t> shape) {
  auto view = std::make_shared<HostTensor>();
  view->dtype = array.dtype;
  view->shape.assign(shape.begin(), shape.end());
  view->storage = array.storage;
  view->data = static_cast<char *>(array.data) + begin * dtypeSize(array.dtype);
  return view;
}

int64_t productOf(ArrayRef<int64_t> shape) {
  int64_t product = 1;
  for (int64_t size : shape)
    product *= size;
  return product;
}

int64_t linearIndex(ArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  int64_t linear = 0;
  for (auto [i, size] : zip_equal(index, shape))
    linear = linear * size + i;
  return linear;
}

bool forEachIndex(ArrayRef<int64_t> shape,
                  function_ref<bool(ArrayRef<int64_t>)> body) {
  if (is_contained(shape, 0))
    return true;
  SmallVector<int64_t> index(shape.size(), 0);
  while (true) {
    if (!body(index))
      return false;
    int64_t dim = static_cast<int64_t>(shape.size()) - 1;
    while (dim >= 0 && ++index[dim] == shape[dim])
      index[dim--] = 0;
    if (dim < 0)
      return true;
  }
}

unsigned integerWidth(mlir::Type type) {
  auto integer = dyn_cast<mlir::IntegerType>(mlir::getElementTypeOrSelf(type));
  return integer ? integer.getWidth() : 64;
}

int64_t wrapInteger(int64_t value, unsigned width) {
  if (width == 1)
    return value & 1;
  if (width >= 64)
    return value;
  unsigned shift = 64 - width;
  return static_cast<int64_t>(static_cast<uint64_t>(value) << shift) >> shift;
}

int64_t asSigned(int64_t value, unsigned width) {
  return width == 1 ? -value : value;
}

uint64_t asUnsigned(int64_t value, unsigned width) {
  uint64_t bits = static_cast<uint64_t>(value);
  return width >= 64 ? bits : bits & ((uint64_t(1) << width) - 1);
}

bool isFloatLike(mlir::Type type) {
  return isa<mlir::FloatType>(mlir::getElementTypeOrSelf(type));
}

std::optional<DType> dtypeOf(mlir::Type element) {
  if (element.isIndex())
    return DType::I64;
  DType dtype;
  std::string name;
  llvm::raw_string_ostream(name) << element;
  if (!parseDType(name, dtype))
    return std::nullopt;
  return dtype;
}

} // namespace moe::reference
