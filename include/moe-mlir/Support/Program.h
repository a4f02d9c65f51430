//===- Program.h - Programs of others ---------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Linkers, assemblers and other tools that are run if they are there.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_PROGRAM_H
#define MOE_MLIR_SUPPORT_PROGRAM_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"

#include <string>

namespace moe {

/// A file for another program, gone with this object or the process.
class TemporaryFile {
public:
  TemporaryFile() = default;
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile();

  bool create(const llvm::Twine &prefix, llvm::StringRef suffix,
              std::string &error, llvm::ArrayRef<char> bytes = {});
  bool read(llvm::SmallVectorImpl<char> &bytes, std::string &error) const;

  llvm::StringRef getPath() const { return path; }

private:
  llvm::SmallString<128> path;
};

/// The first program found in PATH, or then in `folders`; or none.
std::string findProgram(llvm::ArrayRef<llvm::StringRef> names,
                        llvm::ArrayRef<llvm::StringRef> folders = {});

/// Runs a program and waits for it. A failing command comes back in `error`
/// with what it printed; of one that does not fail, `printed` gets that.
bool runProgram(llvm::ArrayRef<llvm::StringRef> command, std::string &error,
                std::string *printed = nullptr);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_PROGRAM_H
