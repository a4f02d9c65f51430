//===- MappedFile.h - A file as memory -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A private mapping: pages come from the file when they are touched, and what
// is written to them stays in this process.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_MAPPEDFILE_H
#define MOE_MLIR_SUPPORT_MAPPEDFILE_H

#include "moe-mlir/Support/HostTensor.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moe {

namespace detail {
// MappedFile.cpp: mappings by their addresses, for signal handlers.
void rememberMapping(const void *base, size_t size, const std::string &path);
void forgetMapping(const void *base);
/// The path of the file that is mapped at `address`, or null. Calls nothing.
const char *findMapping(const void *address);
} // namespace detail

struct MappedFile {
  /// Null for an empty file, as is `data`.
  std::shared_ptr<void> storage;
  char *data = nullptr;
  size_t size = 0;

  bool open(const std::string &path, std::string &error) {
    auto fail = [&](const std::string &what) {
      error = path + ": " + what;
      return false;
    };
    // A pipe would wait for its writer, and is refused below.
    int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
      return fail(std::string("cannot open: ") + std::strerror(errno));
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
      close(file);
      return fail("not a regular file");
    }
    size = static_cast<size_t>(info.st_size);
    if (size == 0) { // An empty mapping is an error for mmap.
      close(file);
      return true;
    }
    void *base = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_NORESERVE, file, 0);
    int code = errno;
    close(file);
    if (base == MAP_FAILED)
      return fail(std::string("cannot map: ") + std::strerror(code));
    size_t length = size;
    detail::rememberMapping(base, length, path);
    storage = std::shared_ptr<void>(base, [length](void *p) {
      detail::forgetMapping(p);
      munmap(p, length);
    });
    data = static_cast<char *>(base);
    return true;
  }
};

/// The tensor at a checked `offset` of the file: in place, or a copy where the
/// file leaves its elements misaligned.
HostTensor viewOrCopy(const MappedFile &file, size_t offset, DType dtype,
                      std::vector<int64_t> shape, std::string name);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_MAPPEDFILE_H
