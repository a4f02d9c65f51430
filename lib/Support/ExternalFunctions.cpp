//===- ExternalFunctions.cpp - C functions of experts, from files -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/ExternalFunctions.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"

#include <dlfcn.h>
#include <utility>
#include <vector>

using namespace moe;

static std::vector<void *> &getLibraries() {
  static std::vector<void *> libraries;
  return libraries;
}

bool moe::loadExternals(llvm::StringRef file, std::string &error) {
  // A path without a slash would be searched for in the system's folders.
  llvm::SmallString<128> path(file);
  if (std::error_code code = llvm::sys::fs::make_absolute(path)) {
    error = file.str() + ": " + code.message();
    return false;
  }
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    error = std::string("cannot load ") + dlerror();
    return false;
  }
  getLibraries().push_back(library);
  return true;
}

void *moe::findExternal(llvm::StringRef name) {
  for (void *library : getLibraries())
    if (void *function = dlsym(library, name.str().c_str()))
      return function;
  return nullptr;
}

namespace {
template <size_t> using Pointer = void *;

/// Calls with as many pointers as there are indices.
template <size_t... i>
int callWith(void *function, int64_t expert, int64_t rows, void *const *pointers,
             std::index_sequence<i...>) {
  using Function = int (*)(const void *, int64_t, int64_t, Pointer<i>...);
  return reinterpret_cast<Function>(function)(nullptr, expert, rows,
                                              pointers[i]...);
}

template <size_t n = 1>
int callWithSome(void *function, int64_t expert, int64_t rows,
                 llvm::ArrayRef<void *> pointers) {
  if constexpr (n < kMaxExternalPointers)
    if (pointers.size() > n)
      return callWithSome<n + 1>(function, expert, rows, pointers);
  return callWith(function, expert, rows, pointers.data(),
                  std::make_index_sequence<n>());
}
} // namespace

int moe::callExternal(void *function, int64_t expert, int64_t rows,
                      llvm::ArrayRef<void *> pointers) {
  return callWithSome(function, expert, rows, pointers);
}
