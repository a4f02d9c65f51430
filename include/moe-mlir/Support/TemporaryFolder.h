//===- TemporaryFolder.h - A folder for the length of a run -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_TEMPORARYFOLDER_H
#define MOE_MLIR_SUPPORT_TEMPORARYFOLDER_H

#include <string>

namespace moe {

/// A folder for files, without folders in it, that goes away with the object,
/// and by signals once removeOutputsOnSignals() was called.
class TemporaryFolder {
public:
  TemporaryFolder() = default;
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  ~TemporaryFolder();

  /// Makes it where the system has such folders; its name begins with `prefix`.
  bool create(const std::string &prefix, std::string &error);

  /// Empty before create().
  const std::string &path() const { return folder; }

private:
  std::string folder;
};

} // namespace moe

#endif // MOE_MLIR_SUPPORT_TEMPORARYFOLDER_H
