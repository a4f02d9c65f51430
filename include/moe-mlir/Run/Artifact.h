//===- Artifact.h - An artifact whose functions are called ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Loaded into this process, or left to an emulator.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_ARTIFACT_H
#define MOE_MLIR_RUN_ARTIFACT_H

#include "moe-mlir/Artifact/ArtifactLibrary.h"
#include "moe-mlir/Run/Device.h"
#include "moe-mlir/Run/Emulator.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace moe::run {

class Artifact {
public:
  /// From the path of any of its files. Without an emulator for code of
  /// other CPUs, the artifact is loaded. Layers run on `device`, such as cuda:1 or
  /// cpu, or if that is empty on the first one that the artifact has code for,
  /// which is the CPU if that is one; without, on the CPU. Null and a message
  /// on failure.
  static std::unique_ptr<Artifact>
  open(const std::string &path, Emulator emulator,
       std::string &error, std::optional<std::string> device = std::nullopt);

  const std::string &path() const { return file; }
  const Manifest &manifest() const { return contents; }
  bool isEmulated() const { return emulatedBy.isGiven(); }
  const Emulator &emulator() const { return emulatedBy; }
  /// Where its layers run; null for the CPU.
  Device *device() const { return openedDevice.get(); }

  /// An empty name means the only function. In an emulator there are no
  /// pointers to it.
  bool lookup(const std::string &entry, ArtifactFunction &function,
              std::string &error) const;

private:
  Artifact() = default;
  bool openDevice(const std::optional<std::string> &wanted, std::string &error);

  std::string file;
  Emulator emulatedBy;
  std::unique_ptr<ArtifactLibrary> library;
  // Closed before the library, whose kernels it has.
  std::unique_ptr<Device> openedDevice;
  Manifest contents;
};

} // namespace moe::run

#endif // MOE_MLIR_RUN_ARTIFACT_H
