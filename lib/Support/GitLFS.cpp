//===- GitLFS.cpp - Files that were not fetched ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A pointer is lines of a key and a value: `version` is the first, `size` the
// bytes of the file that it stands for.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/GitLFS.h"

using namespace moe;

std::string moe::describeLFSPointer(std::string_view content) {
  constexpr std::string_view first = "version https://git-lfs",
                             size = "\nsize ";
  // No pointer is longer.
  constexpr size_t longest = 1024;
  if (content.substr(0, first.size()) != first || content.size() >= longest)
    return "";
  std::string text = "is a Git LFS pointer, and the file it stands for was not "
                     "downloaded";
  if (size_t at = content.find(size); at != std::string_view::npos) {
    std::string_view bytes = content.substr(at + size.size());
    bytes = bytes.substr(0, bytes.find_first_not_of("0123456789"));
    if (!bytes.empty())
      text += " (" + std::string(bytes) + " bytes)";
  }
  return text + "; git lfs pull fetches it";
}
