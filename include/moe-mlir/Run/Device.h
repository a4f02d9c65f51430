//===- Device.h - Where layers run that are not for a CPU -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One interface over moe_cuda.h, moe_hip.h and moe_vulkan.h.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_DEVICE_H
#define MOE_MLIR_RUN_DEVICE_H

#include "moe-mlir/Runtime/moe_rt.h"

#include "llvm/ADT/StringRef.h"

#include <memory>
#include <string>

namespace moe::run {

/// What asks for no device.
inline constexpr llvm::StringLiteral kHostDevice = "cpu";

class Device {
public:
  virtual ~Device();

  /// Opens `name`: `cuda`, `hip` or `vulkan`, or one of several, `cuda:1`. Null
  /// and a message on failure.
  static std::unique_ptr<Device> open(llvm::StringRef name, std::string &error);

  /// The kind of device in `name`, without a number; the one that runs code for
  /// `device`, as a manifest calls it. Both are empty for what is unknown.
  static llvm::StringRef getKind(llvm::StringRef name);
  static llvm::StringRef getKindFor(llvm::StringRef device);

  /// `cuda:0`, or with what the driver calls it: `vulkan:0 (llvmpipe)`.
  const std::string &name() const { return fullName; }

  /// The runtime to call layers with.
  virtual moe_rt &rt() = 0;
  /// What the last failure was.
  virtual std::string error() const = 0;

  /// Memory of the device; null if there is not enough.
  virtual void *allocate(size_t bytes) = 0;
  virtual void free(void *memory) = 0;
  virtual bool copyTo(void *memory, const void *host, size_t bytes) = 0;
  virtual bool copyFrom(void *host, const void *memory, size_t bytes) = 0;
  /// Waits for kernels that were started.
  virtual bool synchronize() = 0;

protected:
  std::string fullName;
};

} // namespace moe::run

#endif // MOE_MLIR_RUN_DEVICE_H
