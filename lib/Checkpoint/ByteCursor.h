//===- ByteCursor.h - Reading a mapped file in order -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Little-endian numbers and strings with a length in front. Nothing is read
// beyond the end, and every message has the file, the key or tensor that is
// read, and the byte.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CHECKPOINT_BYTECURSOR_H
#define MOE_LIB_CHECKPOINT_BYTECURSOR_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Endian.h"

#include <string>

namespace moe::detail {

class ByteCursor {
public:
  ByteCursor(llvm::StringRef data, const std::string &path, std::string &error)
      : data(data), path(path), error(error) {}

  uint64_t position() const { return at; }
  uint64_t size() const { return data.size(); }
  uint64_t remaining() const { return data.size() - at; }

  /// Names what is read, for messages, while it lives.
  class Scope {
  public:
    Scope(ByteCursor &cursor, std::string what) : cursor(cursor) {
      cursor.what = std::move(what);
    }
    ~Scope() { cursor.what.clear(); }
    Scope(const Scope &) = delete;

  private:
    ByteCursor &cursor;
  };

  /// False, with a message on what is wrong at byte `where`.
  bool fail(const std::string &problem, uint64_t where) {
    error = path + ": " + (what.empty() ? "" : what + ": ") + problem +
            " (at byte " + std::to_string(where) + ")";
    return false;
  }

  bool bytes(uint64_t count, llvm::StringRef &result, const char *name) {
    if (count > remaining())
      return fail(std::string("the file ends within ") + name + " (truncated?)",
                  at);
    result = data.substr(at, count);
    at += count;
    return true;
  }

  template <typename T> bool number(T &value, const char *name) {
    llvm::StringRef text;
    if (!bytes(sizeof(T), text, name))
      return false;
    if constexpr (std::is_floating_point_v<T>) {
      using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
      value = llvm::bit_cast<T>(
          llvm::support::endian::read<Bits, llvm::endianness::little>(
              text.data()));
    } else {
      value =
          llvm::support::endian::read<T, llvm::endianness::little>(text.data());
    }
    return true;
  }

  bool string(llvm::StringRef &value, const char *name) {
    uint64_t begin = at, length;
    if (!number(length, name))
      return false;
    if (length > remaining())
      return fail(std::string(name) + " of " + std::to_string(length) +
                      " bytes does not fit into the file (truncated?)",
                  begin);
    return bytes(length, value, name);
  }

private:
  llvm::StringRef data;
  const std::string &path;
  std::string &error;
  std::string what;
  uint64_t at = 0;
};

} // namespace moe::detail

#endif // MOE_LIB_CHECKPOINT_BYTECURSOR_H
