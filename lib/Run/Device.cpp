//===- Device.cpp - Where layers run that are not for a CPU -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Device.h"

#include "moe-mlir/Runtime/moe_cuda.h"
#include "moe-mlir/Runtime/moe_hip.h"
#include "moe-mlir/Runtime/moe_vulkan.h"

using namespace moe;
using namespace moe::run;

Device::~Device() = default;

namespace {
struct Cuda {
  using Handle = moe_cuda;
  static constexpr auto open = moe_cuda_open;
  static constexpr auto close = moe_cuda_close;
  static constexpr auto rt = moe_cuda_rt;
  static constexpr auto error = moe_cuda_error;
  static constexpr auto allocate = moe_cuda_allocate;
  static constexpr auto free = moe_cuda_free;
  static constexpr auto copyTo = moe_cuda_copy_to;
  static constexpr auto copyFrom = moe_cuda_copy_from;
  static constexpr auto synchronize = moe_cuda_synchronize;
  static const char *name(const moe_cuda *) { return ""; }
};

struct Hip {
  using Handle = moe_hip;
  static constexpr auto open = moe_hip_open;
  static constexpr auto close = moe_hip_close;
  static constexpr auto rt = moe_hip_rt;
  static constexpr auto error = moe_hip_error;
  static constexpr auto allocate = moe_hip_allocate;
  static constexpr auto free = moe_hip_free;
  static constexpr auto copyTo = moe_hip_copy_to;
  static constexpr auto copyFrom = moe_hip_copy_from;
  static constexpr auto synchronize = moe_hip_synchronize;
  static const char *name(const moe_hip *) { return ""; }
};

struct Vulkan {
  using Handle = moe_vulkan;
  static constexpr auto open = moe_vulkan_open;
  static constexpr auto close = moe_vulkan_close;
  static constexpr auto rt = moe_vulkan_rt;
  static constexpr auto error = moe_vulkan_error;
  static constexpr auto allocate = moe_vulkan_allocate;
  static constexpr auto free = moe_vulkan_free;
  static constexpr auto copyTo = moe_vulkan_copy_to;
  static constexpr auto copyFrom = moe_vulkan_copy_from;
  static constexpr auto synchronize = moe_vulkan_synchronize;
  static constexpr auto name = moe_vulkan_name;
};

/// A device by its C interface.
template <typename Api> class DeviceOf : public Device {
public:
  static std::unique_ptr<Device> open(llvm::StringRef kind, int number,
                                      std::string &error) {
    char message[512] = "";
    typename Api::Handle *handle = nullptr;
    std::string name = kind.str() + ":" + std::to_string(number);
    if (Api::open(number, &handle, message, sizeof(message))) {
      error = name + ": " + message;
      return nullptr;
    }
    auto device = std::make_unique<DeviceOf<Api>>(handle);
    std::string given = Api::name(handle);
    device->fullName = given.empty() ? name : name + " (" + given + ")";
    return device;
  }

  explicit DeviceOf(typename Api::Handle *handle) : handle(handle) {}
  ~DeviceOf() override { Api::close(handle); }

  moe_rt &rt() override { return *Api::rt(handle); }
  std::string error() const override { return Api::error(handle); }
  void *allocate(size_t bytes) override { return Api::allocate(handle, bytes); }
  void free(void *memory) override { Api::free(handle, memory); }
  bool copyTo(void *memory, const void *host, size_t bytes) override {
    return Api::copyTo(handle, memory, host, bytes) == MOE_OK;
  }
  bool copyFrom(void *host, const void *memory, size_t bytes) override {
    return Api::copyFrom(handle, host, memory, bytes) == MOE_OK;
  }
  bool synchronize() override { return Api::synchronize(handle) == MOE_OK; }

private:
  typename Api::Handle *handle;
};

struct Kind {
  llvm::StringLiteral name;
  /// What manifests call the devices that run the same code.
  llvm::StringLiteral device;
  std::unique_ptr<Device> (*open)(llvm::StringRef kind, int number,
                                  std::string &error);
};

constexpr Kind kinds[] = {{"cuda", "nvidia", DeviceOf<Cuda>::open},
                          {"hip", "amd", DeviceOf<Hip>::open},
                          {"vulkan", "vulkan", DeviceOf<Vulkan>::open}};
} // namespace

llvm::StringRef Device::getKind(llvm::StringRef name) {
  for (const Kind &kind : kinds)
    if (name.split(':').first == kind.name)
      return kind.name;
  return "";
}

llvm::StringRef Device::getKindFor(llvm::StringRef device) {
  for (const Kind &kind : kinds)
    if (device == kind.device)
      return kind.name;
  return "";
}

std::unique_ptr<Device> Device::open(llvm::StringRef name, std::string &error) {
  auto [wanted, digits] = name.split(':');
  int number = 0;
  bool isNumber =
      !name.contains(':') || (!digits.getAsInteger(10, number) && number >= 0);
  for (const Kind &kind : kinds)
    if (isNumber && wanted == kind.name)
      return kind.open(kind.name, number, error);
  error = "'" + name.str() + "' is no device; expected cuda, hip or vulkan, " +
          "and :N for that of number N";
  return nullptr;
}
