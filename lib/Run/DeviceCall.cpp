//===- DeviceCall.cpp - A call's tensors on a device ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/DeviceCall.h"

#include "llvm/ADT/STLExtras.h"

using namespace moe;
using namespace moe::run;

DeviceCall::~DeviceCall() {
  for (Buffer &buffer : buffers)
    device.free(buffer.memory);
  device.free(workspace.memory);
}

bool DeviceCall::resize(Buffer &buffer, size_t bytes, const std::string &what,
                        std::string &error) {
  if (buffer.memory && buffer.bytes == bytes)
    return true;
  device.free(buffer.memory);
  buffer = {device.allocate(bytes), bytes, nullptr};
  if (!buffer.memory)
    error = device.name() + ": no memory for " + what + ": " + device.error();
  return buffer.memory;
}

bool DeviceCall::prepare(const std::vector<HostTensor> &arguments,
                         const std::vector<HostTensor> &results,
                         size_t workspaceBytes, std::string &error) {
  const FunctionDesc &desc = *function.desc;
  buffers.resize(arguments.size() + results.size());
  auto describe = [](const HostTensor &tensor) {
    return "'" + tensor.name + "', " + tensor.describe();
  };
  for (auto [i, tensor] : llvm::enumerate(arguments)) {
    Buffer &buffer = buffers[i];
    size_t bytes = tensor.numBytes();
    if (!resize(buffer, bytes, describe(tensor), error))
      return false;
    if (desc.arguments[i].isDynamic() || buffer.source == tensor.data)
      continue;
    if (!device.copyTo(buffer.memory, tensor.data, bytes)) {
      error =
          device.name() + ": writing '" + tensor.name + "': " + device.error();
      return false;
    }
    buffer.source = tensor.data;
  }
  for (auto [i, tensor] : llvm::enumerate(results))
    if (!resize(buffers[arguments.size() + i], tensor.numBytes(),
                describe(tensor), error))
      return false;
  return resize(workspace, workspaceBytes,
                "a workspace of " + std::to_string(workspaceBytes) + " bytes",
                error);
}

bool DeviceCall::upload(const std::vector<HostTensor> &arguments,
                        std::string &error) {
  for (auto [i, tensor] : llvm::enumerate(arguments))
    if (function.desc->arguments[i].isDynamic() &&
        !device.copyTo(buffers[i].memory, tensor.data, buffers[i].bytes)) {
      error =
          device.name() + ": writing '" + tensor.name + "': " + device.error();
      return false;
    }
  return true;
}

std::optional<int> DeviceCall::run(const std::vector<int64_t> &sizes,
                                   decltype(moe_rt::error) onError, void *user,
                                   std::string &error) {
  moe_rt &rt = device.rt();
  rt.error = onError;
  rt.user = user;
  std::vector<void *> pointers;
  for (const Buffer &buffer : buffers)
    pointers.push_back(buffer.memory);
  int status = function.invoke(&rt, sizes.data(), pointers.data(),
                               workspace.memory, workspace.bytes);
  // What a call that failed has started is not left to the next one.
  bool isDone = device.synchronize();
  if (status != MOE_OK || isDone)
    return status;
  error = "'" + function.desc->name + "' on " + device.name() + ": " +
          device.error();
  return std::nullopt;
}

bool DeviceCall::download(std::vector<HostTensor> &results,
                          std::string &error) {
  size_t first = buffers.size() - results.size();
  for (auto [i, tensor] : llvm::enumerate(results)) {
    const Buffer &buffer = buffers[first + i];
    if (!device.copyFrom(tensor.data, buffer.memory, buffer.bytes)) {
      error =
          device.name() + ": reading '" + tensor.name + "': " + device.error();
      return false;
    }
  }
  return true;
}
