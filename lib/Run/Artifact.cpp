//===- Artifact.cpp - An artifact whose functions are called ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Run/Artifact.h"

#include "moe-mlir/Run/Targets.h"
#include "moe-mlir/Target/Target.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"

using namespace moe;
using namespace moe::run;

/// What the manifest calls a device, as somebody reads it.
static std::string describeDevice(const std::string &device) {
  llvm::StringRef kind = Device::getKindFor(device);
  if (device.empty())
    return "the CPU";
  return kind.empty() ? "'" + device + "'" : kind.str();
}

/// `cuda and the CPU`.
static std::string listDevices(const std::vector<std::string> &devices) {
  std::string list;
  for (const std::string &device : devices)
    list += (list.empty()                 ? ""
             : &device == &devices.back() ? " and "
                                          : ", ") +
            describeDevice(device);
  return list;
}

/// Which of `devices` somebody means who wants `wanted`, as open() has it.
/// Empty for the CPU; nothing and a message if it is none of them.
static std::optional<std::string>
chooseDevice(const std::vector<std::string> &devices,
             const std::optional<std::string> &wanted, std::string &error) {
  bool wantsHost = !wanted || *wanted == kHostDevice;
  if (devices.empty() || (wantsHost && llvm::is_contained(devices, "")))
    return "";
  if (!wanted) {
    error = "its layers are for " + listDevices(devices) +
            ", and only moe-run calls those";
    return std::nullopt;
  }
  if (wanted->empty()) {
    if (devices.front().empty() || !Device::getKindFor(devices.front()).empty())
      return devices.front();
    error = "its layers are for " + describeDevice(devices.front()) +
            ", a device that is not known here";
    return std::nullopt;
  }
  llvm::StringRef kind = Device::getKind(*wanted);
  for (const std::string &device : devices)
    if (!kind.empty() && Device::getKindFor(device) == kind)
      return device;
  error = "has no code for " +
          (wantsHost      ? "the CPU"
           : kind.empty() ? "'" + *wanted + "'"
                          : kind.str()) +
          ", its layers are for " + listDevices(devices);
  return std::nullopt;
}

bool Artifact::openDevice(const std::optional<std::string> &wanted,
                          std::string &error) {
  std::optional<std::string> device =
      chooseDevice(getDevices(contents), wanted, error);
  if (!device) {
    error = file + ": " + error;
    return false;
  }
  if (device->empty())
    return true;
  openedDevice =
      Device::open(wanted && !wanted->empty() ? llvm::StringRef(*wanted)
                                              : Device::getKindFor(*device),
                   error);
  if (!openedDevice)
    return false;
  // All functions have the same variants.
  ArtifactFunction any;
  if (!library->lookup(contents.functions.front().name, any, error))
    return false;
  std::string target = findVariant(contents, any, &openedDevice->rt());
  if (target.empty()) {
    error =
        file + ": has no code for " + openedDevice->name() + "; there is for ";
    for (const TargetDesc &desc : contents.targets)
      error += (&desc == contents.targets.data() ? "" : ", ") + desc.name;
    return false;
  }
  if (!library->selectTarget(target, error)) {
    error = file + ": " + error;
    return false;
  }
  contents = library->manifest();
  return true;
}

std::unique_ptr<Artifact> Artifact::open(const std::string &path,
                                         Emulator emulator,
                                         std::string &error,
                                         std::optional<std::string> device) {
  std::unique_ptr<Artifact> artifact(new Artifact);
  artifact->file = path;
  artifact->emulatedBy = std::move(emulator);
  llvm::SmallString<128> manifest(path);
  llvm::sys::path::replace_extension(manifest, ".json");
  bool isRead = readManifest(manifest.str().str(), artifact->contents, error);
  std::string platform = getPlatform(artifact->contents);
  if (artifact->isEmulated()) {
    if (isRead && platform.empty())
      error = path + ": its manifest names no target, so that there is no "
                     "saying what emulator runs it";
    return platform.empty() ? nullptr : std::move(artifact);
  }
  // What is missing or broken is told by who loads it.
  if (!platform.empty() && !isHost(platform)) {
    error = path + ": is for " + platform +
            ", not for this machine; --emulator=\"qemu-aarch64 -cpu max\" "
            "runs it";
    return nullptr;
  }
  artifact->library = ArtifactLibrary::open(path, error);
  if (!artifact->library)
    return nullptr;
  artifact->contents = artifact->library->manifest();
  if (!artifact->openDevice(device, error))
    return nullptr;
  return artifact;
}

bool Artifact::lookup(const std::string &entry, ArtifactFunction &function,
                      std::string &error) const {
  if (library)
    return library->lookup(entry, function, error);
  function.desc = contents.select(entry, error);
  if (!function.desc)
    error = file + ": " + error;
  return function.desc;
}
