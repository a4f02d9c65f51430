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

bool Artifact::openDevice(const std::optional<std::string> &wanted,
                          std::string &error) {
  std::string code = getDevice(contents);
  if (code.empty() && (!wanted || wanted->empty()))
    return true;
  if (!wanted) {
    error = file + ": its layers are for " + describeDevice(code) +
            ", and only moe-run calls those";
    return false;
  }
  llvm::StringRef kind = Device::getKindFor(code);
  std::string name = wanted->empty() ? kind.str() : *wanted;
  if (name.empty()) {
    error = file + ": its layers are for '" + code +
            "', a device that is not known here";
    return false;
  }
  llvm::StringRef wantedKind = Device::getKind(name);
  if (!wantedKind.empty() && wantedKind != kind) {
    error = file + ": has no code for " + wantedKind.str() +
            ", its layers are for " + describeDevice(code);
    return false;
  }
  openedDevice = Device::open(name, error);
  return openedDevice != nullptr;
}

std::unique_ptr<Artifact> Artifact::open(const std::string &path,
                                         std::vector<std::string> emulator,
                                         std::string &error,
                                         std::optional<std::string> device) {
  std::unique_ptr<Artifact> artifact(new Artifact);
  artifact->file = path;
  artifact->command = std::move(emulator);
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
