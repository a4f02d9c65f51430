//===- Link.cpp - Objects into files ----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Archives are written with LLVM's library; joining objects and linking shared
// libraries is left to the system's linker.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
using namespace llvm;

static bool writeFile(StringRef path, ArrayRef<char> bytes,
                      std::string &error) {
  std::error_code code;
  raw_fd_ostream os(path, code);
  if (code) {
    error = ("cannot write " + path + ": " + code.message()).str();
    return false;
  }
  os.write(bytes.data(), bytes.size());
  os.close();
  if (os.has_error()) {
    error = ("cannot write " + path + ": " + os.error().message()).str();
    os.clear_error();
    return false;
  }
  return true;
}

/// The first program found, or none.
static std::string findProgram(ArrayRef<StringRef> names) {
  for (StringRef name : names)
    if (ErrorOr<std::string> path = sys::findProgramByName(name))
      return *path;
  return {};
}

static bool execute(ArrayRef<StringRef> command, std::string &error) {
  SmallString<128> log;
  if (sys::fs::createTemporaryFile("moe-link", "log", log)) {
    error = "cannot create a temporary file";
    return false;
  }
  auto remove = make_scope_exit([&] { sys::fs::remove(log); });
  std::optional<StringRef> redirects[] = {StringRef(), StringRef(log),
                                          StringRef(log)};
  int result = sys::ExecuteAndWait(command.front(), command, std::nullopt,
                                   redirects, 0, 0, &error);
  if (result == 0)
    return true;
  error = "failed:";
  for (StringRef word : command)
    error += (" " + word).str();
  if (auto text = MemoryBuffer::getFile(log))
    error += ("\n" + (*text)->getBuffer().rtrim()).str();
  return false;
}

bool compiler::writeObject(ArrayRef<NamedObject> objects, StringRef path,
                           std::string &error) {
  if (objects.size() == 1)
    return writeFile(path, objects.front().bytes, error);
  std::string linker = findProgram({"ld.lld", "ld.lld-22", "ld"});
  if (linker.empty()) {
    error = "joining objects needs a linker: install lld or binutils, or ask "
            "for --emit=lib";
    return false;
  }
  std::vector<std::string> inputs;
  auto remove = make_scope_exit([&] {
    for (const std::string &input : inputs)
      sys::fs::remove(input);
  });
  for (const NamedObject &object : objects) {
    SmallString<128> input;
    if (sys::fs::createTemporaryFile("moe-" + object.name, "o", input)) {
      error = "cannot create a temporary file";
      return false;
    }
    inputs.push_back(input.str().str());
    if (!writeFile(input, object.bytes, error))
      return false;
  }
  SmallVector<StringRef> command = {linker, "-r", "-o", path};
  command.append(inputs.begin(), inputs.end());
  return execute(command, error);
}

bool compiler::writeLibrary(ArrayRef<NamedObject> objects, StringRef path,
                            std::string &error) {
  SmallVector<NewArchiveMember> members;
  for (const NamedObject &object : objects) {
    NewArchiveMember member(MemoryBufferRef(
        StringRef(object.bytes.data(), object.bytes.size()), object.name));
    member.MemberName = object.name;
    members.push_back(std::move(member));
  }
  if (Error failure = writeArchive(
          path, members, SymtabWritingMode::NormalSymtab,
          object::Archive::K_GNU, /*Deterministic=*/true, /*Thin=*/false)) {
    error =
        ("cannot write " + path + ": " + toString(std::move(failure))).str();
    return false;
  }
  return true;
}

/// Where libmoe_rt lies: in the build tree, or installed beside the program.
static std::string findRuntime() {
  static int anchor;
  std::string program = sys::fs::getMainExecutable(nullptr, &anchor);
  StringRef prefix = sys::path::parent_path(sys::path::parent_path(program));
  for (StringRef folder : {"lib", "lib/x86_64-linux-gnu", "lib64"}) {
    SmallString<256> candidate(prefix);
    sys::path::append(candidate, folder, "libmoe_rt.so");
    if (sys::fs::exists(candidate))
      return sys::path::parent_path(candidate).str();
  }
  return {};
}

bool compiler::writeShared(StringRef objectPath, StringRef path,
                           StringRef runtimeDirectory, std::string &error) {
  std::string compiler = findProgram({"cc", "gcc", "clang", "clang-22"});
  if (compiler.empty()) {
    error = "linking a shared library needs a C compiler driver (cc, gcc or "
            "clang) in PATH; --emit=obj,lib,header,manifest needs none";
    return false;
  }
  std::string runtime = runtimeDirectory.str();
  if (runtime.empty())
    runtime = findRuntime();
  if (runtime.empty()) {
    error = "libmoe_rt.so is not in the lib folder beside this program; say "
            "where it is with --runtime-dir";
    return false;
  }
  std::string search = "-L" + runtime, rpath = "-Wl,-rpath," + runtime;
  std::string name = ("-Wl,-soname," + sys::path::filename(path)).str();
  return execute({compiler, "-shared", "-o", path, objectPath, name,
                  "-Wl,-z,defs", search, rpath, "-lmoe_rt", "-lm"},
                 error);
}
