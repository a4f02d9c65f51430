//===- ArtifactLibrary.h - Calling compiled functions ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Loads BASE.so with BASE.json and calls functions by name.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_ARTIFACTLIBRARY_H
#define MOE_MLIR_ARTIFACT_ARTIFACTLIBRARY_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Runtime/moe_rt.h"

#include <memory>

namespace moe {

/// A function ready to be called. Valid as long as its library.
struct ArtifactFunction {
  const FunctionDesc *desc = nullptr;
  moe_invoke_function *invoke = nullptr;
  moe_workspace_function *workspaceBytes = nullptr;
  /// Names the target whose code runs, null for none; not in older artifacts.
  const char *(*variant)() = nullptr;
  /// Both where a runtime is for; null in artifacts without code for a device.
  size_t (*workspaceBytesOn)(const moe_rt *rt, const int64_t *sizes) = nullptr;
  const char *(*variantOn)(const moe_rt *rt) = nullptr;

  /// The workspace of a call with `rt`, which may be null.
  size_t getWorkspace(const moe_rt *rt, const int64_t *sizes) const {
    return workspaceBytesOn ? workspaceBytesOn(rt, sizes)
                            : workspaceBytes(sizes);
  }
  /// The target whose code runs then; null for none, and in older artifacts.
  const char *getVariant(const moe_rt *rt) const {
    return variantOn ? variantOn(rt) : variant ? variant() : nullptr;
  }
};

class ArtifactLibrary {
public:
  /// From the path of either file. Null and a message on failure.
  static std::unique_ptr<ArtifactLibrary> open(const std::string &path,
                                               std::string &error);
  ~ArtifactLibrary();
  ArtifactLibrary(const ArtifactLibrary &) = delete;
  ArtifactLibrary &operator=(const ArtifactLibrary &) = delete;

  const Manifest &manifest() const { return contents; }

  /// Has functions found from now on take arguments as the target wants them.
  bool selectTarget(const std::string &name, std::string &error) {
    return contents.selectTarget(name, error);
  }

  /// An empty name means the only function.
  bool lookup(const std::string &name, ArtifactFunction &function,
              std::string &error) const;

private:
  ArtifactLibrary() = default;

  std::string path;
  Manifest contents;
  void *handle = nullptr;
};

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_ARTIFACTLIBRARY_H
