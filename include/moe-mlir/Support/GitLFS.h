//===- GitLFS.h - Files that were not fetched ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Models are published in Git repositories whose large files are kept by Git
// LFS. A clone without it has a short text in place of each of them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_GITLFS_H
#define MOE_MLIR_SUPPORT_GITLFS_H

#include <string>
#include <string_view>

namespace moe {

/// What a message says of a file with this content; empty unless it is a
/// pointer of Git LFS.
std::string describeLFSPointer(std::string_view content);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_GITLFS_H
