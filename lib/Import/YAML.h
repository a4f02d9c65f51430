//===- YAML.h - YAML documents as JSON values -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// LLVM's reader of YAML, and the scalars of YAML's core schema: what has no
// quotes is null, a flag or a number if it looks like one.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_YAML_H
#define MOE_MLIR_LIB_IMPORT_YAML_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

#include <optional>
#include <string>
#include <vector>

namespace moe::importer {

/// The one document of a file. Nothing with `error` set, which names the line.
std::optional<llvm::json::Value>
parseYAML(llvm::StringRef text, llvm::StringRef fileName, std::string &error);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_YAML_H
