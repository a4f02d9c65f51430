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
#include "moe-mlir/Compiler/Toolchain.h"

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

static bool isHost(const Architecture &architecture) {
  return &architecture == &getHostArchitecture();
}

bool compiler::writeObject(ArrayRef<NamedObject> objects, StringRef path,
                           const Architecture &architecture,
                           std::string &error) {
  if (objects.size() == 1)
    return writeFile(path, objects.front().bytes, error);
  // GNU's linker knows one architecture, LLVM's all.
  std::string gnu = (architecture.gnuTriple + "-ld").str();
  std::string linker =
      findProgram({"ld.lld", "ld.lld-22", gnu,
                   isHost(architecture) ? StringRef("ld") : StringRef(gnu)});
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

std::string moe::findRuntimeFile(const Architecture &architecture,
                                 StringRef fileName) {
  static int anchor;
  std::string program = sys::fs::getMainExecutable(nullptr, &anchor);
  StringRef prefix = sys::path::parent_path(sys::path::parent_path(program));
  SmallVector<std::string> folders = {("lib/" + architecture.gnuTriple).str()};
  if (isHost(architecture))
    folders.append({"lib", "lib64"});
  for (StringRef folder : folders) {
    SmallString<256> candidate(prefix);
    sys::path::append(candidate, folder, fileName);
    if (sys::fs::exists(candidate))
      return candidate.str().str();
  }
  return {};
}

bool moe::runDriver(const Architecture &architecture, StringRef what,
                    ArrayRef<StringRef> arguments, std::string &error) {
  std::string cross = (architecture.gnuTriple + "-gcc").str();
  std::string driver = isHost(architecture)
                           ? findProgram({"cc", "gcc", "clang", "clang-22"})
                           : findProgram(StringRef(cross));
  if (driver.empty()) {
    error = (what + " needs a C compiler driver in PATH (" +
             (isHost(architecture) ? "cc, gcc or clang"
                                   : cross + "; Debian's package gcc-" +
                                         architecture.gnuTriple) +
             ")")
                .str();
    return false;
  }
  SmallVector<StringRef> command = {driver};
  command.append(arguments.begin(), arguments.end());
  return execute(command, error);
}

bool compiler::writeShared(StringRef objectPath, StringRef path,
                           const Architecture &architecture,
                           StringRef runtimeDirectory, std::string &error) {
  std::string runtime = runtimeDirectory.str();
  if (runtime.empty())
    runtime =
        sys::path::parent_path(findRuntimeFile(architecture, "libmoe_rt.so"))
            .str();
  if (runtime.empty()) {
    error = ("libmoe_rt.so for " + architecture.gnuTriple +
             " is not in the lib folder beside this program; say where it is "
             "with --runtime-dir, or do without a shared library: "
             "--emit=obj,lib,header,manifest")
                .str();
    return false;
  }
  // Somewhere else it lies beside the artifact, if not with the system's.
  std::string rpath =
      "-Wl,-rpath," + (isHost(architecture) ? runtime : "$ORIGIN");
  std::string search = "-L" + runtime;
  std::string name = ("-Wl,-soname," + sys::path::filename(path)).str();
  if (runDriver(architecture, "linking a shared library",
                {"-shared", "-o", path, objectPath, name, "-Wl,-z,defs", search,
                 rpath, "-lmoe_rt", "-lm"},
                error))
    return true;
  if (error.find("needs a C compiler") != std::string::npos)
    error += "; --emit=obj,lib,header,manifest needs none";
  return false;
}
