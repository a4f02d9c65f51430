//===- DeviceCall.h - A call's tensors on a device --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Weights go up once, activations before each call, results down after it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_DEVICECALL_H
#define MOE_MLIR_RUN_DEVICECALL_H

#include "moe-mlir/Artifact/ArtifactLibrary.h"
#include "moe-mlir/Run/Device.h"
#include "moe-mlir/Support/HostTensor.h"

#include <optional>
#include <vector>

namespace moe::run {

class DeviceCall {
public:
  /// Of `function` on `device`, which both outlive the call.
  DeviceCall(Device &device, const ArtifactFunction &function)
      : device(device), function(function) {}
  ~DeviceCall();
  DeviceCall(const DeviceCall &) = delete;

  const std::string &deviceName() const { return device.name(); }

  /// Room for all tensors and the workspace. Static arguments are written
  /// there, unless they are from the call before.
  bool prepare(const std::vector<HostTensor> &arguments,
               const std::vector<HostTensor> &results, size_t workspaceBytes,
               std::string &error);

  /// Writes the arguments of dynamic shape.
  bool upload(const std::vector<HostTensor> &arguments, std::string &error);

  /// Calls the function and waits for its kernels. Its status; nothing and a
  /// message when a kernel failed after it had been started. `onError` and
  /// `user` are hooks of the call.
  std::optional<int> run(const std::vector<int64_t> &sizes,
                         decltype(moe_rt::error) onError, void *user,
                         std::string &error);

  bool download(std::vector<HostTensor> &results, std::string &error);

private:
  /// Memory of the device.
  struct Buffer {
    void *memory = nullptr;
    size_t bytes = 0;
    /// Of the static argument that was written there.
    const void *source = nullptr;
  };

  bool resize(Buffer &buffer, size_t bytes, const std::string &what,
              std::string &error);

  Device &device;
  const ArtifactFunction &function;
  /// Arguments, then results.
  std::vector<Buffer> buffers;
  Buffer workspace;
};

} // namespace moe::run

#endif // MOE_MLIR_RUN_DEVICECALL_H
