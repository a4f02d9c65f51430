//===- ConfigText.h - The text of a config.json ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// JSON as Python writes it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CHECKPOINT_CONFIGTEXT_H
#define MOE_MLIR_CHECKPOINT_CONFIGTEXT_H

#include "llvm/Support/JSON.h"

#include <optional>
#include <string>

namespace moe {

/// Parses a configuration. Of the words that are not JSON, `Infinity` becomes
/// an infinite number and `NaN` a string; a byte order mark is skipped.
/// Nothing, with `problem` set, if it is not valid, nested more than 200 levels
/// deep, or a Git LFS pointer.
std::optional<llvm::json::Value> parseConfigText(llvm::StringRef text,
                                                 std::string &problem);

/// Whether lists and objects are in each other more than `deepest` times. LLVM's
/// parser recurses; a hostile file must not reach the end of the stack.
bool isNestedDeeper(llvm::StringRef json, int deepest);

} // namespace moe

#endif // MOE_MLIR_CHECKPOINT_CONFIGTEXT_H
