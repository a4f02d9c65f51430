//===- TensorIO.cpp - Choosing a tensor file format ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The extension of the name decides.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/TensorIO.h"
#include "TensorFormats.h"

using namespace moe;

static bool endsWith(const std::string &text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

bool moe::readTensors(const std::string &path, std::vector<HostTensor> &tensors,
                      std::string &error, TensorMetadata *metadata) {
  if (endsWith(path, ".safetensors"))
    return detail::readSafetensors(path, tensors, error, metadata);
  if (endsWith(path, ".npy"))
    return detail::readNpy(path, tensors, error);
  error = path + ": not a tensor file by its name; expected .safetensors or "
                 ".npy";
  return false;
}

HostTensor moe::viewOrCopy(const MappedFile &file, size_t offset, DType dtype,
                           std::vector<int64_t> shape, std::string name) {
  HostTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  char *data = file.data + offset;
  bool isAligned = reinterpret_cast<uintptr_t>(data) % dtypeSize(dtype) == 0;
  if (isAligned && tensor.numBytes() != 0) {
    tensor.data = data;
    tensor.storage = file.storage;
    return tensor;
  }
  HostTensor copy = HostTensor::allocate(dtype, tensor.shape, tensor.name);
  if (copy.data && tensor.numBytes() != 0)
    std::memcpy(copy.data, data, tensor.numBytes());
  return copy;
}
