//===- ArtifactLibrary.cpp - Calling compiled functions --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// dlopen, and messages for everything that can be missing.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/ArtifactLibrary.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <dlfcn.h>

using namespace moe;

std::unique_ptr<ArtifactLibrary>
ArtifactLibrary::open(const std::string &path, std::string &error) {
  llvm::SmallString<128> library(path), manifest(path);
  llvm::StringRef extension = llvm::sys::path::extension(path);
  if (extension != ".so" && extension != ".json") {
    error = path + ": not an artifact by its name; expected BASE.so or "
                   "BASE.json";
    return nullptr;
  }
  llvm::sys::path::replace_extension(library, ".so");
  llvm::sys::path::replace_extension(manifest, ".json");
  for (llvm::StringRef file : {library.str(), manifest.str()}) {
    if (llvm::sys::fs::is_regular_file(file))
      continue;
    error = file.str() + ": no such file; an artifact is BASE.so beside "
                         "BASE.json, as moe-compile leaves them";
    return nullptr;
  }
  std::unique_ptr<ArtifactLibrary> result(new ArtifactLibrary);
  result->path = library.str().str();
  if (!readManifest(manifest.str().str(), result->contents, error))
    return nullptr;
  // A path without a slash would be searched for in the system's folders.
  llvm::SmallString<128> absolute(library);
  if (std::error_code code = llvm::sys::fs::make_absolute(absolute)) {
    error = result->path + ": " + code.message();
    return nullptr;
  }
  result->handle = dlopen(absolute.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!result->handle) {
    error = std::string("cannot load ") + dlerror();
    if (error.find("libmoe_rt.so") != std::string::npos)
      error += "; " + result->path +
               " was linked with another runtime, run moe-compile again";
    if (error.find("undefined symbol") != std::string::npos)
      error += "; C functions that experts call are to be loaded before "
               "(--external=FILE), or linked with (moe-compile --external)";
    return nullptr;
  }
  for (const FunctionDesc &function : result->contents.functions) {
    auto *id = static_cast<const char *>(
        dlsym(result->handle, function.idSymbol().c_str()));
    if (id && result->contents.id == id)
      continue;
    error = result->path + " and " + manifest.str().str() +
            " are from different runs of moe-compile (";
    error += id ? "their ids are " + std::string(id) + " and " +
                      result->contents.id
                : "the library has no '" + function.idSymbol() + "'";
    error += "); compile with --emit=shared,manifest";
    return nullptr;
  }
  return result;
}

ArtifactLibrary::~ArtifactLibrary() {
  if (handle)
    dlclose(handle);
}

bool ArtifactLibrary::lookup(const std::string &name,
                             ArtifactFunction &function,
                             std::string &error) const {
  const FunctionDesc *desc = contents.select(name, error);
  if (!desc) {
    error = path + ": " + error;
    return false;
  }
  std::string workspace = desc->invoke + "_workspace";
  void *invoke = dlsym(handle, desc->invoke.c_str());
  void *bytes = dlsym(handle, workspace.c_str());
  if (!invoke || !bytes) {
    error = path + ": has no symbol '" + (invoke ? workspace : desc->invoke) +
            "', which its manifest names; are both from one run of "
            "moe-compile?";
    return false;
  }
  function.desc = desc;
  function.invoke = reinterpret_cast<moe_invoke_function *>(invoke);
  function.workspaceBytes = reinterpret_cast<moe_workspace_function *>(bytes);
  if (!desc->variant.empty())
    function.variant = reinterpret_cast<const char *(*)()>(
        dlsym(handle, desc->variant.c_str()));
  if (desc->variantOn.empty())
    return true;
  std::string on = workspace + "_on";
  void *bytesOn = dlsym(handle, on.c_str());
  void *variantOn = dlsym(handle, desc->variantOn.c_str());
  if (!bytesOn || !variantOn) {
    error = path + ": has no symbol '" + (bytesOn ? desc->variantOn : on) +
            "', which its manifest names; are both from one run of "
            "moe-compile?";
    return false;
  }
  function.workspaceBytesOn =
      reinterpret_cast<decltype(function.workspaceBytesOn)>(bytesOn);
  function.variantOn =
      reinterpret_cast<decltype(function.variantOn)>(variantOn);
  return true;
}
