//===- OutputSet.h - Files that appear together ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one way in which the project writes files for its users: beside their
// final names, and renamed when all of them are complete and on the disk. What
// had such a name before is untouched until then, whatever fails.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_OUTPUTSET_H
#define MOE_MLIR_SUPPORT_OUTPUTSET_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moe {

/// The files of one run. Those that are not committed are removed: by the
/// destructor, and by signals once removeOutputsOnSignals() was called. Only
/// SIGKILL and a machine that stops leave the files they were written to, whose
/// names end in `partialSuffix`; nothing reads them.
///
/// A path that is no regular file ("-" for standard output, a pipe, a device)
/// cannot be replaced: it is written as it is.
class OutputSet {
public:
  static constexpr const char *partialSuffix = ".moe-partial";

  OutputSet() = default;
  OutputSet(const OutputSet &) = delete;
  OutputSet &operator=(const OutputSet &) = delete;
  ~OutputSet() { discard(); }

  /// Begins the file `path`, which append() fills. Each path once.
  bool add(const std::string &path, std::string &error,
           bool isExecutable = false);
  bool append(const std::string &path, std::string_view bytes,
              std::string &error);
  /// Puts bytes where they belong; what lies before them may still be missing,
  /// and is zeros if it stays so. Only into regular files.
  bool writeAt(const std::string &path, uint64_t offset, std::string_view bytes,
               std::string &error);

  /// The whole file at once.
  bool write(const std::string &path, std::string_view bytes,
             std::string &error, bool isExecutable = false) {
    return add(path, error, isExecutable) && append(path, bytes, error);
  }

  /// Makes the folder `path`, and those it lies in, if they are not there.
  bool addFolder(const std::string &path, std::string &error);

  /// Gives all files their names. If one cannot have it, none has: false and a
  /// message. (Where the file system cannot exchange two files, those that were
  /// renamed before the one that fails stay.) A process killed in the middle
  /// may leave some new files beside some old ones, each of them whole.
  bool commit(std::string &error);

  /// Removes what was not committed.
  void discard();

private:
  struct File {
    std::string path;
    /// What has the contents until commit(), and the name it is renamed to:
    /// `path` behind all links. Empty for what is written as it is.
    std::string temporary, target;
    int descriptor = -1;
  };
  File *find(const std::string &path, std::string &error);
  bool close(File &file);
  void discardFiles();

  std::vector<File> files;
  /// Outer ones first.
  std::vector<std::string> folders;
};

/// Removes the files of all output sets, and temporary folders, when a signal
/// ends the process, or exit() does. A write beyond the limit of file sizes
/// becomes an error instead of a signal, and a file of tensors that is cut
/// while it is mapped a message instead of a crash. For main functions;
/// libraries leave signals alone.
void removeOutputsOnSignals();

} // namespace moe

#endif // MOE_MLIR_SUPPORT_OUTPUTSET_H
