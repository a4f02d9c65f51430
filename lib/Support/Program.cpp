//===- Program.cpp - Programs of others -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/Program.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
using namespace llvm;

TemporaryFile::~TemporaryFile() {
  if (path.empty())
    return;
  sys::fs::remove(path);
  sys::DontRemoveFileOnSignal(path);
}

bool TemporaryFile::create(const Twine &prefix, StringRef suffix,
                           std::string &error, ArrayRef<char> bytes) {
  int file;
  if (std::error_code code =
          sys::fs::createTemporaryFile(prefix, suffix, file, path)) {
    error = "cannot create a temporary file: " + code.message();
    path.clear();
    return false;
  }
  sys::RemoveFileOnSignal(path);
  raw_fd_ostream os(file, /*shouldClose=*/true);
  os.write(bytes.data(), bytes.size());
  os.close();
  if (!os.has_error())
    return true;
  error = ("cannot write " + path + ": " + os.error().message()).str();
  os.clear_error();
  return false;
}

bool TemporaryFile::read(SmallVectorImpl<char> &bytes,
                         std::string &error) const {
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer) {
    error = ("cannot read " + path + ": " + buffer.getError().message()).str();
    return false;
  }
  bytes.assign((*buffer)->getBufferStart(), (*buffer)->getBufferEnd());
  return true;
}

std::string moe::findProgram(ArrayRef<StringRef> names,
                             ArrayRef<StringRef> folders) {
  for (StringRef name : names)
    if (ErrorOr<std::string> path = sys::findProgramByName(name))
      return *path;
  if (!folders.empty())
    for (StringRef name : names)
      if (ErrorOr<std::string> path = sys::findProgramByName(name, folders))
        return *path;
  return {};
}

bool moe::runProgram(ArrayRef<StringRef> command, std::string &error,
                     std::string *printed) {
  TemporaryFile log;
  if (!log.create("moe-run-program", "log", error))
    return false;
  std::optional<StringRef> redirects[] = {StringRef(), log.getPath(),
                                          log.getPath()};
  int result = sys::ExecuteAndWait(command.front(), command, std::nullopt,
                                   redirects, 0, 0, &error);
  auto text = MemoryBuffer::getFile(log.getPath());
  if (result == 0) {
    if (printed && text)
      *printed = (*text)->getBuffer().str();
    return true;
  }
  // A program that could not be started says so in `error`.
  std::string reason = error.empty() ? std::string() : ": " + error;
  error = "failed" + reason + ":";
  for (StringRef word : command)
    error += (" " + word).str();
  if (text && !(*text)->getBuffer().empty())
    error += ("\n" + (*text)->getBuffer().rtrim()).str();
  return false;
}
