//===- Files.h - Which files are a checkpoint ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Checkpoint: what a folder holds, and files that belong
// together by their names.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CHECKPOINT_FILES_H
#define MOE_LIB_CHECKPOINT_FILES_H

#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace moe {

/// The paths of what a folder holds; hidden files are nobody's weights.
struct FolderFiles {
  std::vector<std::string> indices, shards, ggufs;

  bool list(const std::string &folder, std::string &error);
  /// Whether there are files as Hugging Face has them.
  bool hasSafetensors() const { return !indices.empty() || !shards.empty(); }
  /// The one GGUF file, or the first part of the one set. Empty if there is
  /// none; with `error` set if there are several.
  std::string findGGUF(const std::string &folder, std::string &error) const;
};

std::string joinPath(llvm::StringRef folder, llvm::StringRef name);

/// The path of part `index` of a GGUF file, which `path` is another part of by
/// its name; empty if it is none of so many.
std::string nameOfPart(llvm::StringRef path, int64_t index, int64_t count);

/// A number as names of parts have it: 00001.
std::string fiveDigits(int64_t number);

} // namespace moe

#endif // MOE_LIB_CHECKPOINT_FILES_H
