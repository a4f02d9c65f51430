//===- Functions.h - Functions of expressions -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Those that depend on nothing but their arguments; docs/families.md lists
// them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_FUNCTIONS_H
#define MOE_MLIR_LIB_IMPORT_FUNCTIONS_H

#include "Expression.h"

#include "llvm/ADT/Twine.h"

namespace moe::importer {

/// Sets `error` if it is not set, and returns null.
Value fail(std::string &error, const llvm::Twine &message);

/// Nothing when there is no such function.
std::optional<Value> callFunction(llvm::StringRef name,
                                  llvm::ArrayRef<Value> arguments,
                                  std::string &error);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_FUNCTIONS_H
