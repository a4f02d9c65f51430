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
#include "moe-mlir/Support/Program.h"

#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
using namespace llvm;

/// GNU's linker succeeds when only the end of its output found no room.
static bool checkWhole(ArrayRef<char> bytes, std::string &error) {
  auto file = object::ObjectFile::createObjectFile(
      MemoryBufferRef(StringRef(bytes.data(), bytes.size()), "linked"));
  if (file)
    return true;
  consumeError(file.takeError());
  error = "the linker's output is cut off: the disk is full, or files may not "
          "be so large";
  return false;
}

bool compiler::joinObjects(ArrayRef<NamedObject> objects,
                           const HostPlatform &platform,
                           SmallVectorImpl<char> &joined, std::string &error) {
  if (objects.size() == 1) {
    joined.assign(objects.front().bytes.begin(), objects.front().bytes.end());
    return true;
  }
  // GNU's linker knows one architecture, LLVM's all.
  std::string gnu = platform.gnuTriple + "-ld";
  std::string linker = findProgram(
      {"ld.lld", "ld.lld-22", gnu,
       isHost(platform.gnuTriple) ? StringRef("ld") : StringRef(gnu)});
  if (linker.empty()) {
    error = "joining objects needs a linker: install lld or binutils, or ask "
            "for --emit=lib";
    return false;
  }
  TemporaryFile output;
  if (!output.create("moe-joined", "o", error))
    return false;
  SmallVector<StringRef> command = {linker, "-r", "-o", output.getPath()};
  std::vector<TemporaryFile> inputs(objects.size());
  for (auto [object, input] : zip_equal(objects, inputs)) {
    if (!input.create("moe-object", "o", error, object.bytes))
      return false;
    command.push_back(input.getPath());
  }
  return runProgram(command, error) && output.read(joined, error) &&
         checkWhole(joined, error);
}

std::unique_ptr<MemoryBuffer>
compiler::buildLibrary(ArrayRef<NamedObject> objects, std::string &error) {
  SmallVector<NewArchiveMember> members;
  for (const NamedObject &object : objects) {
    NewArchiveMember member(MemoryBufferRef(
        StringRef(object.bytes.data(), object.bytes.size()), object.name));
    member.MemberName = object.name;
    members.push_back(std::move(member));
  }
  Expected<std::unique_ptr<MemoryBuffer>> archive = writeArchiveToBuffer(
      members, SymtabWritingMode::NormalSymtab, object::Archive::K_GNU,
      /*Deterministic=*/true, /*Thin=*/false);
  if (archive)
    return std::move(*archive);
  error = "cannot make an archive: " + toString(archive.takeError());
  return nullptr;
}

std::string moe::findRuntimeFile(StringRef platform, StringRef fileName) {
  static int anchor;
  std::string program = sys::fs::getMainExecutable(nullptr, &anchor);
  StringRef prefix = sys::path::parent_path(sys::path::parent_path(program));
  SmallVector<std::string> folders = {("lib/" + platform).str()};
  if (isHost(platform))
    folders.append({"lib", "lib64"});
  for (StringRef folder : folders) {
    SmallString<256> candidate(prefix);
    sys::path::append(candidate, folder, fileName);
    if (sys::fs::exists(candidate))
      return candidate.str().str();
  }
  return {};
}

bool moe::runDriver(StringRef platform, StringRef what,
                    ArrayRef<StringRef> arguments, std::string &error) {
  std::string cross = (platform + "-gcc").str();
  std::string driver = isHost(platform)
                           ? findProgram({"cc", "gcc", "clang", "clang-22"})
                           : findProgram(StringRef(cross));
  if (driver.empty()) {
    error = (what + " needs a C compiler driver in PATH (" +
             (isHost(platform) ? Twine("cc, gcc or clang")
                               : cross + "; Debian's package gcc-" + platform) +
             ")")
                .str();
    return false;
  }
  SmallVector<StringRef> command = {driver};
  command.append(arguments.begin(), arguments.end());
  return runProgram(command, error);
}

bool compiler::linkShared(ArrayRef<char> object, StringRef name,
                          const HostPlatform &platform,
                          StringRef runtimeDirectory,
                          ArrayRef<std::string> externalFiles, bool isClosed,
                          SmallVectorImpl<char> &linked, std::string &error) {
  std::string runtime = runtimeDirectory.str();
  if (runtime.empty())
    runtime = sys::path::parent_path(
                  findRuntimeFile(platform.gnuTriple, "libmoe_rt.so"))
                  .str();
  if (runtime.empty()) {
    error = "libmoe_rt.so for " + platform.gnuTriple +
            " is not in the lib folder beside this program; say where it is "
            "with --runtime-dir, or do without a shared library: "
            "--emit=obj,lib,header,manifest";
    return false;
  }
  // Somewhere else it lies beside the artifact, if not with the system's.
  std::string rpath =
      "-Wl,-rpath," + (isHost(platform.gnuTriple) ? runtime : "$ORIGIN");
  std::string search = "-L" + runtime;
  std::string soname = ("-Wl,-soname," + name).str();
  TemporaryFile input, output;
  if (!input.create("moe-object", "o", error, object) ||
      !output.create("moe-linked", "so", error))
    return false;
  SmallVector<StringRef> arguments = {"-shared", "-o", output.getPath(),
                                      input.getPath()};
  arguments.append(externalFiles.begin(), externalFiles.end());
  arguments.append({soname, isClosed ? "-Wl,-z,defs" : "-Wl,-z,undefs",
                    "-Wl,-Bsymbolic", search, rpath, "-lmoe_rt", "-lm"});
  if (runDriver(platform.gnuTriple, "linking a shared library", arguments,
                error))
    return output.read(linked, error) && checkWhole(linked, error);
  if (error.find("needs a C compiler") != std::string::npos)
    error += "; --emit=obj,lib,header,manifest needs none";
  return false;
}
