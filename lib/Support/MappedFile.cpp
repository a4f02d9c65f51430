//===- MappedFile.cpp - A file as memory -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A file that somebody cuts while it is mapped takes its pages away: whoever
// reads them then gets SIGBUS, and may ask here which file it was.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/MappedFile.h"
#include "moe-mlir/Support/TensorIO.h"

#include <atomic>
#include <cstdlib>

using namespace moe;

namespace {

/// Reused and never freed: a handler may look at any time.
struct Mapping {
  std::atomic<const char *> begin{nullptr};
  std::atomic<size_t> size{0};
  std::atomic<char *> path{nullptr};
  Mapping *next = nullptr;
};
std::atomic<Mapping *> mappings{nullptr};
/// Holds a place until its fields are there.
const char claimed = 0;

} // namespace

void detail::rememberMapping(const void *base, size_t size,
                             const std::string &path) {
  Mapping *mapping = mappings;
  for (; mapping; mapping = mapping->next) {
    const char *none = nullptr;
    if (mapping->begin.compare_exchange_strong(none, &claimed))
      break;
  }
  if (!mapping) {
    mapping = new Mapping;
    mapping->begin = &claimed;
    mapping->next = mappings;
    while (!mappings.compare_exchange_weak(mapping->next, mapping)) {
    }
  }
  mapping->size = size;
  std::free(mapping->path.exchange(strdup(path.c_str())));
  mapping->begin = static_cast<const char *>(base);
}

void detail::forgetMapping(const void *base) {
  for (Mapping *mapping = mappings; mapping; mapping = mapping->next) {
    const char *begin = static_cast<const char *>(base);
    if (mapping->begin.compare_exchange_strong(begin, nullptr))
      return;
  }
}

const char *detail::findMapping(const void *address) {
  for (Mapping *mapping = mappings; mapping; mapping = mapping->next) {
    const char *begin = mapping->begin;
    if (begin && begin != &claimed && address >= begin &&
        address < begin + mapping->size)
      return mapping->path;
  }
  return nullptr;
}

void moe::forgetRead(const void *data, size_t bytes) {
  if (!detail::findMapping(data))
    return;
  uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uintptr_t begin = reinterpret_cast<uintptr_t>(data), end = begin + bytes;
  begin -= begin % page;
  end -= end % page;
  if (begin < end)
    (void)madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}
