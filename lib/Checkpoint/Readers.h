//===- Readers.h - One reader per kind of checkpoint -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Checkpoint: what Checkpoint::open() chooses from. Each fills a
// checkpoint whose path is set; false with a message.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CHECKPOINT_READERS_H
#define MOE_LIB_CHECKPOINT_READERS_H

#include "moe-mlir/Checkpoint/Checkpoint.h"

#include "llvm/ADT/StringMap.h"

namespace moe {

struct FolderFiles;

class HuggingFaceReader {
public:
  HuggingFaceReader(Checkpoint &checkpoint, std::string &error)
      : checkpoint(checkpoint), error(error) {}

  bool readFolder(FolderFiles files);
  bool readFile() { return addShard(checkpoint.path, nullptr); }

private:
  /// The names of tensors, with whether their file has them.
  using Wanted = llvm::StringMap<bool>;

  bool fail(const std::string &file, const std::string &what);
  bool readConfig();
  bool readIndex(const std::string &path);
  /// Adds the tensors of a file, or only those of `wanted`.
  bool addShard(const std::string &path, Wanted *wanted);

  Checkpoint &checkpoint;
  std::string &error;
};

class GGUFReader {
public:
  GGUFReader(Checkpoint &checkpoint, std::string &error)
      : checkpoint(checkpoint), error(error) {}

  /// `path` is that of the file, or of one of its parts.
  bool read(const std::string &path);

private:
  bool addPart(const std::string &path);

  Checkpoint &checkpoint;
  std::string &error;
  /// The metadata of the part that was read last.
  llvm::json::Object metadata;
};

/// For messages.
std::string listGGUFTypes();

} // namespace moe

#endif // MOE_LIB_CHECKPOINT_READERS_H
